#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replay a _delta_log by the rules of Delta's protocol, independently of the library.

replay.py TABLE prints one line of canonical JSON per version: protocol, metaData, txn by appId, domainMetadata by domain,
and the active files by path and deletion vector. Numbers keep their text, as "#" and the digits."""

import json
import os
import re
import sys


def load(text):
    """JSON with the text of every number; the last of duplicate keys counts."""
    return json.loads(text, parse_int=lambda s: "#" + s, parse_float=lambda s: "#" + s)


def dumps(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def file_key(action):
    vector = action.get("deletionVector")
    if not vector:
        return action["path"]
    offset = vector.get("offset")
    unique = vector["storageType"] + vector["pathOrInlineDv"] + ("" if offset is None else "@" + offset[1:])
    return action["path"] + "\n" + unique


def commits(table):
    """(version, file name) of every NNN.json, ascending."""
    names = (name for name in os.listdir(os.path.join(table, "_delta_log")) if re.fullmatch(r"\d{20}\.json", name))
    return sorted((int(name[:20]), name) for name in names)


def actions(table, name):
    with open(os.path.join(table, "_delta_log", name), encoding="utf-8") as file:
        for line in file.read().split("\n"):
            if line.strip():
                yield load(line)


class State:
    def __init__(self):
        self.protocol = self.metadata = None
        self.txn, self.domains, self.files = {}, {}, {}

    def apply(self, action):
        if action.get("protocol"):
            self.protocol = action["protocol"]
        elif action.get("metaData"):
            self.metadata = action["metaData"]
        elif action.get("txn"):
            self.txn[action["txn"]["appId"]] = action["txn"]
        elif action.get("domainMetadata"):
            domain = action["domainMetadata"]
            if domain.get("removed"):
                self.domains.pop(domain["domain"], None)
            else:
                self.domains[domain["domain"]] = domain
        elif action.get("add"):
            self.files[file_key(action["add"])] = action["add"]
        elif action.get("remove"):
            self.files.pop(file_key(action["remove"]), None)

    def canonical(self):
        return {
            "protocol": self.protocol,
            "metaData": self.metadata,
            "txn": self.txn,
            "domainMetadata": self.domains,
            "files": self.files,
        }


def replay(table):
    """(version, state) after each version."""
    state = State()
    for version, name in commits(table):
        for action in actions(table, name):
            state.apply(action)
        yield version, state


if __name__ == "__main__":
    for number, result in replay(sys.argv[1]):
        print(dumps({"version": number, **result.canonical()}))

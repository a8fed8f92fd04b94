#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare states that test_corpus dumped with two oracles: replay.py over the same folders, and the NNN.crc files that the
original writers left. Also: every table of the corpora is listed, and commit times follow their rule.

compare_states.py STATES EXPECTED CORPORA-OR-EMPTY"""

import os
import sys

import replay

wrong = []

# Checksum files that do not tell of the log beside them.
MADE_UP = {"corpora/kernel/crc-full": "written by hand: its log adds no file, its checksum file counts ten"}


def complain(where, what):
    if len(wrong) < 50:
        print(f"  WRONG {where}: {what}")
    wrong.append(where)


# In-commit timestamps that decrease, which the protocol forbids: the later ones are raised.
DECREASING = {"corpora/delta-rs/cdc_ict_table"}


def canonical(dumped):
    """The dumped state in replay.py's form."""
    state = {"protocol": None, "metaData": None, "txn": {}, "domainMetadata": {}, "files": {}}
    for line in dumped["objects"]:
        if "protocol" in line:
            state["protocol"] = line["protocol"]
        elif "metaData" in line:
            state["metaData"] = line["metaData"]
        elif "txn" in line:
            state["txn"][line["txn"]["appId"]] = line["txn"]
        elif "domainMetadata" in line:
            state["domainMetadata"][line["domainMetadata"]["domain"]] = line["domainMetadata"]
    for line in dumped["files"]:
        state["files"][replay.file_key(line["add"])] = line["add"]
    return state


def without_nulls(value):
    """Writers of checksums leave out what is null or empty."""
    if isinstance(value, dict):
        items = {key: without_nulls(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item not in (None, {}, [])}
    return value


def compare_checksum(where, crc, state):
    files = state["files"].values()
    facts = {"numFiles": f"#{len(files)}", "tableSizeBytes": f"#{sum(int(file['size'][1:]) for file in files)}"}
    for key, mine in facts.items():
        if crc[key] != mine:
            complain(where, f"{key} is {mine}, the checksum file says {crc[key]}")
    for key, mine in (("protocol", state["protocol"]), ("metadata", state["metaData"])):
        theirs, mine = without_nulls(crc[key]), without_nulls(mine)
        for features in ("readerFeatures", "writerFeatures"):
            for side in (theirs, mine):
                if features in side:
                    side[features] = sorted(side[features])
        if theirs != mine:
            complain(where, f"{key} differs from the checksum file: {theirs} against {mine}")
    for key, mine in (("setTransactions", state["txn"]), ("domainMetadata", state["domainMetadata"])):
        if crc.get(key) is None:
            continue
        theirs = sorted(replay.dumps(without_nulls(item)) for item in crc[key])
        if theirs != sorted(replay.dumps(without_nulls(item)) for item in mine.values()):
            complain(where, f"{key} differs from the checksum file")
    if crc.get("allFiles") is not None:
        theirs = {replay.file_key(file): file["size"] for file in crc["allFiles"]}
        if theirs != {key: file["size"] for key, file in state["files"].items()}:
            complain(where, "the files differ from the checksum file's")


def in_commit_time(state, folder, version):
    """The version's in-commit timestamp where it counts."""
    configuration = state["metaData"].get("configuration") or {}
    if configuration.get("delta.enableInCommitTimestamps") != "true":
        return None
    if version < int(configuration.get("delta.inCommitTimestampEnablementVersion") or 0):
        return None
    for action in replay.actions(folder, f"{version:020d}.json"):
        if "inCommitTimestamp" in (action.get("commitInfo") or {}):
            return int(action["commitInfo"]["inCommitTimestamp"][1:]) * 1000
    return None


def compare_table(name, dumped):
    folder = dumped[0]["folder"]
    last_time, checksums, first = -1, 0, None
    expected = list(replay.commits(folder))
    if [int(item["version"][1:]) for item in dumped] != [version for version, _ in expected]:
        complain(name, "other versions than the folder's")
        return 0
    for item, (version, state) in zip(dumped, replay.replay(folder)):
        where = f"{name}@v{version}"
        mine, theirs = canonical(item), state.canonical()
        for key, value in theirs.items():
            if mine[key] != value:
                complain(where, f"{key} differs from the replay")
        if len(item["files"]) != len(theirs["files"]):
            complain(where, "files are listed twice")
        time = int(item["time_us"][1:])
        stamp = in_commit_time(theirs, folder, version)
        if time <= last_time or (stamp not in (None, time) and name not in DECREASING):
            complain(where, f"commit time {time} after {last_time}, in-commit timestamp {stamp}")
        first = first or (time, int(item["file_time_ns"][1:]) // 1000, stamp)
        last_time, last_stamp = time, stamp
        checksum = os.path.join(folder, "_delta_log", f"{version:020d}.crc")
        if os.path.exists(checksum) and name not in MADE_UP:
            with open(checksum, encoding="utf-8") as file:
                compare_checksum(where, replay.load(file.read()), mine)
            checksums += 1
    # Times of files before in-commit timestamps begin are kept below those.
    if first[2] is None and (first[0] > first[1] if last_stamp else first[0] != first[1]):
        complain(name, "the first commit's time is not its file's")
    return checksums


def main():
    states, expected, corpora = sys.argv[1:]
    tables = {}
    with open(states, encoding="utf-8") as file:
        for line in file:
            item = replay.load(line)
            # The folder was renamed once its table was done; the dump is in the order of the list.
            tables.setdefault(item["table"], []).append(item)
    with open(expected, encoding="utf-8") as file:
        listed = [line.rstrip("\n").split("\t") for line in file]
    run = [row for row in listed if corpora or row[0].startswith("data/")]
    checksums = 0
    for number, row in enumerate(run, 1):
        if row[1] != "native":
            continue
        if row[0] not in tables:
            complain(row[0], "no states")
            continue
        for item in tables[row[0]]:
            item["folder"] = os.path.join(os.path.dirname(states), str(number))
        checksums += compare_table(row[0], tables[row[0]])
    if corpora:
        if checksums < 100:
            complain("corpora", f"only {checksums} versions have a checksum file to compare with")
        there = {
            "corpora/" + os.path.relpath(path, corpora)
            for path, folders, _ in os.walk(corpora)
            if "_delta_log" in folders
        }
        for name in sorted(there ^ {row[0] for row in listed if row[0].startswith("corpora/")}):
            complain(name, "listed or there, but not both")
    print(f"{len(tables)} tables against the replay, {checksums} versions against their writers' checksums: {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

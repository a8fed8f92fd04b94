#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""verbs.py VDECTL VERSION FOLDER: man pages (section 1) of vdectl and of each of its verbs, from what --help prints."""

import re
import subprocess
import sys

import roff


def help_of(vdectl, words):
    return subprocess.run([vdectl, *words, "--help"], check=True, capture_output=True, text=True).stdout


def option_list(text):
    """The options block: '  --name VALUE   help', the help on the same or on the next line."""
    source, name = "", None
    for line in text.split("\n"):
        match = re.match(r"  (--\S+(?: \S+)?)(?:  +(.*))?$", line)
        if match:
            name = match.group(1)
            source += f".TP\n.B {roff.escape(name)}\n"
            source += roff.escape(match.group(2)) + "\n" if match.group(2) else ""
        elif line.strip():
            source += roff.escape(line.strip()) + "\n"
    return source


def verb_page(vdectl, version, words):
    text = help_of(vdectl, words)
    usage, _, rest = text.partition("\n\n")
    summary, _, rest = rest.partition("\n\noptions:\n")
    options, _, notes = rest.partition("\n\n")
    topic = "vdectl-" + "-".join(words)
    source = roff.title(topic, 1, f"vde {version}", "User commands")
    source += roff.heading("name") + f"{topic} \\- {roff.escape(summary.strip())}\n"
    source += roff.heading("synopsis") + roff.literal(usage.removeprefix("usage: "))
    if notes.strip():
        source += roff.heading("description") + roff.literal(notes.strip("\n"))
    source += roff.heading("options") + option_list(options)
    source += roff.heading("exit status") + "As in\n.BR vdectl (1).\n"
    source += roff.heading("see also") + ".BR vdectl (1)\n"
    return topic, source


def verbs(vdectl):
    """The words of each verb, from the list of all: two blanks, the words in small letters, then the arguments."""
    for line in help_of(vdectl, []).split("\n"):
        match = re.match(r"  ([a-z]+(?: [a-z]+)?)(?= [A-Z\[]|  )", line)
        if match:
            yield match.group(1).split()


def main_page(vdectl, version, all_verbs):
    source = roff.title("vdectl", 1, f"vde {version}", "User commands")
    source += roff.heading("name") + "vdectl \\- make, inspect and use VDE images\n"
    source += roff.heading("synopsis") + roff.literal("vdectl VERB IMAGE [options]\nvdectl NOUN VERB IMAGE ... [options]")
    source += roff.heading("description") + roff.literal(help_of(vdectl, []).strip("\n"))
    source += roff.heading("see also")
    pages = [f".BR vdectl\\-{roff.escape('-'.join(words))} (1)" for words in all_verbs]
    return source + ",\n".join(pages) + "\n"


def main():
    vdectl, version, folder = sys.argv[1:4]
    all_verbs = list(verbs(vdectl))
    for words in all_verbs:
        topic, source = verb_page(vdectl, version, words)
        roff.write(folder, topic, 1, source)
    roff.write(folder, "vdectl", 1, main_page(vdectl, version, all_verbs))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""headers.py LIBRARY VERSION FOLDER HEADER...: a man page (section 3) for each public header, from its own comments.

A header is one comment on the whole, then comments each followed by the declarations that they are about. The pages say
nothing that the headers do not say."""

import pathlib
import re
import sys

import roff

NOISE = re.compile(r"^(#ifndef|#ifdef|#endif|#define \w+_H$|#if |#else|#include|extern \"C\"|\}\s*$)")


def strip_comment(text):
    lines = re.sub(r"^/\*+|\*/$", "", text.strip()).split("\n")
    return "\n".join(re.sub(r"^\s*\* ?", "", line).rstrip() for line in lines).strip()


def declaration(text):
    text = text.replace("VDE_API ", "").replace("LH_API ", "").replace("VDE_MUST_CHECK ", "")
    return "\n".join(line for line in text.split("\n") if not NOISE.match(line)).strip("\n")


def sections(text):
    """(comment, declarations) in order; a comment at the end of a line or inside a struct stays with its declaration."""
    parts = re.split(r"^(/\*.*?\*/)$", text, flags=re.M | re.S)
    for comment, declarations in zip(parts[1::2], parts[2::2], strict=True):
        yield strip_comment(comment), declaration(declarations)


def page(library, version, header):
    text = header.read_text(encoding="utf-8")
    pairs = [(comment, body) for comment, body in sections(text) if not comment.startswith("SPDX")]
    name, _, summary = pairs[0][0].partition(" -- ")
    first, _, rest = summary.partition("\n\n")
    topic = f"{library}_{pathlib.Path(name).stem}"
    source = roff.title(topic, 3, f"{library} {version}", "Library functions")
    source += roff.heading("name") + f"{topic} \\- {roff.escape(' '.join(first.split()))}\n"
    package = "vde" if library == "vde" else "lakehouse"
    synopsis = f"#include <{package}/{name}>\n\ncc ... $(pkg-config --cflags --libs lib{package})"
    source += roff.heading("synopsis") + roff.literal(synopsis)
    source += roff.heading("description") + roff.paragraphs(rest or first)
    for comment, body in pairs:
        if comment is not pairs[0][0] and comment:
            source += roff.paragraphs(comment.strip("- "))
        if body.strip():
            source += roff.literal(body)
    source += roff.heading("see also") + ".BR vdectl (1)\n"
    return topic, source


def main():
    library, version, folder = sys.argv[1:4]
    for path in sys.argv[4:]:
        topic, source = page(library, version, pathlib.Path(path))
        roff.write(folder, topic, 3, source)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The functions that public headers declare, and the symbol map that exports exactly these.

exports.py HEADER...                 print the names
exports.py --map NODE HEADER...      print the symbol map
"""
import re
import sys


def strip_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def declared(paths):
    """Names of everything declared with VDE_API or LH_API, functions and objects."""
    names = set()
    for path in paths:
        with open(path, encoding="utf-8") as header:
            text = strip_comments(header.read())
        text = re.sub(r"^[ \t]*#.*(?:\\\n.*)*$", "", text, flags=re.M)
        for match in re.finditer(r"\b(?:VDE_API|LH_API)\b([^;{]*?)\b((?:vde|lh)_\w+)\s*(?:\(|;|\[)", text):
            names.add(match.group(2))
    return sorted(names)


def symbol_map(node, names):
    lines = [f"{node} {{", "  global:"] + [f"    {name};" for name in names] + ["  local:", "    *;", "};"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1] == "--map":
        sys.stdout.write(symbol_map(sys.argv[2], declared(sys.argv[3:])))
    else:
        print("\n".join(declared(sys.argv[1:])))

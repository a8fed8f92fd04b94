#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No function has more than 90 lines, except those of long-functions.txt ("path function lines"). That list only
# shrinks: an entry that is too generous is an error as well.
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1
limit=90
list=tools/lint/long-functions.txt

command -v ctags >/dev/null || { echo "functions: ctags is missing (package universal-ctags)"; exit 1; }
# shellcheck disable=SC2046
ctags --languages=C --langmap=C:.c.h --kinds-C=f --fields=+ne --output-format=u-ctags -f - \
    $(find vde lakehouse tools fuzz -name '*.[ch]' 2>/dev/null | sort) |
    awk -F'\t' -v limit="$limit" -v list="$list" '
    BEGIN {
        while ((getline text < list) > 0)
            if (text !~ /^#/ && split(text, entry, " ") == 3)
                allowed[entry[1] " " entry[2]] = entry[3]
    }
    {
        start = end = 0
        for (i = 4; i <= NF; i++) {
            if ($i ~ /^line:/) start = substr($i, 6)
            if ($i ~ /^end:/) end = substr($i, 5)
        }
        if (start == 0 || end == 0)
            next
        functions++
        lines = end - start + 1
        key = $2 " " $1
        if (key in allowed) {
            seen[key] = 1
            if (lines != allowed[key] || lines <= limit) {
                print $2 ":" start ": " $1 " has " lines " lines, " list " says " allowed[key] (lines < allowed[key] ? ": shrink the entry" : "")
                bad++
            }
        } else if (lines > limit) {
            print $2 ":" start ": " $1 " has " lines " lines, at most " limit
            bad++
        }
    }
    END {
        for (key in allowed)
            if (!(key in seen)) {
                print list ": " key " does not exist any more: remove the entry"
                bad++
            }
        print "functions: " functions + 0 " functions, " bad + 0 " findings"
        exit bad > 0 || functions == 0
    }'

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every source file says its licence in its first lines, C files are named in snake_case, and the guard of a header
# ends with its name. The libraries export nothing but vde_ and lh_.
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1

find vde lakehouse tools fuzz tests cmake \( -path tests/data -o -name corpus -o -name __pycache__ \) -prune -o \
    \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.sh' -o -name '*.py' -o -name '*.cmake' \) -print 2>/dev/null | sort |
    awk '
    function complain(text) { print path ": " text; bad++ }
    {
        path = $1
        files++
        name = path
        sub(/.*\//, "", name)
        if (path ~ /\.[ch]$/ && name !~ /^[a-z0-9_]+\.[ch]$/)
            complain("name is not snake_case")
        spdx = line = 0
        guard = ""
        while ((getline text < path) > 0) {
            line++
            if (line <= 3 && text ~ /SPDX-License-Identifier: Apache-2\.0/) spdx = 1
            if (guard == "" && text ~ /^#ifndef /) { split(text, part, " "); guard = part[2] }
            if (line > 3 && (path !~ /\.h$/ || guard != "")) break
        }
        close(path)
        if (!spdx) complain("no SPDX-License-Identifier in its first lines")
        if (path ~ /\.h$/) {
            want = toupper(name)
            gsub(/[.-]/, "_", want)
            if (guard == "" || substr(guard, length(guard) - length(want) + 1) != want)
                complain("guard is \"" guard "\", expected one that ends in " want)
        }
    }
    END { print "names: " files + 0 " files, " bad + 0 " findings"; exit bad > 0 || files == 0 }'

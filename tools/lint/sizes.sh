#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No source file has more than 800 lines.
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1

find vde lakehouse tools fuzz tests \( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' \) 2>/dev/null | sort | xargs -r wc -l |
    awk '$2 == "total" { next }
         { files++ }
         $1 > 800 { print $2 ": " $1 " lines, at most 800"; bad++ }
         END { print "sizes: " files + 0 " files, " bad + 0 " findings"; exit bad > 0 || files == 0 }'

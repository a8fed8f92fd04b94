#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The libraries never print, abort or exit, and nobody uses calls that can't be used safely.
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1

anywhere='strcpy|strcat|stpcpy|sprintf|vsprintf|gets|atoi|atol|atoll|atof|strtok|alloca|tmpnam|mktemp|rand|srand|localtime|gmtime|ctime|asctime'
libraries='printf|vprintf|fprintf|vfprintf|dprintf|puts|putchar|fputs|fputc|putc|perror|psignal|err|errx|warn|warnx|syslog|abort|exit|_exit|_Exit|quick_exit|assert|system|popen|signal|sigaction|setlocale|setenv|putenv'

find vde lakehouse tools fuzz -name '*.[ch]' 2>/dev/null | sort |
    awk -v anywhere="$anywhere" -v libraries="$libraries" '
    # Comments and string contents are not calls.
    function plain(text,    out) {
        out = ""
        while (length(text) > 0) {
            if (in_comment) {
                if (!match(text, /\*\//)) return out
                text = substr(text, RSTART + 2)
                in_comment = 0
            } else if (match(text, /\/\*|\/\/|"([^"\\]|\\.)*"|\047([^\047\\]|\\.)+\047/)) {
                token = substr(text, RSTART, RLENGTH)
                out = out substr(text, 1, RSTART - 1) " "
                text = substr(text, RSTART + RLENGTH)
                if (token == "//") return out
                if (token == "/*") in_comment = 1
            } else {
                return out text
            }
        }
        return out
    }
    function hunt(names, why) {
        if (match(code, "(^|[^A-Za-z0-9_>.])(" names ")[ \t]*\\(")) {
            call = substr(code, RSTART, RLENGTH)
            gsub(/[^A-Za-z0-9_]/, "", call)
            print path ":" line ": " call "() " why
            bad++
        }
    }
    {
        path = $1
        files++
        line = 0
        in_comment = 0
        while ((getline text < path) > 0) {
            line++
            code = plain(text)
            hunt(anywhere, "is banned")
            if (path ~ /^(vde|lakehouse)\//) hunt(libraries, "has no place in a library")
            if (code ~ /__(DATE|TIME|TIMESTAMP)__/) { print path ":" line ": builds must be reproducible"; bad++ }
        }
        close(path)
    }
    END { print "banned: " files + 0 " files, " bad + 0 " findings"; exit bad > 0 || files == 0 }'

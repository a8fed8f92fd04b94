#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Includes only point down. A quoted include is "layer/file.h" or a file of the same folder; liblakehouse and the tools
# see the engine through <vde/...> alone. Layers on one line below may use one another as long as there is no cycle.
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1

vde_order='base;format;io;space log tree;pool;dataset;check;copy'
lakehouse_order='model;state;txlog;timetravel table;delta iceberg'

{
    find vde -name '*.[ch]' 2>/dev/null | sort | sed 's/^/vde /'
    find lakehouse -name '*.[ch]' 2>/dev/null | sort | sed 's/^/lakehouse /'
    find tools -name '*.[ch]' 2>/dev/null | sort | sed 's/^/tools /'
} | awk -v vde_order="$vde_order" -v lakehouse_order="$lakehouse_order" '
function ranks(part, text,    lines, names, i, j, n, m) {
    n = split(text, lines, ";")
    for (i = 1; i <= n; i++) {
        m = split(lines[i], names, " ")
        for (j = 1; j <= m; j++)
            rank[part, names[j]] = i
    }
}
function complain(text) {
    print path ":" line ": " text
    bad++
}
function quoted(part, folder, layer, target,    parts, below, probe) {
    if (index(target, "/") == 0) {
        probe = folder "/" target
        if ((getline ignored < probe) < 0)
            complain("\"" target "\" is not in this folder: name it by its layer")
        close(probe)
        return
    }
    split(target, parts, "/")
    below = parts[1]
    if (part == "tools") {
        complain("tools use public headers only, not \"" target "\"")
    } else if (!((part, below) in rank)) {
        complain("\"" target "\" is of no layer of " part "/")
    } else if (layer == "include") {
        complain("a public header includes the private \"" target "\"")
    } else if (rank[part, below] > rank[part, layer]) {
        complain(part "/" layer " includes upwards: \"" target "\"")
    } else if (below != layer && rank[part, below] == rank[part, layer]) {
        edge[part " " layer " " below] = path ":" line
    }
}
BEGIN {
    ranks("vde", vde_order)
    ranks("lakehouse", lakehouse_order)
}
{
    part = $1
    path = $2
    files++
    folder = path
    sub(/\/[^\/]*$/, "", folder)
    split(path, pieces, "/")
    layer = pieces[2]
    line = 0
    if (part != "tools" && layer != "include" && !((part, layer) in rank))
        complain("folder " part "/" layer " is of no layer: add it to the order in layers.sh")
    while ((getline text < path) > 0) {
        line++
        if (text !~ /^[ \t]*#[ \t]*include/)
            continue
        if (match(text, /"[^"]*"/)) {
            quoted(part, folder, layer, substr(text, RSTART + 1, RLENGTH - 2))
        } else if (match(text, /<[^>]*>/)) {
            target = substr(text, RSTART + 1, RLENGTH - 2)
            if (part == "vde" && target ~ /^lakehouse\//)
                complain("the engine knows nothing of tables: <" target ">")
        }
    }
    close(path)
}
END {
    # Within a line of the order: x -> y and y -> x, directly or over a third.
    for (a in edge) {
        split(a, x, " ")
        for (b in edge) {
            split(b, y, " ")
            if (x[1] != y[1] || x[3] != y[2])
                continue
            third = x[1] " " y[3] " " x[2]
            if (y[3] == x[2] || third in edge) {
                print edge[a] ": " x[2] " and " x[3] " include one another"
                bad++
            }
        }
    }
    if (files == 0) {
        print "layers: no source files found"
        exit 1
    }
    print "layers: " files " files, " bad + 0 " findings"
    exit bad > 0
}'

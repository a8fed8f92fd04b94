#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# test-engine.sh [number...] -- build the engine with one rule turned off at a time and show that the test that list.txt
# names fails.
# Only the files that know the rules are compiled again. Status 0: every mutation was found; 1: one was not.
# ctest: labels=extended serial
set -u
cd "$(dirname "$0")/../.." || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/vde-mutation-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
cc=${VDE_CC:-cc}
flags=(-std=c11 -D_GNU_SOURCE -DVDE_ASSERTIONS=1 -O1 -g -w -Ivde/include -Ivde -Itests -Itests/support)
libraries=(-luring -laio -lxxhash -lzstd -lpthread -lm)
wanted=" $* "

object() { echo "$work/$1/$(tr / _ <<<"$2").o"; }

# compile FOLDER FLAG FILE...
compile() {
    local folder=$1 flag=$2 file
    shift 2
    mkdir -p "$work/$folder"
    for file; do
        "$cc" "${flags[@]}" "$flag" -c "$file" -o "$(object "$folder" "$file")" || exit 2
    done
}

# build PROGRAM FLAG: link it with the mutated objects where there are some.
build() {
    local program=$1 folder=$2 file objects=() extra=()
    for file in "${sources[@]}" "${helpers[@]}"; do
        if [ -e "$(object "$folder" "$file")" ]; then
            objects+=("$(object "$folder" "$file")")
        else
            objects+=("$(object plain "$file")")
        fi
    done
    grep -q 'include <criterion/' "tests/crash/$program.c" && extra=(-lcriterion)
    "$cc" "${flags[@]}" "tests/crash/$program.c" "${objects[@]}" "${libraries[@]}" "${extra[@]}" \
        -o "$work/$folder/$program" || exit 2
}

mapfile -t sources < <(find vde -name '*.c' | sort)
mapfile -t mutable < <(grep -l 'MUTATED(' "${sources[@]}")
mapfile -t helpers < <(grep -L 'int main(\|include <criterion/' tests/crash/*.c; grep -L 'include <criterion/' tests/support/*.c)
compile plain -DVDE_MUTATE=0 "${sources[@]}" "${helpers[@]}"

missed=0
while read -r number program arguments; do
    [[ $number =~ ^[0-9]+$ ]] || continue
    [ $# -eq 0 ] || [[ $wanted == *" $number "* ]] || continue
    compile "m$number" "-DVDE_MUTATE=$number" "${mutable[@]}"
    build "$program" "m$number"
    # shellcheck disable=SC2086 # the arguments are words
    if timeout 600 "$work/m$number/$program" $arguments >"$work/log" 2>&1; then
        echo "mutation $number: NOT FOUND by $program $arguments"
        missed=1
    else
        echo "mutation $number: found by $program: $(grep -m1 -a 'VIOLATION\|FAIL\|Assert' "$work/log" | cut -c1-160)"
    fi
    rm -rf "${work:?}/m$number"
done <tests/mutation/list.txt
exit "$missed"

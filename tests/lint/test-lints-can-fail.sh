#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every lint of ours finds what it is there for: each is run over a small tree with one planted violation.
set -u
lints=${VDE_SOURCE_DIR:?}/tools/lint
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
licence='SPDX-License-Identifier: Apache-2.0'

# A tree without findings.
plant_tree() {
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree"/{vde/base,vde/io,vde/tree,vde/log,lakehouse/model,lakehouse/table,tools/lint,tools/vdectl}
    cd "$scratch/tree" || exit 1
    printf '/* %s */\n#ifndef BASE_LE_H\n#define BASE_LE_H\n#endif\n' "$licence" >vde/base/le.h
    printf '/* %s */\n#include "base/le.h"\nint one(void)\n{\n    return 1; /* no abort() here */\n}\n' "$licence" >vde/io/file.c
    printf '/* %s */\n#ifndef MODEL_A_H\n#define MODEL_A_H\n#endif\n' "$licence" >lakehouse/model/a.h
    printf '#!/usr/bin/env bash\n# %s\necho hello\n' "$licence" >tools/quick.sh
    printf '"""Nothing."""\n# %s\n' "$licence" >tools/nothing.py
    : >tools/lint/long-functions.txt
}

# finds <lint> <what is wrong>: must fail now, and say something.
finds() {
    if bash "$lints/$1.sh" "$PWD" >"$scratch/out" 2>&1; then
        echo "FAILED: $1 did not find: $2"
        failed=1
    else
        echo "$1 finds: $2"
    fi
}

plant_tree
for lint in layers sizes functions banned workplace names shellcheck cppcheck ruff; do
    bash "$lints/$lint.sh" "$PWD" >"$scratch/out" 2>&1 || { echo "FAILED: $lint on a good tree:"; cat "$scratch/out"; failed=1; }
done

plant_tree && printf '#include "io/file.h"\n' >>vde/base/le.h && finds layers "an include that points up"
plant_tree && printf '#include "base/le.h"\n' >>lakehouse/model/a.h && finds layers "a private header of the engine in liblakehouse"
plant_tree && printf '#include <lakehouse/table.h>\n' >>vde/io/file.c && finds layers "tables in the engine"
plant_tree && printf '#include "base/le.h"\n' >tools/vdectl/main.c && finds layers "a private header in a tool"
plant_tree && printf '#include "log/b.h"\n' >vde/tree/a.h && printf '#include "tree/a.h"\n' >vde/log/b.h && finds layers "a cycle"
plant_tree && mkdir vde/zoo && cp vde/base/le.h vde/zoo/ && finds layers "a folder of no layer"
plant_tree && yes '/* line */' | head -n 801 >>vde/io/file.c && finds sizes "a file of more than 800 lines"
plant_tree && { printf 'int two(void)\n{\n'; yes '    one();' | head -n 90; printf '}\n'; } >>vde/io/file.c && finds functions "a long function"
plant_tree && printf 'vde/io/file.c one 100\n' >tools/lint/long-functions.txt && finds functions "an exception that is too generous"
plant_tree && printf 'vde/io/file.c gone 100\n' >tools/lint/long-functions.txt && finds functions "an exception for nothing"
for call in 'abort()' 'printf("x")' 'exit(1)' 'assert(1)' 'strcpy(a, b)' 'sprintf(a, "x")' 'atoi(a)'; do
    plant_tree && printf 'void two(void)\n{\n    %s;\n}\n' "$call" >>vde/io/file.c && finds banned "$call"
done
plant_tree && printf 'const char *when = __DATE__;\n' >>vde/io/file.c && finds banned "the date of the build"
plant_tree && printf 'See /%s/somebody/notes.txt\n' home >README.md && finds workplace "a path of somebody's machine"
plant_tree && sed -i 1d vde/io/file.c && finds names "a file without licence"
plant_tree && sed -i 's/BASE_LE_H/OTHER/' vde/base/le.h && finds names "a wrong header guard"
plant_tree && printf '/* %s */\n' "$licence" >vde/io/File.c && finds names "a name in mixed case"
# shellcheck disable=SC2016
plant_tree && printf 'rm -rf $1/*\n' >>tools/quick.sh && finds shellcheck "an unquoted variable"
plant_tree && printf 'int two(void)\n{\n    int a[2];\n    a[2] = 1;\n    return a[0];\n}\n' >>vde/io/file.c && finds cppcheck "a write out of bounds"
plant_tree && printf 'import os\n' >tools/x.py && finds ruff "an unused import"

# clang-tidy needs to know how files are compiled; it sees that what raises a failure does not return VDE_OK.
tidy_tree() {
    plant_tree && mkdir -p vde/include/vde && cp "$VDE_SOURCE_DIR"/vde/include/vde/error.h vde/include/vde/ &&
        cp "$VDE_SOURCE_DIR/.clang-tidy" . && cp "$VDE_SOURCE_DIR/tools/lint/analysis.h" tools/lint/
    printf '[{"directory": "%s", "file": "vde/io/file.c", "command": "cc -Ivde/include -Ivde -c vde/io/file.c"}]\n' \
        "$PWD" >compile_commands.json
    export VDE_BUILD_DIR=$PWD
}
raise='#include <vde/error.h>\nstatic vde_status set(int *out, int in)\n{\n    if (in < 0)\n        return vde_error_set(VDE_INVAL, "in", "a", "b");\n    *out = in;\n    return VDE_OK;\n}\n'
# shellcheck disable=SC2059
tidy_tree && printf "$raise"'int two(int in);\nint two(int in)\n{\n    int out;\n    if (set(&out, in) != VDE_OK)\n        return 0;\n    return out;\n}\n' >>vde/io/file.c
bash "$lints/clang-tidy.sh" "$PWD" >"$scratch/out" 2>&1 || { echo "FAILED: clang-tidy on a good tree:"; cat "$scratch/out"; failed=1; }
# shellcheck disable=SC2059
tidy_tree && printf "$raise"'int two(int in);\nint two(int in)\n{\n    int out;\n    (void)!set(&out, in);\n    return out;\n}\n' >>vde/io/file.c && finds clang-tidy "a result that is used after a failure"
tidy_tree && printf 'int two(int *p);\nint two(int *p)\n{\n    return p ? 1 : *p;\n}\n' >>vde/io/file.c && finds clang-tidy "a null pointer that is followed"
exit $failed

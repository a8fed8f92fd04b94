# SPDX-License-Identifier: Apache-2.0
"""docs/requirements.md: every requirement names tests that show it, and every test it names exists.

An entry is a list item "- **name**: what is required. → `test`, `test:case`". `test` is a name that ctest knows; `case`
is a test inside that program: a Criterion test, a Python method or any other word that stands in its source.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ["VDE_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["VDE_BUILD_DIR"])
DOCUMENT = ROOT / "docs" / "requirements.md"


def registered():
    """Names of the tests of this build, each with the source file that the name comes from."""
    listing = subprocess.run(["ctest", "--test-dir", str(BUILD), "--show-only=json-v1"], check=True,
                             capture_output=True, text=True).stdout
    tests = {test["name"]: source_of(test["name"]) for test in json.loads(listing)["tests"]}
    # The stress programs are registered in the build with the thread sanitizer.
    for source in (ROOT / "tests" / "stress").glob("*.c"):
        if re.search(r"int main\(", source.read_text()):
            tests["stress." + re.sub(r"^(test|stress)_", "", source.stem)] = source
    # Long heavy programs are registered in the build without sanitizers.
    for source in (ROOT / "tests" / "crash").glob("*.c"):
        if re.search(r"ctest: .*labels=heavy,extended", source.read_text()):
            tests["crash." + re.sub(r"^(test|crash)_", "", source.stem)] = source
    return tests


def source_of(name):
    kind, _, rest = name.partition(".")
    folders = {"unit": "tests/unit/" + rest.partition(".")[0], "fuzz": "fuzz"}
    folder = ROOT / folders.get(kind, f"tests/{kind}")
    stem = rest.rpartition(".")[2] if kind == "unit" else rest
    for pattern in (f"test_{stem}.c", f"{kind}_{stem}.c", f"{stem}.c", f"test[-_]{stem}.py", f"test[-_]{stem}.sh"):
        for source in folder.glob(pattern):
            return source
    lint = ROOT / "tools" / "lint" / f"{stem}.sh"
    return lint if lint.exists() else None


def entries(text):
    """(line number, name, tests) of every requirement; an entry ends at the next one, a heading or an empty line."""
    current = None
    for number, line in enumerate(text.splitlines(), 1):
        begin = re.match(r"- \*\*(.+?)\*\*", line)
        if begin or not line.strip() or line.startswith("#"):
            if current:
                yield current
            current = (number, begin.group(1), "") if begin else None
        if current:
            current = (current[0], current[1], current[2] + " " + line.strip())
    if current:
        yield current


def check(text, tests):
    findings, count = [], 0
    for number, name, body in entries(text):
        count += 1
        where = f"docs/requirements.md:{number}: {name}"
        named = re.findall(r"`([^`]+)`", body.partition("→")[2])
        if not named:
            findings.append(f"{where}: no test shows it")
        for test in named:
            program, _, case = test.partition(":")
            if program not in tests:
                findings.append(f"{where}: there is no test {program}")
            elif case:
                source = tests[program]
                if source is None or not re.search(rf"\b{re.escape(case)}\b", source.read_text()):
                    findings.append(f"{where}: {program} has no case {case}")
    if count == 0:
        findings.append("docs/requirements.md: no requirements found")
    return findings, count


def self_test():
    tests = {"unit.a.b": pathlib.Path(__file__)}
    assert check("- **x**: y. → `unit.a.b`\n", tests)[0] == []
    assert check("- **x**: y. → `unit.a.b:self_test`\n", tests)[0] == []
    for bad in ("- **x**: y.\n", "- **x**: y `unit.a.b` →\n", "- **x**: y. → `unit.a.c`\n", "nothing\n",
                "- **x**: y. → `unit.a.b:no_" + "such_case`\n", "- **x**: y.\n- **z**: y. → `unit.a.b`\n"):
        assert len(check(bad, tests)[0]) == 1, bad


if __name__ == "__main__":
    self_test()
    found, total = check(DOCUMENT.read_text(), registered())
    print("\n".join([*found, f"{total} requirements, {len(found)} findings"]))
    sys.exit(bool(found))

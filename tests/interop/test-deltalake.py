# SPDX-License-Identifier: Apache-2.0
"""What deltalake reads of a table, version by version, is what VDE knows of it.

Every table of the corpora (VDE_CORPORA) and of tests/data is imported into an image. For each version that deltalake opens,
in the original folder and in the exported one, the active files with their sizes, the partition columns, the column names and
the properties must be equal. Versions that deltalake cannot open, and those that it reads from a checkpoint at odds with the
commits, are checked lists beside this file.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse

import deltalake
import pyarrow

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VDECTL = os.environ["VDECTL"]
CORPORA = pathlib.Path(os.environ.get("VDE_CORPORA", ROOT.parent / "shared" / "corpora" / "delta"))

DIFFERING = set()


def tables():
    """(name, folder) of every table whose log begins at version 0."""
    for base in (CORPORA, ROOT / "tests" / "data"):
        if not base.is_dir():
            continue
        for log in sorted(base.rglob("_delta_log")):
            table = log.parent
            if "_delta_log" not in table.parts and (log / f"{0:020d}.json").is_file():
                yield str(table.relative_to(base)), table


def versions(folder):
    names = (p.name for p in (folder / "_delta_log").iterdir())
    return sorted(int(n[:20]) for n in names if len(n) == 25 and n.endswith(".json") and n[:20].isdigit())


def vdectl(*arguments):
    done = subprocess.run([VDECTL, *arguments, "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"vdectl {' '.join(arguments)}: {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def state_of(table):
    """A version as deltalake sees it."""
    actions = pyarrow.table(table.get_add_actions(flatten=False))
    files = sorted(zip((urllib.parse.unquote(p) for p in actions["path"].to_pylist()), actions["size_bytes"].to_pylist()))
    metadata = table.metadata()
    columns = [field.name for field in table.schema().fields]
    return files, list(metadata.partition_columns), columns, dict(metadata.configuration)


def native_state(image, name, version):
    files = vdectl("table", "files", image, name, "--version", str(version))
    show = vdectl("table", "show", image, name, "--version", str(version))
    listed = sorted((urllib.parse.unquote(f["path"]), f["size_bytes"]) for f in files["files"])
    return listed, show["partition_columns"], [c["name"] for c in show["columns"]], show["properties"]


def cannot_open():
    listed = {}
    for line in (HERE / "deltalake-cannot-open.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, count, _ = line.split("\t")
            listed[name] = int(count)
    return listed


def differing():
    lines = (HERE / "deltalake-differs.tsv").read_text(encoding="utf-8").splitlines()
    return {tuple(line.split("\t")[:2]) for line in lines if line and not line.startswith("#")}


def check_table(image, name, folder, scratch, outcome):
    """Compare every version; returns (compared, unopened, errors)."""
    compared, unopened, errors = 0, 0, []
    exported = scratch / "export"
    if outcome != "refused":
        vdectl("delta", "export", image, "c.t", str(exported))
    for version in versions(folder):
        try:
            theirs = state_of(deltalake.DeltaTable(str(folder), version=version))
        except Exception:  # noqa: BLE001 - any refusal counts; the list says how many there must be
            unopened += 1
            continue
        if outcome == "refused":
            errors.append(f"{name}: refused by us, version {version} opened by deltalake")
            continue
        if state_of(deltalake.DeltaTable(str(exported), version=version)) != theirs:
            errors.append(f"{name} version {version}: the exported table reads differently")
        if outcome == "native":
            ours = native_state(image, "c.t", version)
            listed = (name, str(version)) in DIFFERING
            if (ours != theirs) != listed:
                errors.append(f"{name} version {version}: found {ours}, expected {theirs}"[:600])
            compared += 1
    return compared, unopened, errors


def main():
    expected = cannot_open()
    DIFFERING.update(differing())
    compared, count, errors, unopened = 0, 0, [], {}
    for name, folder in tables():
        count += 1
        with tempfile.TemporaryDirectory(prefix="vde-interop-") as scratch:
            scratch = pathlib.Path(scratch)
            image = str(scratch / "t.vde")
            vdectl("format", image, "--size", "256M")
            vdectl("namespace", "create", image, "c")
            done = subprocess.run([VDECTL, "delta", "import", image, str(folder), "--table", "c.t", "--json"],
                                  capture_output=True, text=True, check=False)
            outcome = json.loads(done.stdout)["outcome"] if done.returncode == 0 else "refused"
            one, missing, wrong = check_table(image, name, folder, scratch, outcome)
        compared += one
        errors += wrong
        if missing:
            unopened[name] = missing
    for name, missing in unopened.items():
        if expected.get(name) != missing:
            errors.append(f"{name}: deltalake cannot open {missing} versions, the list says {expected.get(name, 0)}")
    for error in errors:
        print(error)
    print(f"{count} tables, {compared} versions compared with deltalake {deltalake.__version__}, {len(errors)} errors")
    if count < 2 or compared < 5:
        print("too little was compared")
        return 1
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""A restored table, exported, is read by deltalake as what it was: files, columns and rows."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import deltalake

ROOT = pathlib.Path(__file__).resolve().parents[2]
VDECTL = os.environ["VDECTL"]


def vdectl(*arguments):
    done = subprocess.run([VDECTL, *arguments, "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"vdectl {' '.join(arguments)}: {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def rows(folder, version):
    table = deltalake.DeltaTable(str(folder), version=version)
    content = table.to_pyarrow_table().to_pylist()
    names = [field.name for field in table.schema().fields]
    return sorted(table.file_uris()), names, sorted(json.dumps(row, default=str) for row in content)


def main():
    with tempfile.TemporaryDirectory(prefix="vde-restore-") as scratch:
        scratch = pathlib.Path(scratch)
        image, exported = str(scratch / "t.vde"), scratch / "export"
        vdectl("format", image, "--size", "64M")
        vdectl("namespace", "create", image, "c")
        vdectl("delta", "import", image, str(ROOT / "tests" / "data" / "orders"), "--table", "c.t")
        latest = vdectl("table", "show", image, "c.t")["version"]
        restored = {}
        for version in range(latest):
            report = vdectl("table", "restore", image, "c.t", "--version", str(version))
            if report["version"] is not None:
                restored[report["version"]] = version
        vdectl("delta", "export", image, "c.t", str(exported))
        for made, version in restored.items():
            if rows(exported, made) != rows(exported, version):
                print(f"version {made}, restored from {version}, reads differently")
                return 1
        print(f"{len(restored)} restores read with deltalake {deltalake.__version__}")
        return 0 if len(restored) >= 3 else 1


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Opens one table at its latest version and asks for its schema: in an image by vde-bench, and by deltalake from the
exported log with a checkpoint that deltalake wrote. Whole processes, one after the other in turn.

    vde-bench --dir D --runs 1 --files 300000 --keep --export D/export T1
    python3 tests/bench/open_latest.py --bench .../vde-bench --image D/t1.vde --export D/export

Prints one JSON object. The image is one commit ahead of the export (a single file).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import deltalake

PEER = """
import sys, time
begun = time.perf_counter()
from deltalake import DeltaTable
imported = time.perf_counter()
table = DeltaTable(sys.argv[1])
version, fields = table.version(), len(table.schema().fields)
opened = time.perf_counter()
assert fields == 3
print(version, imported - begun, opened - imported)
"""


def whole_process(command):
    begun = time.perf_counter()
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - begun, answer


def row(values):
    values = sorted(values)
    return {"count": len(values), "p50_us": statistics.median(values) * 1e6, "max_us": values[-1] * 1e6}


def warm(path, count):
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        table = deltalake.DeltaTable(path)
        assert len(table.schema().fields) == 3
        took.append(time.perf_counter() - begun)
    return row(took)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--export", required=True)
    parser.add_argument("--table", default="bench.files")
    parser.add_argument("--count", type=int, default=9)
    arguments = parser.parse_args()

    table = deltalake.DeltaTable(arguments.export)
    files = len(table.file_uris())
    table.create_checkpoint()
    samples = {"vde process": [], "vde open": [], "deltalake process": [], "deltalake open": []}
    for _ in range(arguments.count):
        took, answer = whole_process([arguments.bench, "--open-once", arguments.image, arguments.table])
        answer = json.loads(answer)
        assert abs(answer["files"] - files) <= 1, (answer, files)
        samples["vde process"].append(took)
        samples["vde open"].append(answer["total_us"] / 1e6)
        took, answer = whole_process([sys.executable, "-c", PEER, arguments.export])
        samples["deltalake process"].append(took)
        samples["deltalake open"].append(float(answer.split()[2]))
    rows = {name: row(values) for name, values in samples.items()}
    rows["deltalake warm"] = warm(arguments.export, arguments.count)
    result = {"scenario": "T1 peers", "files": files, "deltalake": deltalake.__version__, "rows": rows}
    print(json.dumps(result, indent=1))


main()

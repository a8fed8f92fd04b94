# SPDX-License-Identifier: Apache-2.0
"""`qemu-img bench`: a VDE volume behind nbdkit against qcow2 behind qemu-nbd, and qcow2 opened by qemu-img itself.

    python3 tests/bench/qemu_img_bench.py --plugin build/release/nbdkit-vde-plugin.so --vdectl build/release/vdectl --dir D

Files as in nbd.py: written in full with random data, compared before anything is timed, used with O_DIRECT. Requests of
4 KiB go around the disk in steps of about 0.6 of its size, so that each block comes once before any comes again. No
flushes. Turns are interleaved; prints one JSON object per operation, depth and run.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys

from nbd import prepare, server

COUNTS = {1: 4000, 32: 30000}


def bench(target, operation, depth, size):
    """Requests a second."""
    blocks = size // 4096
    step = (blocks * 5 // 8 | 1) * 4096
    command = ["qemu-img", "bench", "-t", "none", "-c", COUNTS[depth], "-d", depth, "-s", 4096, "-S", step, *target]
    if operation == "write":
        command[2:2] = ["-w", "--pattern=90"]
    out = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
    return COUNTS[depth] / float(out.rpartition("Run completed in ")[2].split()[0])


def measure(arguments, targets):
    for run in range(1, arguments.runs + 1):
        for operation in ("read", "write"):
            for depth, requests in COUNTS.items():
                rates = {name: [] for name in targets}
                for _ in range(arguments.turns):
                    for name, target in targets.items():
                        rates[name].append(bench(target, operation, depth, arguments.size << 20))
                row = {"scenario": "qemu-img bench", "operation": operation, "iodepth": depth, "run": run,
                       "turns": arguments.turns, "requests": requests}
                for name in targets:
                    row[name] = round(statistics.median(rates[name]))
                    ratios = [mine / other for mine, other in zip(rates["vde"], rates[name])]
                    row[f"vde_to_{name}"] = round(statistics.median(ratios), 3)
                del row["vde_to_vde"]
                print(json.dumps(row), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--plugin", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--vdectl", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--dir", required=True)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the volume")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--runs", type=int, default=2)
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.dir).resolve()
    raw, image, qcow2 = prepare(folder, arguments)
    sockets = {name: str(folder / f"{name}.sock") for name in ("vde", "qcow2")}
    with contextlib.ExitStack() as stack:
        stack.enter_context(server(["nbdkit", "-f", "-t", 32, "-U", sockets["vde"], arguments.plugin, f"image={image}"],
                                   sockets["vde"]))
        stack.enter_context(server(["qemu-nbd", "-t", "-k", sockets["qcow2"], "-f", "qcow2", "--cache=none", "--aio=native",
                                    "--discard=unmap", qcow2], sockets["qcow2"]))
        own = folder / "own.qcow2"
        subprocess.run(["cp", "--reflink=never", qcow2, own], check=True)
        measure(arguments, {
            "raw": ["-n", "-f", "raw", raw],
            "qcow2_direct": ["-n", "-f", "qcow2", own],
            "qcow2": ["-f", "raw", f"nbd+unix:///?socket={sockets['qcow2']}"],
            "vde": ["-f", "raw", f"nbd+unix:///?socket={sockets['vde']}"],
        })
    for path in (raw, image, qcow2, own):
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""4 KiB random reads and writes over NBD: a VDE volume behind nbdkit against qcow2 behind qemu-nbd.

    python3 tests/bench/nbd.py --plugin build/release/nbdkit-vde-plugin.so --vdectl build/release/vdectl --dir D

All files lie in D, are written in full with random data beforehand and used with O_DIRECT; unix sockets, one
connection, no flushes while timing. The turns are short and interleaved: floor (fio with io_uring on a plain file),
transport (nbdkit's memory plugin: what NBD alone costs), vde, qcow2, and again. Before anything is timed the volume and
the qcow2 image are compared with the data they were filled with. Prints one JSON object per operation, depth and run:
medians over the turns, and ratios of them (IOPS, and p50 latency the other way round: above 1 is better for VDE).
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

MIB = 1 << 20


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def write_file(path, size):
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
        os.fsync(file.fileno())


def cpu_us(pid):
    """User and system time of a server so far."""
    if pid is None:
        return 0
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000000 // os.sysconf("SC_CLK_TCK")


class Participant:
    def __init__(self, name, fio, pid=None):
        self.name, self.fio, self.pid = name, fio, pid
        self.turns = []

    def turn(self, operation, depth, seconds, seed):
        before = cpu_us(self.pid)
        out = subprocess.run(["fio", "--output-format=json", "--name=turn", "--thread", "--bs=4k", f"--rw={operation}",
                              f"--iodepth={depth}", "--time_based", f"--runtime={seconds}", "--ramp_time=0.2", "--norandommap",
                              "--random_generator=tausworthe64", f"--randseed={seed}", *self.fio],
                             check=True, capture_output=True, text=True).stdout
        spent = cpu_us(self.pid) - before
        (job,) = json.loads(out[out.index("{"):])["jobs"]
        side = job["read" if operation == "randread" else "write"]
        percentile = side["clat_ns"]["percentile"]
        self.turns.append({"iops": side["iops"], "p50_us": percentile["50.000000"] / 1000,
                           "p99_us": percentile["99.000000"] / 1000,
                           "cpu_us": spent / max(1, side["iops"] * (seconds + 0.2))})

    def medians(self):
        return {key: round(statistics.median(turn[key] for turn in self.turns), 2) for key in self.turns[0]}


@contextlib.contextmanager
def server(command, socket_path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket_path)
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)
    try:
        for _ in range(500):
            if os.path.exists(socket_path):
                break
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {process.returncode}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def prepare(folder, arguments):
    """The plain file, the qcow2 image and the VDE image with a volume, all with the same data."""
    size = arguments.size << 20
    raw, image, qcow2 = folder / "raw", folder / "t.vde", folder / "t.qcow2"
    write_file(raw, size)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-t", "none", raw, qcow2)
    write_file(image, size * 3)
    run(arguments.vdectl, "format", image, "--force")
    run(arguments.vdectl, "volume", "create", image, "v", "--size", f"{arguments.size}M")
    run("nbdkit", "-U", "-", arguments.plugin, f"image={image}", "--run",
        f'nbdcopy --flush {raw} "$uri" && qemu-img compare -f raw -F raw {raw} "$uri"')
    run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, qcow2)
    return raw, image, qcow2


def measure(arguments, participants):
    for number in range(1, arguments.runs + 1):
        for operation in ("randread", "randwrite"):
            for depth in (1, 32):
                for participant in participants:
                    participant.turns.clear()
                for turn in range(arguments.turns):
                    for participant in participants:
                        participant.turn(operation, depth, arguments.seconds, number * 1000 + turn)
                report(number, operation, depth, arguments, participants)


def report(number, operation, depth, arguments, participants):
    medians = {participant.name: participant.medians() for participant in participants}
    vde = medians["vde"]
    row = {"scenario": "B2n", "operation": operation, "iodepth": depth, "run": number, "turns": arguments.turns,
           "seconds": arguments.seconds, "size_mib": arguments.size, **medians}
    for name in medians:
        if name != "vde":
            row[f"iops_to_{name}"] = round(vde["iops"] / medians[name]["iops"], 3)
            row[f"p50_to_{name}"] = round(medians[name]["p50_us"] / vde["p50_us"], 3)
    print(json.dumps(row), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--vdectl", required=True)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the volume")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--runs", type=int, default=2)
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.dir).resolve()
    arguments.plugin = pathlib.Path(arguments.plugin).resolve()
    arguments.vdectl = pathlib.Path(arguments.vdectl).resolve()
    raw, image, qcow2 = prepare(folder, arguments)

    def over(path):
        return ["--ioengine=nbd", f"--uri=nbd+unix:///?socket={path}", f"--size={arguments.size}M"]

    sockets = [str(folder / f"{name}.sock") for name in ("vde", "qcow2", "memory")]
    with contextlib.ExitStack() as stack:
        vde = stack.enter_context(server(["nbdkit", "-f", "-t", 32, "-U", sockets[0], arguments.plugin, f"image={image}"],
                                         sockets[0]))
        qemu = stack.enter_context(server(["qemu-nbd", "-t", "-k", sockets[1], "-f", "qcow2", "--cache=none", "--aio=native",
                                           "--discard=unmap", qcow2], sockets[1]))
        memory = stack.enter_context(server(["nbdkit", "-f", "-t", 32, "-U", sockets[2], "memory", f"{arguments.size}M"],
                                            sockets[2]))
        measure(arguments, [
            Participant("floor", ["--ioengine=io_uring", "--direct=1", f"--filename={raw}", f"--size={arguments.size}M"]),
            Participant("transport", over(sockets[2]), memory),
            Participant("vde", over(sockets[0]), vde),
            Participant("qcow2", over(sockets[1]), qemu),
        ])
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""B4 and B5 with peers: VDE volumes, qcow2 with internal snapshots, and files on btrfs on a loop device.

    python3 tests/bench/snapshots.py --plugin build/release/nbdkit-vde-plugin.so --vdectl build/release/vdectl --dir D

Needs root (losetup, mount). B4: each of the three with 0, 10 and 1000 snapshots of a disk that was written in full, 4 KiB
random I/O at depth 32 by fio over NBD (vde: nbdkit; the others: qemu-nbd, --cache=none), O_DIRECT below, no flushes. All nine
servers run at once and take turns. The first turn after the snapshots is reported apart: there everything is still shared.
B5: snapshot, clone and, after a hundredth was overwritten, delete, on 16 MiB scattered over a disk of 1 GiB to 16 TiB; a
time is that of a whole process (vdectl, qemu-img, btrfs), and beside it stands the time of the same program that only looks.
A clone: of qcow2 an overlay on the whole file, of btrfs a writable snapshot. btrfs commits within create and delete (sync -f,
delete -c, then `subvolume sync` until the space is back). Prints one JSON object per row.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import time

from nbd import MIB, Participant, run, server, write_file

STEPS = (0, 10, 1000)
SIZES = {"1 GiB": 1 << 30, "64 GiB": 1 << 36, "1 TiB": 1 << 40, "16 TiB": 1 << 44}
SCATTERED = 4096  # blocks
CREATIONS = 7


def silent(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def btrfs_mount(folder, size):
    """btrfs on a loop device on a file that was written in full."""
    backing, mountpoint = folder / "btrfs.img", folder / "btrfs"
    write_file(backing, size)
    silent("mkfs.btrfs", "-f", backing)
    mountpoint.mkdir(exist_ok=True)
    device = subprocess.run(["losetup", "--show", "--direct-io=on", "-f", str(backing)], check=True, capture_output=True,
                            text=True).stdout.strip()
    try:
        silent("mount", device, mountpoint)
        try:
            yield mountpoint
        finally:
            silent("umount", mountpoint)
    finally:
        silent("losetup", "-d", device)
        backing.unlink()


class Disk:
    """One disk of one kind: how to serve it, and how to take snapshots of it while it is not served."""

    def __init__(self, arguments, folder, name):
        self.arguments, self.name, self.socket = arguments, name, str(folder / f"{name}.sock")

    def served(self):
        return server(self.server_command(), self.socket)

    def fio(self, size):
        return ["--ioengine=nbd", f"--uri=nbd+unix:///?socket={self.socket}", f"--size={size}"]

    def qemu_nbd(self, form, path):
        return ["qemu-nbd", "-t", "-k", self.socket, "-f", form, "--cache=none", "--aio=native", "--discard=unmap", path]


class Vde(Disk):
    kind = "vde"

    def create(self, folder, size, capacity):
        self.image = folder / f"{self.name}.vde"
        write_file(self.image, capacity)
        silent(self.arguments.vdectl, "format", self.image, "--force")
        silent(self.arguments.vdectl, "volume", "create", self.image, "v", "--size", size)
        return [self.image]

    def server_command(self):
        return ["nbdkit", "-f", "-t", 32, "-U", self.socket, self.arguments.plugin, f"image={self.image}",
                "volume=v"]

    def look(self):
        silent(self.arguments.vdectl, "volume", "show", self.image, "v")

    def snapshot(self, name):
        silent(self.arguments.vdectl, "snapshot", "create", self.image, f"v@{name}")

    def clone(self, name, new):
        silent(self.arguments.vdectl, "volume", "clone", self.image, f"v@{name}", new)

    def delete(self, name):
        silent(self.arguments.vdectl, "snapshot", "delete", self.image, f"v@{name}")


class Qcow2(Disk):
    kind = "qcow2"

    def create(self, folder, size, capacity):
        del capacity
        self.folder, self.path = folder, folder / f"{self.name}.qcow2"
        silent("qemu-img", "create", "-f", "qcow2", self.path, size)
        return [self.path]

    def server_command(self):
        return self.qemu_nbd("qcow2", self.path)

    def look(self):
        silent("qemu-img", "info", self.path)

    def snapshot(self, name):
        silent("qemu-img", "snapshot", "-c", name, self.path)

    def clone(self, name, new):
        del name
        silent("qemu-img", "create", "-f", "qcow2", "-F", "qcow2", "-b", self.path, self.folder / f"{self.name}-{new}")
        (self.folder / f"{self.name}-{new}").unlink()

    def delete(self, name):
        silent("qemu-img", "snapshot", "-d", name, self.path)


class Btrfs(Disk):
    kind = "btrfs"
    mountpoint = None

    def create(self, folder, size, capacity):
        del folder, capacity
        self.volume = self.mountpoint / self.name
        silent("btrfs", "subvolume", "create", self.volume)
        silent("truncate", "-s", size, self.volume / "disk")
        return []

    def server_command(self):
        return self.qemu_nbd("raw", self.volume / "disk")

    def look(self):
        silent("btrfs", "subvolume", "show", self.volume)

    def snapshot(self, name):
        silent("btrfs", "subvolume", "snapshot", "-r", self.volume, self.mountpoint / f"{self.name}@{name}")
        silent("sync", "-f", self.mountpoint)

    def clone(self, name, new):
        silent("btrfs", "subvolume", "snapshot", self.mountpoint / f"{self.name}@{name}", self.mountpoint / f"{self.name}-{new}")
        silent("sync", "-f", self.mountpoint)

    def delete(self, name):
        silent("btrfs", "subvolume", "delete", "-c", self.mountpoint / f"{self.name}@{name}")
        silent("btrfs", "subvolume", "sync", self.mountpoint)


# --- B4 ---------------------------------------------------------------------------------------------------------------

def prepare_disk(disk, folder, raw, size, snapshots):
    """The data everywhere, proven, then the snapshots."""
    files = disk.create(folder, size, size * 4)
    with disk.served():
        uri = f"nbd+unix:///?socket={disk.socket}"
        silent("nbdcopy", "--flush", raw, uri)
        run("qemu-img", "compare", "-f", "raw", "-F", "raw", raw, uri)
    begun = time.monotonic()
    for number in range(snapshots):
        disk.snapshot(f"s{number}")
    if snapshots > 0:
        print(json.dumps({"scenario": "B4", "what": "making snapshots", "of": disk.kind, "snapshots": snapshots,
                          "seconds": round(time.monotonic() - begun, 2)}), flush=True)
    return files


def b4_rows(kind, operation, arguments, participants):
    for snapshots in STEPS:
        mine, base = participants[kind, snapshots].turns, participants[kind, 0].turns
        ratios = [a["iops"] / b["iops"] for a, b in zip(mine[1:], base[1:])]
        vde = [a["iops"] / b["iops"] for a, b in zip(participants["vde", snapshots].turns[1:], mine[1:])]
        print(json.dumps({"scenario": "B4", "of": kind, "operation": operation, "snapshots": snapshots,
                          "turns": arguments.turns, "seconds": arguments.seconds,
                          "iops": round(statistics.median(turn["iops"] for turn in mine[1:])),
                          "p99_us": round(statistics.median(turn["p99_us"] for turn in mine[1:])),
                          "to_none": round(statistics.median(ratios), 3),
                          "first_turn_to_none": round(mine[0]["iops"] / base[0]["iops"], 3),
                          "vde_to_this": round(statistics.median(vde), 3)}), flush=True)


def b4(arguments, folder, kinds):
    size, files = arguments.size << 20, []
    raw = folder / "raw"
    write_file(raw, size)
    with contextlib.ExitStack() as stack:
        participants = {}
        for kind in kinds:
            for snapshots in STEPS:
                disk = kind(arguments, folder, f"{kind.kind}{snapshots}")
                files += prepare_disk(disk, folder, raw, size, snapshots)
                participants[kind.kind, snapshots] = Participant(disk.name, disk.fio(size))
                participants[kind.kind, snapshots].pid = stack.enter_context(disk.served())
        for operation in ("randwrite", "randread"):
            for participant in participants.values():
                participant.turns.clear()
            for turn in range(arguments.turns + 1):
                for participant in participants.values():
                    participant.turn(operation, 32, arguments.seconds, turn)
            for kind in kinds:
                b4_rows(kind.kind, operation, arguments, participants)
    for path in (raw, *files):
        path.unlink()


# --- B5 ---------------------------------------------------------------------------------------------------------------

def scatter(disk, size, blocks, seed):
    with disk.served():
        silent("fio", "--name=scatter", "--thread", "--bs=4k", "--rw=randwrite", "--iodepth=32", "--norandommap",
               "--random_generator=tausworthe64", f"--randseed={seed}", f"--io_size={blocks * 4096}", "--end_fsync=1",
               *disk.fio(size))


def timed(action, *words):
    begun = time.perf_counter()
    action(*words)
    return (time.perf_counter() - begun) * 1000


def b5_size(arguments, folder, kinds, label, size):
    disks, files = [], []
    for kind in kinds:
        disk = kind(arguments, folder, f"{kind.kind}-{size >> 30}")
        files += disk.create(folder, size, 1 << 30)
        scatter(disk, size, SCATTERED, 1)
        disks.append(disk)
    times = {disk.kind: {"look": [], "snapshot": [], "clone": []} for disk in disks}
    for number in range(CREATIONS):
        for disk in disks:
            times[disk.kind]["look"].append(timed(disk.look))
            times[disk.kind]["snapshot"].append(timed(disk.snapshot, f"s{number}"))
            times[disk.kind]["clone"].append(timed(disk.clone, f"s{number}", f"c{number}"))
    for disk in disks:
        scatter(disk, size, SCATTERED // 100, 2)
        last = timed(disk.delete, f"s{CREATIONS - 2}")
        row = {"scenario": "B5", "of": disk.kind, "size": label}
        row.update({f"{what}_ms": round(statistics.median(values), 2) for what, values in times[disk.kind].items()})
        print(json.dumps({**row, "delete_ms": round(last, 2)}), flush=True)
    for path in files:
        path.unlink()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--plugin", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--vdectl", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--dir", required=True)
    parser.add_argument("--size", type=int, default=256, help="B4: MiB of the disks")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("scenarios", nargs="*", default=["B4", "B5"])
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.dir).resolve()
    kinds = (Vde, Qcow2, Btrfs)
    with btrfs_mount(folder, max(4096, arguments.size * 16) * MIB) as mountpoint:
        Btrfs.mountpoint = mountpoint
        if "B4" in arguments.scenarios:
            b4(arguments, folder, kinds)
        if "B5" in arguments.scenarios:
            for label, size in SIZES.items():
                b5_size(arguments, folder, kinds, label, size)
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
# ctest: timeout=900 serial
"""ext4 and xfs on a volume: made, mounted through nbdfuse and a loop device, and put under stress; a snapshot taken
meanwhile, and the volume after its server was killed, mount, are found clean and hold every file that was synced.

Needs root, /dev/fuse and loop devices."""

import contextlib
import hashlib
import os
import pathlib
import random
import subprocess
import threading
import time
import unittest

from nbd_case import NbdCase


class Stress(threading.Thread):
    """Creates, renames, overwrites, truncates and removes files. `synced` holds what a crash may not lose: the
    checksum and a number that changes whenever the file does. An entry is taken out before its file is touched."""

    def __init__(self, root, seed):
        super().__init__(daemon=True)
        self.root = pathlib.Path(root)
        self.rng = random.Random(seed)
        self.lock = threading.Lock()
        self.synced, self.stopping, self.error = {}, False, None
        self.changes, self.next_name = 0, seed * 1000000
        self.names = []

    def run(self):
        try:
            for number in range(4):
                (self.root / f"d{number}").mkdir(exist_ok=True)
            self.sync_folder(self.root)
            while not self.stopping:
                self.step()
        except OSError as error:
            self.error = error

    @staticmethod
    def sync_folder(folder):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def touch(self, name):
        """From here on a crash may lose or change the file."""
        with self.lock:
            self.synced.pop(name, None)
        self.changes += 1

    def settle(self, name):
        """Sync a file and its folder, then remember it."""
        path = self.root / name
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.sha256(file.read()).hexdigest()
        self.sync_folder(path.parent)
        with self.lock:
            self.synced[name] = (digest, self.changes)

    def snapshot(self):
        with self.lock:
            return dict(self.synced)

    def step(self):
        kind = self.rng.choices(["create", "overwrite", "append", "truncate", "rename", "unlink", "sync"],
                                [30, 15, 10, 8, 12, 12 if len(self.names) < 300 else 60, 13])[0]
        if kind == "create" or not self.names:
            name = f"d{self.rng.randrange(4)}/f{self.next_name}"
            self.next_name += 1
            self.write(name, "wb", 0)
            self.names.append(name)
            if self.rng.random() < 0.5:
                self.settle(name)
            return
        name = self.rng.choice(self.names)
        if kind == "sync":
            self.settle(name)
            return
        self.touch(name)
        size = (self.root / name).stat().st_size
        if kind == "overwrite":
            self.write(name, "r+b", self.rng.randrange(size + 1))
        elif kind == "append":
            self.write(name, "r+b", size)
        elif kind == "truncate":
            os.truncate(self.root / name, self.rng.randrange(size + 1))
        elif kind == "rename":
            new = f"d{self.rng.randrange(4)}/f{self.next_name}"
            self.next_name += 1
            os.rename(self.root / name, self.root / new)
            self.names[self.names.index(name)] = new
        else:
            os.unlink(self.root / name)
            self.names.remove(name)

    def write(self, name, mode, offset):
        self.touch(name)
        with open(self.root / name, mode) as file:
            file.seek(offset)
            file.write(self.rng.randbytes(self.rng.choice([10, 700, 4096, 30000, 200000])))


class FileSystems(NbdCase):
    image_size = "1500M"

    def setUp(self):
        super().setUp()
        self.create("disk", "400M")

    def start_stress(self, place, seed):
        stress = Stress(place, seed)
        self.addCleanup(setattr, stress, "stopping", True)
        stress.start()
        return stress

    def unmount(self, place):
        for _ in range(50):
            if subprocess.run(["umount", place], capture_output=True, check=False).returncode == 0:
                return
            if not os.path.ismount(place):
                return
            time.sleep(0.1)
        subprocess.run(["umount", "-l", place], capture_output=True, check=False)

    @contextlib.contextmanager
    def disk(self, server, export, *options):
        """An export as a file."""
        folder = pathlib.Path(self.path(f"fuse-{time.monotonic_ns()}"))
        folder.mkdir()
        process = subprocess.Popen(["nbdfuse", *options, str(folder / "disk"), server.uri(export)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(500):
                if os.path.ismount(folder):
                    break
                time.sleep(0.02)
            yield str(folder / "disk")
        finally:
            self.unmount(folder)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def mounted(self, disk, *options):
        place = self.path(f"mnt-{time.monotonic_ns()}")
        os.mkdir(place)
        self.run_ok("mount", "-o", ",".join(["loop", *options]), disk, place)
        try:
            yield place
        finally:
            self.unmount(place)

    def fsck(self, kind, disk):
        if kind == "ext4":
            self.run_ok("e2fsck", "-f", "-n", disk)
        else:
            self.run_ok("xfs_repair", "-n", disk)

    def survived(self, kind, server, export, files):
        """As after a power cut: the journal is replayed by mounting a copy; then nothing is left to repair."""
        copy = self.path("copy.raw")
        self.run_ok("nbdcopy", server.uri(export), copy)
        # The original is mounted, too, and xfs looks at that.
        with self.mounted(copy, *(["nouuid"] if kind == "xfs" else [])) as place:
            for name, (digest, _) in files.items():
                path = pathlib.Path(place, name)
                self.assertTrue(path.exists(), f"{name} was synced and is gone")
                self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), digest, f"{name} was synced and differs")
        self.fsck(kind, copy)
        os.unlink(copy)

    def snapshot_under_load(self, kind, server, place, seed):
        stress = self.start_stress(place, seed)
        time.sleep(3)
        before = stress.snapshot()
        self.assertRegex(server.command("snapshot create disk@meanwhile"), "^ok ")
        after = stress.snapshot()
        certain = {name: entry for name, entry in before.items() if after.get(name) == entry}
        self.survived(kind, server, "disk@meanwhile", certain)
        return stress, certain

    def exercise(self, kind, make, seed):
        with self.server(control=True) as server:
            with self.disk(server, "disk") as disk:
                self.run_ok(*make, disk)
                with self.mounted(disk) as place:
                    stress, certain = self.snapshot_under_load(kind, server, place, seed)
                    time.sleep(2)
                    stress.stopping = True
                    stress.join()
                    self.assertIsNone(stress.error)
                    self.assertGreater(len(certain), 10, "hardly anything was synced")
                    files = stress.snapshot()
                self.fsck(kind, disk)
            self.survived(kind, server, "disk", files)
        with self.server() as server, self.disk(server, "disk") as disk, self.mounted(disk) as place:
            stress = self.start_stress(place, seed + 1)
            time.sleep(3)
            # What is known a moment before the kill was synced before it.
            files = stress.snapshot()
            server.kill()
            stress.stopping = True
            stress.join()
            self.assertGreater(len(files), 10)
            after = stress.snapshot()
            files = {name: entry for name, entry in files.items() if after.get(name) == entry}
            with self.server() as again:
                self.survived(kind, again, "disk", files)
        self.check()

    def test_ext4(self):
        self.exercise("ext4", ["mkfs.ext4", "-q", "-F"], 1)

    def test_xfs(self):
        self.exercise("xfs", ["mkfs.xfs", "-q", "-f"], 2)


if __name__ == "__main__":
    unittest.main()

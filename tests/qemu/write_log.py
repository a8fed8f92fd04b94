# SPDX-License-Identifier: Apache-2.0
"""A disk that logs its writes: a file served by qemu-storage-daemon, and the reader of its log (dm-log-writes' format)."""

import pathlib
import shutil
import struct
import subprocess
import time

MAGIC = 0x6A736677736872
SUPER = struct.Struct("<QQQI")  # magic, version, entries, sector size
ENTRY = struct.Struct("<QQQQ")  # sector, sectors, flags, bytes of text of a mark
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


class LoggedDisk:
    """`path` is a file like any other; what is written to it, and each flush, is in the log in order of completion."""

    def __init__(self, folder, size_bytes):
        daemon = shutil.which("qemu-storage-daemon")
        if not daemon:
            raise FileNotFoundError("qemu-storage-daemon is not installed: tools/test --extended does that")
        folder = pathlib.Path(folder)
        self.disk, self.log, self.path = folder / "disk", folder / "log", folder / "export"
        with open(self.disk, "wb") as file:
            file.truncate(size_bytes)
        self.log.touch()
        self.path.touch()
        node = "driver=file,node-name={0},filename={1}"
        self.process = subprocess.Popen(
            [
                daemon,
                "--blockdev",
                node.format("disk", self.disk),
                "--blockdev",
                node.format("log", self.log),
                "--blockdev",
                "driver=blklogwrites,node-name=logged,file=disk,log=log",
                "--export",
                f"type=fuse,id=export,node-name=logged,mountpoint={self.path},writable=on",
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 30
        while self.path.stat().st_size != size_bytes:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"no export: {self.process.stderr.read().decode()}")
            time.sleep(0.05)

    def entries(self):
        """How many the log holds; exact when everything was flushed."""
        with open(self.log, "rb") as file:
            return read_super(file)[0]

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        subprocess.run(["umount", "--lazy", str(self.path)], capture_output=True, check=False)


def read_super(file):
    file.seek(0)
    magic, version, entries, sector = SUPER.unpack(file.read(SUPER.size))
    if magic != MAGIC or version != 1 or sector not in (512, 4096):
        raise ValueError(f"not a write log: magic {magic:#x}, version {version}, sector {sector}")
    return entries, sector


def read_log(path):
    """Every entry in order: (flags, offset, size, position of its bytes in the log)."""
    with open(path, "rb") as file:
        count, unit = read_super(file)
        at = unit
        for _ in range(count):
            file.seek(at)
            sector, sectors, flags, _ = ENTRY.unpack(file.read(ENTRY.size))
            at += unit  # the text of a mark lies there, too
            size = sectors * unit
            yield flags, sector * unit, size, at
            if not flags & DISCARD:
                at += size


def apply(log, entry, image):
    """Carry out an entry on an open image file."""
    flags, offset, size, at = entry
    log.seek(at)
    image.seek(offset)
    image.write(bytes(size) if flags & DISCARD else log.read(size))


def states(path, size_bytes, state, trial, chance):
    """What the drive may hold when the power fails, at two moments for each flush: right after the flush before, and right
    before it. By then writes with FUA are there, and any of the others. Yields (entries up to the flush before, marks
    up to there, what the file `trial` holds); the file `state` is what is certain."""
    with open(state, "wb") as file:
        file.truncate(size_bytes)
    since, count, marks, at_flush = [], 0, 0, (0, 0)
    with open(path, "rb") as log, open(state, "r+b") as image:
        for entry in read_log(path):
            count += 1
            marks += bool(entry[0] & MARK)
            if entry[2] > 0 and not entry[0] & MARK:
                since.append(entry)
            if not entry[0] & FLUSH:
                continue
            if not since:
                at_flush = (count, marks)
                continue
            shutil.copy(state, trial)
            yield *at_flush, "nothing after it"
            shutil.copy(state, trial)
            share, there = chance.random(), 0
            with open(trial, "r+b") as partial:
                for each in since:
                    if each[0] & FUA or chance.random() < share:
                        apply(log, each, partial)
                        there += 1
            yield *at_flush, f"{there} of the {len(since)} writes after it"
            for each in since:
                apply(log, each, image)
            image.flush()
            since, at_flush = [], (count, marks)
        shutil.copy(state, trial)
        yield *at_flush, "the end"

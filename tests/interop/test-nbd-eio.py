# SPDX-License-Identifier: Apache-2.0
"""A device that fails on demand lies under the image: nbdkit serves a file with errors, nbdfuse makes a file of that again.
Errors reach the client as EIO. After one of a read all goes on when the device recovers; after a failed write or flush of the
log the image is poisoned: nothing more is written until a restart, which finds all that a flush had acknowledged."""

import contextlib
import os
import subprocess
import time
import unittest

from nbd_case import NbdCase, Server
from nbd_client import FUA, NbdError

EIO = 5
PIECE = 65536

# The error filter knows no flush: a device of shell commands does.
SHELL = {
    "get_size": 'stat -c %s "$FILE"',
    "pread": 'dd if="$FILE" iflag=skip_bytes,count_bytes skip=$4 count=$3 bs=1M status=none',
    "pwrite": 'dd of="$FILE" oflag=seek_bytes seek=$4 conv=notrunc bs=1M status=none',
    "can_write": "exit 0",
    "can_flush": "exit 0",
    "flush": 'if [ -e "$TRIGGER" ]; then echo EIO the device is told to fail >&2; exit 1; fi',
}


class Device:
    """A file whose reads, writes or flushes fail while there is a file of the trigger's name, reads and writes at a rate."""

    def __init__(self, folder, image, what, rate="100%"):
        self.trigger, self.path = folder / f"fail-{what}", folder / "device"
        self.path.touch()
        socket = folder / "device.sock"
        command = ["nbdkit", "-f", "-U", str(socket), "-P", str(folder / "device.pid")]
        if what == "flush":
            command += ["eval", *(f"{key}={value}" for key, value in SHELL.items())]
        else:
            command += ["--filter=error", "file", str(image), f"error-{what}=EIO", f"error-{what}-rate={rate}",
                        f"error-{what}-file={self.trigger}"]
        with open(folder / "device.log", "wb") as log:
            environment = {**os.environ, "FILE": str(image), "TRIGGER": str(self.trigger)}
            self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
            self.wait((folder / "device.pid").exists)
            self.fuse = subprocess.Popen(["nbdfuse", str(self.path), "--unix", str(socket)], stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log)
            self.wait(lambda: self.path.stat().st_size > 0)

    def wait(self, ready):
        for _ in range(1000):
            if ready():
                return
            time.sleep(0.01)
        raise RuntimeError("the device does not come up")

    @contextlib.contextmanager
    def failing(self):
        self.trigger.touch()
        try:
            yield
        finally:
            self.trigger.unlink()

    def close(self):
        subprocess.run(["umount", str(self.path)], check=True)
        self.fuse.wait(timeout=30)
        self.server.terminate()
        self.server.wait(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Eio(NbdCase):
    image_size = "64M"

    def setUp(self):
        super().setUp()
        self.create("disk", "16M")

    def content(self, piece, generation):
        return f"{piece:15d}{generation:17d}".encode() * (PIECE // 32)

    def write(self, client, pieces, generation, **keywords):
        for piece in pieces:
            client.write(piece * PIECE, self.content(piece, generation), **keywords)

    def verify(self, client, pieces, generation):
        for piece in pieces:
            self.assertEqual(client.read(piece * PIECE, PIECE), self.content(piece, generation), f"piece {piece}")

    def fails(self, call):
        with self.assertRaises(NbdError) as raised:
            call()
        self.assertEqual(raised.exception.code, EIO)

    def attempt(self, client, piece):
        """Whether a read succeeds; if so it is right."""
        try:
            self.verify(client, [piece], 1)
        except NbdError as error:
            self.assertEqual(error.code, EIO)
            return False
        return True

    def test_reads_that_fail_go_on_when_the_device_recovers(self):
        with Device(self.folder, self.image, "pread", "30%") as device, Server(self.folder, device.path, control=True) as server:
            client = server.client("disk")
            self.write(client, range(32), 1)
            client.flush()
            self.verify(client, range(32), 1)
            with device.failing():
                outcomes = [self.attempt(client, n % 32) for n in range(200)]
            self.assertEqual(set(outcomes), {False, True})
            self.verify(client, range(32), 1)
            self.write(client, range(8), 2, flags=FUA)
            self.assertEqual(server.command("checkpoint"), "ok")
            self.verify(client, range(8), 2)
        self.check()

    def poisoned(self, server, client):
        """The device is well again, the image is not: it says so, is read, and is not written."""
        self.fails(lambda: client.write(16 * PIECE, self.content(16, 3)))
        self.fails(lambda: client.write(16 * PIECE, self.content(16, 3), FUA))
        self.fails(client.flush)
        for command in ["checkpoint", "snapshot create disk@later"]:
            self.assertRegex(server.command(command), r"^error POISONED .*poisoned")
        self.assertIn("POISONED", server.text())
        self.verify(client, range(8), 1)
        self.verify(server.client("disk"), range(8), 1)

    def after_a_restart(self):
        self.check()
        with self.server(control=True) as server:
            client = server.client("disk")
            self.verify(client, range(8), 1)
            for piece in range(8, 24): # never acknowledged by a flush: there or not
                self.assertIn(client.read(piece * PIECE, PIECE), [bytes(PIECE), self.content(piece, 2)], f"piece {piece}")
            self.write(client, range(24), 4)
            client.flush()
            self.assertRegex(server.command("snapshot create disk@later"), "^ok")
            self.verify(client, range(24), 4)
        self.check()

    def test_a_write_that_fails_poisons_the_image(self):
        with Device(self.folder, self.image, "pwrite") as device, Server(self.folder, device.path, control=True) as server:
            client = server.client("disk")
            self.write(client, range(8), 1)
            client.flush()
            self.write(client, range(8, 12), 2)
            with device.failing():
                self.fails(lambda: client.write(12 * PIECE, self.content(12, 2)))
                self.fails(lambda: client.write(13 * PIECE, self.content(13, 2), FUA))
                self.assertRegex(server.command("snapshot create disk@now"), "^error ")
                self.verify(client, range(8), 1)
            self.poisoned(server, client)
        self.after_a_restart()

    def test_a_flush_that_fails_poisons_the_image(self):
        with Device(self.folder, self.image, "flush") as device, Server(self.folder, device.path, control=True) as server:
            client = server.client("disk")
            self.write(client, range(8), 1)
            client.flush()
            with device.failing():
                self.write(client, range(8, 10), 2)
                self.fails(client.flush)
                self.fails(lambda: client.write(12 * PIECE, self.content(12, 2), FUA))
                self.verify(client, range(8), 1)
            self.poisoned(server, client)
        self.after_a_restart()


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""vdectl copy: the backup holds what the image holds, and nothing half-made passes for one."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import unittest

from vdectl_case import BUSY, DAMAGE, FAILED, USAGE, Locked, TableCase, VdectlCase

MIB = 1 << 20


class Copy(TableCase):
    def setUp(self):
        super().setUp()
        self.copy = self.path("copy.vde")
        self.content = random.Random(5).randbytes(3 * MIB + 17)
        self.run_ok("file", "put", self.image, "ns.t", "blob", self.write("src", self.content))

    def describe(self, image):
        """What a user sees of an image, by verbs that read."""
        files = [self.run_ok("table", "files", image, f"ns.t@v{version}", "--long") for version in range(3)]
        return (
            self.run_ok("table", "history", image, "ns.t"),
            files,
            self.run_ok("table", "show", image, "ns.t"),
            self.run_ok("file", "list", image, "ns.t", "--long"),
            self.run_json("info", "info", image)["uuid"],
        )

    def test_the_copy_shows_what_the_image_shows(self):
        made = self.run_json("copy", "copy", self.image, self.copy)
        self.assertEqual((made["copy"], made["size_bytes"], made["finding_count"]), (self.copy, 64 * MIB, 0))
        self.assertEqual(self.describe(self.copy), self.describe(self.image))
        self.run_ok("file", "get", self.copy, "ns.t", "blob", self.path("out"))
        self.assertEqual(pathlib.Path(self.path("out")).read_bytes(), self.content)
        self.run_ok("check", self.copy)
        self.run_ok("check", self.image)

    def test_the_copy_lives_on_by_itself(self):
        self.run_ok("copy", self.image, self.copy)
        self.run_ok("table", "add", self.copy, "ns.t", "new", "--size", "1K", "--partition", "day=2026-11-03")
        self.assertIn("new", self.run_ok("table", "files", self.copy, "ns.t"))
        self.assertNotIn("new", self.run_ok("table", "files", self.image, "ns.t"))
        self.run_fails(FAILED, "EXISTS", "copy", self.image, self.copy, says=(self.copy, "force"))
        self.run_ok("copy", self.image, self.copy, "--force")
        self.assertNotIn("new", self.run_ok("table", "files", self.copy, "ns.t"))
        self.run_ok("check", self.copy)

    def test_text(self):
        out = self.run_ok("copy", self.image, self.copy)
        for field, value in (("copy", self.copy), ("size", "64.0 MiB"), ("verified", "clean")):
            self.assertRegex(out, rf"(?m)^{field}: +{value}$")
        self.assertRegex(out, r"(?m)^copied: +3\.\d MiB$")

    def test_the_copy_is_sparse(self):
        self.run_ok("copy", self.image, self.copy)
        status = os.stat(self.copy)
        self.assertEqual(status.st_size, 64 * MIB)
        self.assertLess(status.st_blocks * 512, 12 * MIB)

    def test_a_larger_target_will_do(self):
        large = self.path("large")
        with open(large, "wb") as file:
            file.truncate(100 * MIB)
        self.run_ok("copy", self.image, large)
        self.assertEqual(os.stat(large).st_size, 100 * MIB)
        self.assertEqual(self.describe(large), self.describe(self.image))
        self.run_ok("check", large)
        self.run_ok("grow", large)
        self.assertEqual(self.run_json("info", "info", large)["size_bytes"], 100 * MIB)
        self.run_ok("check", large)

    def test_refusals(self):
        self.run_fails(FAILED, "INVAL", "copy", self.image, self.image, says="the image itself")
        os.link(self.image, self.path("same.vde"))
        self.run_fails(FAILED, "INVAL", "copy", self.image, self.path("same.vde"), says="the image itself")
        self.run_fails(FAILED, "NOT_FOUND", "copy", self.path("none.vde"), self.copy, says="none.vde")
        self.run_fails(FAILED, "NOT_FOUND", "copy", self.image, self.path("no/such"), says="no/such")
        self.run_fails(FAILED, "INVAL", "copy", self.image, str(self.folder), says="a folder")
        self.run_fails(FAILED, "INVAL", "copy", self.image, "/dev/full", says="a character device")
        precious = self.write("precious", "text\n")
        self.run_fails(FAILED, "EXISTS", "copy", self.image, precious, says="precious")
        self.assertEqual(pathlib.Path(precious).read_text(encoding="utf-8"), "text\n")
        self.run_fails(USAGE, "USAGE", "copy", self.image)
        self.assertFalse(pathlib.Path(self.copy).exists())

    def test_a_smaller_copy_shows_the_same(self):
        made = self.run_json("copy", "copy", self.image, self.copy, "--size", "16M")
        self.assertEqual((made["size_bytes"], made["snapshot"]), (16 * MIB, None))
        self.assertEqual(os.stat(self.copy).st_size, 16 * MIB)
        self.assertEqual(self.describe(self.copy), self.describe(self.image))
        self.run_ok("check", self.copy)
        self.run_ok("table", "add", self.copy, "ns.t", "new", "--size", "1K", "--partition", "day=2026-11-03")
        self.run_ok("check", self.copy)

    def test_what_does_not_fit(self):
        self.run_ok("file", "put", self.image, "ns.t", "more", self.write("src", self.content))
        error = self.run_fails(FAILED, "NOSPC", "copy", self.image, self.copy, "--size", "4M", says=self.copy)
        self.assertRegex(error["found"], r"^\d+ bytes available$")
        self.assertRegex(error["expected"], r"^\d+ bytes needed$")
        self.assertFalse(pathlib.Path(self.copy).exists())
        self.run_fails(USAGE, "USAGE", "copy", self.image, self.copy, "--size", "1M", says="--size")
        self.run_fails(USAGE, "USAGE", "copy", self.image, self.copy, "--size", "big", says="--size")

    def test_a_snapshot_of_the_image(self):
        self.run_ok("snapshot", "create", self.image, "then")
        seen = self.describe(self.image)
        self.run_ok("table", "add", self.image, "ns.t", "late", "--size", "1K", "--partition", "day=2026-11-03")
        self.run_ok("table", "drop", self.image, "ns.t", "--purge")
        made = self.run_json("copy", "copy", self.image, self.copy, "--snapshot", "then", "--read-only")
        self.assertEqual((made["snapshot"], made["size_bytes"]), ("then", 64 * MIB))
        self.assertEqual(self.describe(self.copy), seen)
        self.run_ok("file", "get", self.copy, "ns.t", "blob", self.path("out"))
        self.assertEqual(pathlib.Path(self.path("out")).read_bytes(), self.content)
        self.assertEqual(self.run_json("snapshot-list", "snapshot", "list", self.copy)["snapshots"], [])
        self.run_ok("check", self.copy)
        self.run_fails(
            FAILED, "NOT_FOUND", "copy", self.image, self.path("other.vde"), "--snapshot", "none", says="none"
        )
        self.assertFalse(pathlib.Path(self.path("other.vde")).exists())

    def test_busy(self):
        with Locked(self.image):
            self.run_fails(BUSY, "BUSY", "copy", self.image, self.copy, "--wait", "0", says=self.image)
        self.assertFalse(pathlib.Path(self.copy).exists())
        self.run_ok("format", self.copy, "--size", "64M")
        with Locked(self.copy):
            self.run_fails(BUSY, "BUSY", "copy", self.image, self.copy, "--force", says=self.copy)

    def test_whoever_comes_second_leaves_the_first_copy_alone(self):
        with Locked(self.image):
            late = self.start("copy", self.image, self.copy)
            time.sleep(0.3)
            shutil.copy(self.image, self.copy)
        _, err = late.communicate()
        self.assertEqual(late.returncode, FAILED, err)
        self.assertIn(b"EXISTS", err)
        self.run_ok("check", self.copy)

    def damage(self):
        """Flip a byte of the stored file."""
        with open(self.image, "r+b") as file:
            at = file.read().find(self.content[MIB : MIB + 64])
            self.assertGreater(at, 0)
            file.seek(at)
            file.write(bytes([self.content[MIB] ^ 1]))

    def test_damage_is_not_passed_on_silently(self):
        self.damage()
        error = self.run_fails(DAMAGE, "CORRUPT", "copy", self.image, self.copy, says=self.copy)
        self.assertIn("extent", error["object"])
        self.assertFalse(pathlib.Path(self.copy).exists())
        made = self.run_json("copy", "copy", self.image, self.copy, "--damaged")
        self.assertEqual(made["finding_count"], 1)
        self.assertEqual(self.describe(self.copy), self.describe(self.image))
        self.run_fails(DAMAGE, "CORRUPT", "file", "get", self.copy, "ns.t", "blob", self.path("out"))

    def test_a_copy_that_is_killed_is_no_image(self):
        big = self.path("big.vde")
        self.run_ok("format", big, "--size", "512M")
        self.run_ok("namespace", "create", big, "ns")
        self.run_ok("table", "create", big, "ns.t", "--schema", "id BIGINT")
        self.run_ok("file", "put", big, "ns.t", "x", self.write("x", random.Random(1).randbytes(100 * MIB)))
        process = self.start("copy", big, self.copy)
        while not os.path.exists(self.copy) or os.stat(self.copy).st_blocks * 512 < 40 * MIB:
            self.assertIsNone(process.poll(), "the copy was faster than expected")
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        status, _, err = self.run_any("info", self.copy)
        self.assertEqual(status, DAMAGE, err)
        self.run_ok("copy", big, self.copy, "--force")
        self.run_ok("check", self.copy)

    def test_volumes_snapshots_and_clones_come_along(self):
        for name, options in (("plain", ()), ("small", ("--compress", "zstd:3")), ("kept", ("--prealloc",))):
            self.run_ok("volume", "create", self.image, name, "--size", "3M", *options)
            self.run_ok("volume", "write", self.image, name, "--offset", "1M", stdin=self.content[:MIB])
        self.run_ok("snapshot", "create", self.image, "plain@one")
        self.run_ok("volume", "write", self.image, "plain", "--offset", "1M", stdin=self.content[MIB : 2 * MIB])
        self.run_ok("snapshot", "create", self.image, "whole")
        self.run_ok("volume", "clone", self.image, "plain@one", "copied")
        self.run_ok("volume", "write", self.image, "copied", stdin=self.content[:5000])
        self.run_ok("table", "drop", self.image, "ns.t", "--purge")
        self.run_ok("copy", self.image, self.copy)

        def look(image):
            seen = [self.run_json("snapshot-list", "snapshot", "list", image, *of) for of in ((), ("plain",))]
            seen.append(self.run_json("volume-list", "volume", "list", image))
            seen.append(self.run_ok("table", "history", image, "ns.t", "--snapshot", "whole"))
            for place in (("plain",), ("plain@one",), ("small",), ("kept",), ("copied",), ("plain", "--snapshot", "whole")):
                seen.append(self.run_json("volume-map", "volume", "map", image, *place))
                self.run_ok("volume", "export", image, place[0], self.path("out"), "--force", *place[1:])
                seen.append(pathlib.Path(self.path("out")).read_bytes())
            return seen

        self.assertEqual(look(self.copy), look(self.image))
        self.run_ok("check", self.copy)
        for name in ("plain", "copied", "small", "kept"):
            self.run_ok("volume", "delete", self.copy, name)
        self.run_ok("snapshot", "delete", self.copy, "whole")
        self.run_ok("checkpoint", self.copy)
        self.run_ok("check", self.copy)


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("losetup"), "needs root and losetup")
class Device(VdectlCase):
    def setUp(self):
        super().setUp()
        with open(self.path("disk"), "wb") as file:
            file.truncate(96 * MIB)
        done = subprocess.run(
            ["losetup", "--find", "--show", self.path("disk")], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            self.skipTest(f"no loop device: {done.stderr.strip()}")
        self.device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", self.device], check=False)
        self.content = random.Random(5).randbytes(3 * MIB)
        self.run_ok("volume", "create", self.image, "disk", "--size", "4M")
        self.run_ok("volume", "write", self.image, "disk", stdin=self.content)

    def test_to_a_device_and_back(self):
        self.run_ok("copy", self.image, self.device)
        self.run_ok("check", self.device)
        self.run_fails(FAILED, "EXISTS", "copy", self.image, self.device, says=self.device)
        self.run_ok("copy", self.device, self.path("back.vde"))
        self.run_ok("volume", "export", self.path("back.vde"), "disk", self.path("out"))
        self.assertEqual(pathlib.Path(self.path("out")).read_bytes(), self.content + bytes(MIB))

    def test_a_device_that_is_too_small(self):
        big = self.path("big.vde")
        self.run_ok("format", big, "--size", "128M")
        made = self.run_json("copy", "copy", big, self.device)
        self.assertEqual(made["size_bytes"], 96 * MIB)
        self.run_ok("check", self.device)
        self.run_ok("volume", "create", big, "disk", "--size", "110M")
        self.run_ok("volume", "write", big, "disk", stdin=random.Random(5).randbytes(100 * MIB))
        self.run_fails(FAILED, "NOSPC", "copy", big, self.device, "--force", says=(self.device, "bytes needed"))
        self.run_ok("check", self.device)

    def test_a_volume_to_a_device(self):
        self.run_fails(FAILED, "EXISTS", "volume", "export", self.image, "disk", self.device, says="--force")
        with open(self.device, "wb") as file:
            file.write(b"x" * 8 * MIB)
        self.run_ok("volume", "export", self.image, "disk", self.device, "--force")
        with open(self.device, "rb") as file:
            self.assertEqual(file.read(8 * MIB), self.content + bytes(MIB) + b"x" * 4 * MIB)
        self.run_ok("volume", "import", self.image, "again", self.device, "--size", "96M")
        self.assertEqual(self.run_json("volume-show", "volume", "show", self.image, "again")["mapped_bytes"], 7 * MIB)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""vdectl grow, and the warnings before an image is full."""

import os
import random
import unittest

from vdectl_case import BUSY, FAILED, USAGE, Locked, TableCase

MIB = 1 << 20


class Grow(TableCase):
    image_size = "16M"

    def test_size_extends_the_file_and_the_image(self):
        made = self.run_json("grow", "grow", self.image, "--size", "48M")
        self.assertEqual((made["before_bytes"], made["size_bytes"]), (16 * MIB, 48 * MIB))
        self.assertGreater(made["free_bytes"], 40 * MIB)
        self.assertEqual(os.path.getsize(self.image), 48 * MIB)
        content = random.Random(3).randbytes(30 * MIB)
        self.run_ok("file", "put", self.image, "ns.t", "blob", self.write("src", content))
        self.run_ok("file", "get", self.image, "ns.t", "blob", self.path("out"))
        with open(self.path("out"), "rb") as file:
            self.assertEqual(file.read(), content)
        self.run_ok("check", self.image)
        info = self.run_json("info", "info", self.image)
        self.assertEqual(info["size_bytes"], 48 * MIB)
        self.assertIn("p1", self.run_ok("table", "files", self.image, "ns.t"))

    def test_without_size_it_fills_the_file(self):
        out = self.run_ok("grow", self.image)
        self.assertIn("16.0 MiB", out)
        os.truncate(self.image, 24 * MIB + 100)
        self.assertEqual(self.run_json("grow", "grow", self.image)["size_bytes"], 24 * MIB)
        self.assertEqual(self.run_json("grow", "grow", self.image)["before_bytes"], 24 * MIB)
        self.run_ok("check", self.image)

    def test_a_grown_image_is_copied_whole(self):
        self.run_ok("grow", self.image, "--size", "32M")
        content = random.Random(4).randbytes(20 * MIB)
        self.run_ok("file", "put", self.image, "ns.t", "blob", self.write("src", content))
        self.run_ok("copy", self.image, self.path("copy"))
        self.run_ok("check", self.path("copy"))
        self.run_ok("file", "get", self.path("copy"), "ns.t", "blob", self.path("out"))
        with open(self.path("out"), "rb") as file:
            self.assertEqual(file.read(), content)

    def test_what_is_refused(self):
        self.run_fails(FAILED, "INVAL", "grow", self.image, "--size", "8M", says="shrink")
        self.run_fails(FAILED, "INVAL", "grow", self.image, "--size", "16388K", says="at least")
        for size in ("0", "4097", "lots"):
            self.assertEqual(self.run_any("grow", self.image, "--size", size)[0], USAGE)
        with Locked(self.image):
            before = os.path.getsize(self.image)
            self.run_fails(BUSY, "BUSY", "grow", self.image, "--size", "64M", "--wait", "0")
            self.assertEqual(os.path.getsize(self.image), before)


    def test_a_refused_file_keeps_its_length(self):
        size = os.path.getsize(self.image)
        while True:
            status, _, err = self.run_any("grow", self.image, "--size", str(size + MIB))
            if status != 0:
                break
            size += MIB
            self.assertEqual(os.path.getsize(self.image), size)
        self.assertIn("INVAL", err)
        self.assertEqual(os.path.getsize(self.image), size)
        self.run_ok("check", self.image)


class Fill(TableCase):
    image_size = "16M"

    def fill(self, name, size):
        return self.run_any("file", "put", self.image, "ns.t", name, self.write(name, bytes(size)))

    def test_writers_hear_of_it_at_80_and_90_percent(self):
        heard = []
        for index in range(24):
            status, _, err = self.fill(f"f{index}", 700_000)
            if status != 0:
                self.assertIn("NOSPC", err)
                break
            notes = [line for line in err.splitlines() if "% full" in line or "%" in line]
            heard.append(int(notes[0].split(" is ")[1].split()[0]) if notes else 0)
        self.assertGreater(len(heard), 8)
        self.assertEqual(heard[0], 0)
        self.assertEqual(heard, sorted(heard))
        self.assertTrue(any(80 <= percent < 90 for percent in heard), heard)
        self.assertTrue(any(percent >= 90 for percent in heard), heard)
        percent = self.run_json("info", "info", self.image)["space"]["fill_percent"]
        self.assertGreaterEqual(percent, 90)
        _, _, err = self.run_any("table", "files", self.image, "ns.t")
        self.assertEqual(err, "")
        self.run_ok("grow", self.image, "--size", "64M")
        self.assertLess(self.run_json("info", "info", self.image)["space"]["fill_percent"], 50)


if __name__ == "__main__":
    unittest.main()

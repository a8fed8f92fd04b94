# SPDX-License-Identifier: Apache-2.0
"""vdectl snapshot, and --snapshot: volumes and whole images as they were."""

import pathlib
import random
import unittest

from vdectl_case import BUSY, FAILED, USAGE, Locked, TableCase, VdectlCase

MIB = 1 << 20


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


class SnapshotCase(VdectlCase):
    def snapshot(self, name):
        return self.run_json("snapshot-create", "snapshot", "create", self.image, name)

    def names(self, *args):
        listed = self.run_json("snapshot-list", "snapshot", "list", self.image, *args)
        return [item["snapshot"] for item in listed["snapshots"]]

    def store(self, name, content, offset=0):
        self.run_ok("volume", "write", self.image, name, "--offset", str(offset), stdin=content)

    def load(self, name, *options):
        target = self.path("loaded")
        self.run_ok("volume", "read", self.image, name, "-o", target, "--force", *options)
        return pathlib.Path(target).read_bytes()


class OfVolumes(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.run_ok("volume", "create", self.image, "disk", "--size", "2M")
        self.store("disk", noise(MIB, 0))

    def test_each_snapshot_stays_as_it_was(self):
        for index in range(1, 5):
            made = self.snapshot(f"disk@s{index}")
            self.assertEqual((made["volume"], made["snapshot"]), ("disk", f"s{index}"))
            self.store("disk", noise(MIB, index))
        for index in range(1, 5):
            self.assertEqual(self.load(f"disk@s{index}", "--length", "1M"), noise(MIB, index - 1))
        self.assertEqual(self.names("disk"), ["s1", "s2", "s3", "s4"])
        self.run_ok("check", self.image)
        deleted = self.run_json("snapshot-delete", "snapshot", "delete", self.image, "disk@s2")
        self.assertTrue(deleted["deleted"])
        self.assertEqual(self.names("disk"), ["s1", "s3", "s4"])
        for index in (1, 3, 4):
            self.assertEqual(self.load(f"disk@s{index}", "--length", "1M"), noise(MIB, index - 1))
        self.run_ok("checkpoint", self.image)
        self.run_ok("check", self.image)

    def test_list(self):
        self.assertEqual(self.run_ok("snapshot", "list", self.image, "disk"), "")
        first = self.snapshot("disk@first")
        self.store("disk", noise(256 * 1024, 5))
        self.snapshot("disk@second")
        self.run_ok("volume", "clone", self.image, "disk@second", "copy")
        self.run_ok("checkpoint", self.image)
        listed = self.run_json("snapshot-list", "snapshot", "list", self.image, "disk", "--unique")["snapshots"]
        self.assertEqual([(s["snapshot"], s["clones"]) for s in listed], [("first", 0), ("second", 1)])
        self.assertEqual(listed[0]["lsn"], first["lsn"])
        self.assertGreater(listed[1]["lsn"], first["lsn"])
        self.assertGreaterEqual(listed[0]["referenced_bytes"], MIB)
        self.assertGreaterEqual(listed[0]["unique_bytes"], 256 * 1024)
        self.assertLess(listed[0]["unique_bytes"], 300 * 1024)
        lines = self.run_ok("snapshot", "list", self.image, "disk", "--unique").splitlines()
        self.assertRegex(lines[0], r"^name +created +lsn +referenced +unique +clones$")
        self.assertRegex(lines[1], r"^first +20\S+Z +\d+ +1\.0 MiB +2\d\d\.\d KiB +0$")
        lines = self.run_ok("snapshot", "list", self.image, "disk").splitlines()
        self.assertRegex(lines[0], r"^name +created +lsn +referenced +clones$")

    def test_rollback(self):
        self.snapshot("disk@good")
        self.store("disk", noise(MIB, 7))
        self.snapshot("disk@newer")
        self.run_fails(FAILED, "INVAL", "snapshot", "rollback", self.image, "disk@good", says="newer")
        self.run_ok("snapshot", "delete", self.image, "disk@newer")
        done = self.run_json("snapshot-rollback", "snapshot", "rollback", self.image, "disk@good")
        self.assertTrue(done["rolled_back"])
        self.assertEqual(self.load("disk", "--length", "1M"), noise(MIB, 0))
        self.run_ok("check", self.image)
        self.store("disk", noise(4096, 9))
        self.assertEqual(self.load("disk@good", "--length", "1M"), noise(MIB, 0))
        self.run_ok("check", self.image)

    def test_a_snapshot_keeps_its_size(self):
        self.snapshot("disk@small")
        self.run_ok("volume", "resize", self.image, "disk", "--size", "4M")
        self.assertEqual(len(self.load("disk@small")), 2 * MIB)
        self.assertEqual(len(self.load("disk")), 4 * MIB)
        self.run_ok("snapshot", "rollback", self.image, "disk@small")
        self.assertEqual(len(self.load("disk")), 2 * MIB)

    def test_space_comes_back(self):
        self.snapshot("disk@a")
        self.store("disk", noise(MIB, 3))
        self.run_ok("checkpoint", self.image)
        held = self.run_json("volume-show", "volume", "show", self.image, "disk")["snapshot_bytes"]
        self.assertGreaterEqual(held, MIB)
        before = self.run_json("info", "info", self.image)["space"]["free_bytes"]
        self.run_ok("snapshot", "delete", self.image, "disk@a")
        for _ in range(3):
            self.run_ok("checkpoint", self.image)
        after = self.run_json("info", "info", self.image)["space"]["free_bytes"]
        self.assertGreaterEqual(after - before, MIB)
        self.assertEqual(self.run_json("volume-show", "volume", "show", self.image, "disk")["snapshot_bytes"], 0)

    def test_refusals(self):
        self.snapshot("disk@a")
        self.run_fails(FAILED, "EXISTS", "snapshot", "create", self.image, "disk@a", says="a")
        self.run_fails(FAILED, "NOT_FOUND", "snapshot", "create", self.image, "none@a", says="none")
        self.run_fails(FAILED, "NOT_FOUND", "snapshot", "delete", self.image, "disk@b", says="b")
        self.run_fails(FAILED, "NOT_FOUND", "snapshot", "rollback", self.image, "disk@b", says="b")
        self.run_fails(FAILED, "NOT_FOUND", "snapshot", "list", self.image, "none", says="none")
        self.run_fails(FAILED, "NOT_FOUND", "snapshot", "rollback", self.image, "a", says="a")
        self.run_fails(USAGE, "USAGE", "snapshot", "rollback", self.image, "disk@a", "--drop-newer", says="--drop-newer")
        for name in ("disk@", "@a", "@"):
            self.run_fails(USAGE, "USAGE", "snapshot", "create", self.image, name, says="empty")
        for name in ("disk@x/y", "disk@" + "x" * 201):
            self.run_fails(FAILED, "INVAL", "snapshot", "create", self.image, name)
        again = self.run_json("snapshot-delete", "snapshot", "delete", self.image, "disk@b", "--if-exists")
        self.assertFalse(again["deleted"])
        with Locked(self.image):
            self.run_fails(BUSY, "BUSY", "snapshot", "create", self.image, "disk@b", "--wait", "0")

    def test_deleting_a_snapshot_that_a_clone_needs_loses_nothing(self):
        self.snapshot("disk@a")
        self.run_ok("volume", "clone", self.image, "disk@a", "copy")
        self.store("disk", noise(MIB, 4))
        self.run_ok("snapshot", "delete", self.image, "disk@a")
        self.run_ok("checkpoint", self.image)
        self.assertEqual(self.load("copy", "--length", "1M"), noise(MIB, 0))
        self.run_ok("check", self.image)


class OfImages(SnapshotCase, TableCase):
    def setUp(self):
        super().setUp()
        self.run_ok("volume", "create", self.image, "disk", "--size", "2M")
        self.store("disk", noise(MIB, 0))
        self.run_ok("file", "put", self.image, "ns.t", "blob", self.write("src", noise(100000)))

    def change(self):
        """Whatever there is, changed, dropped, added."""
        self.run_ok("table", "add", self.image, "ns.t", "late", "--size", "1K", "--partition", "day=2026-11-05")
        self.run_ok("table", "create", self.image, "ns.u", "--schema", "id BIGINT")
        self.run_ok("file", "remove", self.image, "ns.t", "blob")
        self.store("disk", noise(2 * MIB, 6))
        self.run_ok("volume", "create", self.image, "new", "--size", "1M")
        self.run_ok("checkpoint", self.image)

    def read(self, *options):
        """What all reading verbs say."""
        self.run_ok("file", "get", self.image, "ns.t", "blob", self.path("blob"), "--force", *options)
        return (
            self.run_ok("table", "list", self.image, "--long", *options),
            self.run_ok("table", "show", self.image, "ns.t", *options),
            self.run_ok("table", "files", self.image, "ns.t", "--long", *options),
            self.run_ok("table", "files", self.image, "ns.t@v1", "--long", *options),
            self.run_ok("table", "history", self.image, "ns.t", *options),
            self.run_ok("file", "list", self.image, "ns.t", "--long", *options),
            self.run_ok("namespace", "list", self.image, *options),
            [v["volume"] for v in self.run_json("volume-list", "volume", "list", self.image, *options)["volumes"]],
            self.load("disk", *options),
            pathlib.Path(self.path("blob")).read_bytes(),
        )

    def test_everything_is_read_as_of_one_instant(self):
        before = self.read()
        made = self.snapshot("friday")
        self.assertIsNone(made["volume"])
        self.change()
        self.assertEqual(self.read("--snapshot", "friday"), before)
        self.assertNotEqual(self.run_ok("table", "files", self.image, "ns.t"), "")
        self.assertIn("late", self.run_ok("table", "files", self.image, "ns.t"))
        self.run_ok("check", self.image)
        self.run_ok("table", "drop", self.image, "ns.t", "--purge")
        self.run_ok("volume", "delete", self.image, "disk")
        for _ in range(3):
            self.run_ok("checkpoint", self.image)
        self.assertEqual(self.read("--snapshot", "friday"), before)
        self.run_ok("check", self.image)
        self.run_ok("snapshot", "delete", self.image, "friday")
        for _ in range(3):
            self.run_ok("checkpoint", self.image)
        self.run_ok("check", self.image)

    def test_the_whole_image_goes_back_to_one_instant(self):
        before = self.read()
        self.snapshot("friday")
        self.change()
        self.run_ok("table", "drop", self.image, "ns.t", "--purge")
        self.run_ok("table", "create", self.image, "ns.t", "--schema", "other BIGINT")
        self.run_ok("volume", "delete", self.image, "disk")
        for _ in range(3):
            self.run_ok("checkpoint", self.image)
        done = self.run_json("snapshot-rollback", "snapshot", "rollback", self.image, "friday")
        self.assertEqual(done, {"volume": None, "snapshot": "friday", "rolled_back": True})
        self.assertEqual(self.read(), before)
        self.assertEqual(self.read("--snapshot", "friday"), before)
        self.assertEqual(self.names(), ["friday"])
        self.run_ok("check", self.image)
        for round_ in range(2):
            self.run_ok("table", "add", self.image, "ns.t", f"q{round_}", "--size", "1K", "--partition", "day=2026-11-06")
            self.assertIn(f"q{round_}", self.run_ok("table", "files", self.image, "ns.t"))
        self.assertEqual(self.run_json("table-show", "table", "show", self.image, "ns.t")["version"], 4)
        self.store("disk", noise(4096, 8))
        self.run_ok("file", "put", self.image, "ns.t", "more", self.write("more", noise(5000)))
        self.assertEqual(self.read("--snapshot", "friday"), before)
        self.run_ok("snapshot", "delete", self.image, "friday")
        for _ in range(3):
            self.run_ok("checkpoint", self.image)
        self.run_ok("check", self.image)
        self.assertEqual(self.load("disk")[:4096], noise(4096, 8))
        self.assertIn("q1", self.run_ok("table", "files", self.image, "ns.t"))

    def test_newer_snapshots_prevent_it_or_go(self):
        before = self.read()
        self.snapshot("monday")
        self.change()
        self.snapshot("tuesday")
        self.snapshot("disk@later")
        refused = ("snapshot", "rollback", self.image, "monday")
        self.run_fails(FAILED, "INVAL", *refused, says=("newer", '"tuesday"', '"disk@later"'))
        self.assertEqual(self.names(), ["monday", "tuesday"])
        self.assertEqual(self.names("disk"), ["later"])
        self.assertNotEqual(self.load("disk"), before[-2])
        with Locked(self.image):
            self.run_fails(BUSY, "BUSY", *refused, "--wait", "0")
        self.run_ok(*refused, "--drop-newer")
        self.assertEqual(self.read(), before)
        self.assertEqual((self.names(), self.names("disk")), (["monday"], []))
        self.run_ok("check", self.image)

    def test_list_and_info(self):
        self.snapshot("one")
        self.snapshot("two")
        self.assertEqual(self.names(), ["one", "two"])
        self.assertEqual(self.run_json("info", "info", self.image)["snapshots"], 2)
        lines = self.run_ok("snapshot", "list", self.image).splitlines()
        self.assertRegex(lines[0], r"^name +created +lsn$")
        self.assertRegex(lines[1], r"^one +20\S+Z +\d+$")
        self.run_ok("info", self.image, "--snapshot", "one")

    def test_refusals(self):
        self.snapshot("one")
        self.run_fails(FAILED, "EXISTS", "snapshot", "create", self.image, "one", says="one")
        self.run_fails(FAILED, "NOT_FOUND", "snapshot", "delete", self.image, "two", says="two")
        self.run_fails(FAILED, "NOT_FOUND", "table", "list", self.image, "--snapshot", "two", says="two")
        self.run_fails(FAILED, "INVAL", "snapshot", "create", self.image, "")
        self.run_fails(USAGE, "USAGE", "table", "add", self.image, "ns.t", "x", "--snapshot", "one", says="--snapshot")

    def test_a_volume_snapshot_within_an_image_snapshot(self):
        self.snapshot("disk@inner")
        self.store("disk", noise(MIB, 8))
        self.snapshot("outer")
        self.run_ok("snapshot", "delete", self.image, "disk@inner")
        self.store("disk", noise(MIB, 9))
        for _ in range(3):
            self.run_ok("checkpoint", self.image)
        self.assertEqual(self.names("disk"), [])
        self.assertEqual(self.names("disk", "--snapshot", "outer"), ["inner"])
        self.assertEqual(self.load("disk", "--length", "1M", "--snapshot", "outer"), noise(MIB, 8))
        self.assertEqual(self.load("disk@inner", "--length", "1M", "--snapshot", "outer"), noise(MIB, 0))
        self.run_ok("check", self.image)


if __name__ == "__main__":
    unittest.main()

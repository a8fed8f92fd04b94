# SPDX-License-Identifier: Apache-2.0
"""Looking at an image offline: dump, scrub, repair, and what an open that recovered something says."""

import json
import os
import pathlib
import random
import unittest

from vdectl_case import DAMAGE, DONE, FAILED, USAGE, VdectlCase

BLOCK = 4096
MIB = 1 << 20


class InspectCase(VdectlCase):
    image_size = "16M"

    def setUp(self):
        super().setUp()
        self.run_ok("namespace", "create", self.image, "ns")
        self.run_ok("table", "create", self.image, "ns.t", "--schema", "id BIGINT")
        self.content = random.Random(5).randbytes(300_000)
        self.run_ok("file", "put", self.image, "ns.t", "part-0.parquet", self.write("data", self.content))

    def bytes(self):
        return bytearray(pathlib.Path(self.image).read_bytes())

    def put(self, content):
        pathlib.Path(self.image).write_bytes(bytes(content))

    def blot(self, block, count=1, fill=b"\x5a"):
        """Overwrite blocks, as dd does."""
        content = self.bytes()
        content[block * BLOCK : (block + count) * BLOCK] = fill * (BLOCK * count)
        self.put(content)

    def newest(self):
        slots = self.run_json("dump-superblock", "dump", "superblock", self.image)["superblocks"]
        return next(slot for slot in slots if slot["newest"])

    def findings(self, verb="check"):
        status, _, _ = self.run_any(verb, self.image)
        return self.run_json(verb, verb, self.image, status=status)["findings"]


class Dump(InspectCase):
    def test_superblocks(self):
        slots = self.run_json("dump-superblock", "dump", "superblock", self.image)["superblocks"]
        self.assertEqual(len(slots), 32)
        newest = [slot for slot in slots if slot["newest"]]
        self.assertEqual([slot["ring"] for slot in newest], ["A", "B"])
        self.assertTrue(newest[0]["clean"])
        text = self.run_ok("dump", "superblock", self.image)
        self.assertIn(f"sequence {newest[0]['sequence']}", text)
        self.blot(16 + newest[0]["slot"])
        slots = self.run_json("dump-superblock", "dump", "superblock", self.image)["superblocks"]
        damaged = next(s for s in slots if s["ring"] == "A" and s["slot"] == newest[0]["slot"])
        self.assertFalse(damaged["valid"])
        self.assertIn("magic", damaged["why"])

    def test_trees(self):
        catalog = self.run_json("dump-tree", "dump", "tree", self.image, "catalog")["items"]
        self.assertEqual((catalog[0]["what"], catalog[0]["depth"]), ("node", 0))
        self.assertIn("name lakehouse", {item.get("key") for item in catalog})
        files = self.run_json("dump-tree", "dump", "tree", self.image, "files")["items"]
        extents = [item for item in files if item.get("kind") == "extent"]
        self.assertTrue(extents)
        self.assertRegex(extents[0]["value"], r"^300000 bytes in 74 blocks at \d+ born \d+$")
        lakehouse = self.run_json("dump-tree", "dump", "tree", self.image, "lakehouse")["items"]
        self.assertEqual(lakehouse[0]["what"], "node")
        self.assertIn("file ", self.run_ok("dump", "tree", self.image, "files"))
        self.run_fails(FAILED, "NOT_FOUND", "dump", "tree", self.image, "nothing", says="nothing")
        self.run_fails(FAILED, "NOT_FOUND", "dump", "tree", self.image, "files", "--snapshot", "3", says="snapshot 3")
        self.run_fails(USAGE, "USAGE", "dump", "tree", self.image)

    def test_values_are_shown_when_asked_for(self):
        shown = self.run_json("dump-tree", "dump", "tree", self.image, "lakehouse", "--show-values")["items"]
        self.assertTrue(all("value_hex" in item for item in shown if item["what"] == "record"))
        hidden = self.run_json("dump-tree", "dump", "tree", self.image, "lakehouse")["items"]
        self.assertFalse(any("value_hex" in item for item in hidden))

    def test_a_damaged_node_is_named_and_the_walk_goes_on(self):
        items = self.run_json("dump-tree", "dump", "tree", self.image, "files")["items"]
        self.blot(items[0]["block"])
        items = self.run_json("dump-tree", "dump", "tree", self.image, "files", status=DAMAGE)["items"]
        self.assertIn("checksum", items[0]["damage"])

    def test_alloc(self):
        alloc = self.run_json("dump-alloc", "dump", "alloc", self.image)
        self.assertTrue(alloc["index_valid"])
        self.assertEqual(sum(page["used_blocks"] for page in alloc["pages"]), alloc["used_blocks"])
        self.assertEqual(
            sum(run["blocks"] for run in alloc["free"]) + alloc["used_blocks"],
            alloc["total_blocks"],
        )
        self.assertIn("free runs", self.run_ok("dump", "alloc", self.image))
        self.blot(32 + 2 + alloc["pages"][0]["slot"])
        alloc = self.run_json("dump-alloc", "dump", "alloc", self.image, status=DAMAGE)
        self.assertFalse(alloc["pages"][0]["valid"])

    def test_log(self):
        items = self.run_json("dump-log", "dump", "log", self.image)["items"]
        self.assertEqual(items[-1]["what"], "stop")
        everything = self.run_json("dump-log", "dump", "log", self.image, "--all")["items"]
        frames = [item for item in everything if item["what"] == "frame"]
        records = [record for frame in frames for record in frame["records"]]
        self.assertEqual([record["lsn"] for record in records], list(range(1, len(records) + 1)))
        kinds = {operation["kind"] for record in records for operation in record["operations"]}
        self.assertLessEqual({"inline", "extent"}, kinds)
        self.assertIn("replay stops", self.run_ok("dump", "log", self.image, "--all"))

    def test_streams(self):
        history = self.run_json("dump-tree", "dump", "tree", self.image, "history")["items"]
        key = next(item["key"] for item in history if item["what"] == "record")
        stream = key.split()[1]
        entries = self.run_json("dump-stream", "dump", "stream", self.image, stream)["entries"]
        self.assertEqual([entry["number"] for entry in entries], list(range(len(entries))))
        self.assertRegex(self.run_ok("dump", "stream", self.image, stream), r"^entry 0: lsn \d+, ")
        self.run_fails(FAILED, "NOT_FOUND", "dump", "stream", self.image, "999999")
        self.run_fails(USAGE, "USAGE", "dump", "stream", self.image, "x", says="ID")


class Scrub(InspectCase):
    def test_clean_and_paced(self):
        self.assertTrue(self.run_json("scrub", "scrub", self.image)["clean"])
        self.assertIn("clean", self.run_ok("scrub", self.image, "--rate", "400"))
        for rate in ("0", "fast", "-1", ""):
            self.run_fails(USAGE, "USAGE", "scrub", self.image, "--rate", rate, says="--rate")

    def test_damage_of_a_file_is_named_by_file_and_offset(self):
        at = bytes(self.bytes()).index(self.content[: 2 * BLOCK])
        self.blot(at // BLOCK)
        found = self.run_json("scrub", "scrub", self.image, status=DAMAGE)["findings"]
        self.assertEqual(len(found), 1)
        self.assertRegex(found[0]["object"], r"file \d+ offset 0")

    def test_copies_that_no_open_needs_are_verified(self):
        slots = self.run_json("dump-superblock", "dump", "superblock", self.image)["superblocks"]
        older = next(s for s in slots if s["ring"] == "B" and s["valid"] and not s["newest"])
        blocks = len(self.bytes()) // BLOCK
        self.blot(blocks - 32 + older["slot"])
        self.assertEqual(self.findings("check"), [])
        found = self.findings("scrub")
        self.assertEqual([f["object"] for f in found], [f"superblock ring B slot {older['slot']}"])


class Repair(InspectCase):
    def planned(self):
        before = self.bytes()
        status, _, err = self.run_any("repair", self.image)
        self.assertEqual(err, "")
        plan = self.run_json("repair", "repair", self.image, status=status)
        self.assertEqual(self.bytes(), before, "repair without --apply wrote something")
        return plan

    def repaired(self, *objects):
        """What is planned is about `objects`, and after it is applied the image is clean and the same."""
        plan = self.planned()
        self.assertEqual({a["object"] for a in plan["actions"] if a["kind"] == "planned"}, set(objects), plan)
        done = self.run_json("repair", "repair", self.image, "--apply")
        self.assertEqual((done["done"], done["finding_count"]), (plan["planned"], 0), done)
        self.assertEqual(self.findings("scrub"), [])
        self.run_ok("file", "get", self.image, "ns.t", "part-0.parquet", self.path("out"))
        self.assertEqual(pathlib.Path(self.path("out")).read_bytes(), self.content)

    def test_a_whole_image_needs_nothing(self):
        self.assertEqual(self.planned()["actions"], [])
        self.assertIn("nothing to do", self.run_ok("repair", self.image))

    def test_label_a(self):
        self.blot(8, 2)
        self.repaired("label A", "feature names A")

    def test_label_b(self):
        self.blot(len(self.bytes()) // BLOCK - 16)
        self.repaired("label B")

    def test_a_superblock_slot(self):
        self.blot(16 + self.newest()["slot"])
        self.repaired(f"superblock ring A slot {self.newest()['slot']}")

    def test_a_whole_ring(self):
        self.blot(len(self.bytes()) // BLOCK - 32, 16)
        self.run_ok("info", self.image)
        plan = self.planned()
        self.assertEqual(plan["impossible"], 0)
        self.run_ok("repair", self.image, "--apply")
        self.assertEqual(self.findings("check"), [])

    def test_a_bitmap_page_and_the_index(self):
        alloc = self.run_json("dump-alloc", "dump", "alloc", self.image)
        self.blot(34 + alloc["pages"][0]["slot"])
        self.repaired("bitmaps")
        self.blot(32 + self.run_json("dump-alloc", "dump", "alloc", self.image)["index_slot"])
        pathlib.Path(self.path("out")).unlink()
        self.repaired("bitmaps")
        self.run_ok("checkpoint", self.image)
        self.assertEqual(self.findings("check"), [])

    def test_damage_that_nothing_proves_is_left_alone(self):
        items = self.run_json("dump-tree", "dump", "tree", self.image, "files")["items"]
        alloc = self.run_json("dump-alloc", "dump", "alloc", self.image)
        self.blot(items[0]["block"])
        self.blot(34 + alloc["pages"][0]["slot"])
        before = self.bytes()
        status, out, _ = self.run_any("repair", self.image, "--apply")
        self.assertEqual(status, DAMAGE)
        self.assertIn("impossible: bitmaps", out)
        self.assertEqual(self.bytes(), before)

    def test_the_newest_superblock_damaged_in_both_rings_is_explained(self):
        newest = self.newest()
        self.blot(16 + newest["slot"])
        self.blot(len(self.bytes()) // BLOCK - 32 + newest["slot"])
        _, out, _ = self.run_any("repair", self.image)
        self.assertIn("damaged in both rings", out)
        self.assertIn(f"falls back to checkpoint {newest['sequence'] - 1}", out)

    def test_nothing_to_go_on_with(self):
        blocks = len(self.bytes()) // BLOCK
        self.blot(16, 16)
        self.blot(blocks - 32, 16)
        for verb in (("repair", self.image), ("dump", "tree", self.image, "catalog"), ("dump", "alloc", self.image)):
            self.run_fails(DAMAGE, "CORRUPT", *verb, says="superblock")
        self.run_json("dump-log", "dump", "log", self.image, "--all")


class Volumes(InspectCase):
    """An image with volumes, a snapshot of one and of the image, a clone."""

    image_size = "32M"

    def setUp(self):
        super().setUp()
        random_bytes = random.Random(7)
        self.disk = bytearray(random_bytes.randbytes(MIB) + bytes(MIB) + random_bytes.randbytes(MIB))
        self.packed = (b"all work and no play " * 50_000)[:MIB]
        self.run_ok("volume", "import", self.image, "disk", self.write("disk", bytes(self.disk)))
        self.run_ok("volume", "import", self.image, "packed", self.write("packed", self.packed), "--compress", "zstd:3")
        self.run_ok("snapshot", "create", self.image, "disk@first")
        self.run_ok("snapshot", "create", self.image, "whole")
        self.run_ok("volume", "clone", self.image, "disk@first", "copy")
        self.disk[65536:131072] = random_bytes.randbytes(65536)
        change = self.write("change", bytes(self.disk[65536:131072]))
        self.run_ok("volume", "write", self.image, "disk", change, "--offset", "64K")

    def rings(self):
        blocks = len(self.bytes()) // BLOCK
        self.blot(16, 16)
        self.blot(blocks - 32, 16)

    def rescued(self, status=DONE):
        folder = pathlib.Path(self.path(f"rescued-{random.getrandbits(32)}"))
        report = self.run_json("rescue", "rescue", self.image, str(folder), status=status)
        return folder, report

    def test_check_counts_them(self):
        found = self.run_json("check", "check", self.image)
        self.assertTrue(found["clean"])
        summary = found["summary"]
        self.assertEqual((summary["volumes"], summary["clones"], summary["snapshots"]), (3, 1, 2))
        self.assertGreater(summary["frames"], 0)
        self.assertTrue(self.run_json("scrub", "scrub", self.image)["clean"])

    def test_damage_of_a_volume_is_named_by_volume_and_offset(self):
        at = bytes(self.bytes()).index(bytes(self.disk[2 * MIB : 2 * MIB + BLOCK]))
        self.blot(at // BLOCK)
        found = self.findings("scrub")
        self.assertEqual(len(found), 1, found)
        self.assertIn(f"volume disk offset {2 * MIB}", found[0]["object"])

    def test_trees_of_volumes_and_snapshots(self):
        items = self.run_json("dump-tree", "dump", "tree", self.image, "disk")["items"]
        self.assertIn("run", {item.get("kind") for item in items})
        before = self.run_json("dump-tree", "dump", "tree", self.image, "disk", "--snapshot", "first")["items"]
        self.assertNotEqual(items, before)
        dead = self.run_json("dump-tree", "dump", "tree", self.image, "dead")["items"]
        self.assertTrue(any("dropped under snapshot" in item.get("key", "") for item in dead))
        catalog = self.run_ok("dump", "tree", self.image, "catalog", "--snapshot", "whole")
        self.assertIn("name volumes/disk", catalog)
        self.assertNotIn("name volumes/copy", catalog)

    def expect_everything(self, folder):
        self.assertEqual((folder / "disk.raw").read_bytes(), self.disk)
        self.assertEqual((folder / "packed.raw").read_bytes(), self.packed)
        before = bytearray(self.disk)
        before[65536:131072] = pathlib.Path(self.path("disk")).read_bytes()[65536:131072]
        self.assertEqual((folder / "copy.raw").read_bytes(), before)
        files = [file.read_bytes() for file in (folder / "files").iterdir()]
        self.assertIn(self.content, files)
        entries = [file.read_bytes() for file in (folder / "streams").glob("*/*.json")]
        self.assertTrue(entries)

    def test_rescue_without_superblocks(self):
        self.rings()
        status, _, _ = self.run_any("info", self.image)
        self.assertEqual(status, DAMAGE)
        folder, report = self.rescued()
        self.assertFalse(report["superblock"])
        self.assertTrue(report["catalog"])
        self.assertEqual((report["volumes"], report["files"], report["incomplete"]), (3, 1, 0))
        self.expect_everything(folder)

    def test_rescue_without_labels(self):
        blocks = len(self.bytes()) // BLOCK
        self.rings()
        self.blot(8, 2)
        self.blot(blocks - 16, 2)
        folder, report = self.rescued()
        self.assertFalse(report["label"])
        self.expect_everything(folder)

    def test_rescue_from_an_older_catalog_and_the_log(self):
        for item in self.run_json("dump-tree", "dump", "tree", self.image, "catalog")["items"]:
            if item["what"] == "node":
                self.blot(item["block"])
        self.rings()
        folder, report = self.rescued()
        self.assertFalse(report["stale"])
        self.assertGreater(report["log_records"], 0)
        self.expect_everything(folder)

    def test_rescue_from_loose_nodes(self):
        log = next(r for r in self.run_json("info", "info", self.image)["regions"] if r["name"] == "log")
        self.blot(log["offset_bytes"] // BLOCK, log["size_bytes"] // BLOCK)
        content = self.bytes()
        for at in range(0, len(content), BLOCK):  # every node of the catalog, of any version
            if content[at : at + 4] == b"VNOD" and content[at + 32 : at + 40] == (1).to_bytes(8, "little"):
                self.blot(at // BLOCK)
        self.rings()
        folder, report = self.rescued(status=DAMAGE)
        self.assertFalse(report["catalog"])
        self.assertTrue(report["stale"])
        raws = [file.read_bytes() for file in folder.glob("volume-*.raw")]
        self.assertTrue(any(raw[2 * MIB : 3 * MIB] == self.disk[2 * MIB :] for raw in raws))
        files = [file.read_bytes() for file in (folder / "files").iterdir()]
        self.assertIn(self.content, files)

    def test_rescue_never_hands_out_damaged_data(self):
        at = bytes(self.bytes()).index(bytes(self.disk[2 * MIB : 2 * MIB + BLOCK]))
        self.blot(at // BLOCK)
        self.rings()
        folder, report = self.rescued(status=DAMAGE)
        raw = (folder / "disk.raw").read_bytes()
        self.assertEqual(raw[2 * MIB : 2 * MIB + BLOCK], bytes(BLOCK))
        self.assertEqual(raw[2 * MIB + BLOCK :], self.disk[2 * MIB + BLOCK :])
        disk = next(item for item in report["items"] if item["path"] == "disk.raw")
        self.assertEqual(disk["missing"], [{"offset": 2 * MIB, "size": BLOCK, "why": "checksum"}])

    def test_rescue_behind_a_damaged_node(self):
        items = self.run_json("dump-tree", "dump", "tree", self.image, "disk")["items"]
        nodes = [item for item in items if item["what"] == "node"]
        self.blot(nodes[-1]["block"])
        folder, report = self.rescued(status=DAMAGE)
        disk = next(item for item in report["items"] if item["path"] == "disk.raw")
        self.assertFalse(disk["complete"])
        self.assertEqual(len((folder / "disk.raw").read_bytes()), len(self.disk))

    def test_rescue_of_an_image_that_grew(self):
        self.run_ok("grow", self.image, "--size", "64M")
        later = random.Random(8).randbytes(30 * MIB)
        self.run_ok("volume", "import", self.image, "later", self.write("later", later))
        self.assertTrue(self.run_json("scrub", "scrub", self.image)["clean"])
        alloc = self.run_json("dump-alloc", "dump", "alloc", self.image)
        self.assertEqual(sum(page["used_blocks"] for page in alloc["pages"]), alloc["used_blocks"])
        self.rings()
        folder, report = self.rescued()
        self.assertEqual((report["volumes"], report["incomplete"]), (4, 0))
        self.assertEqual((folder / "later.raw").read_bytes(), later)
        self.expect_everything(folder)

    def test_rescue_of_names_that_look_alike_in_a_folder(self):
        content = {".x": b"one", "_x": b"two", "a\tb": b"three", "a_b": b"four"}
        for name, text in content.items():
            self.run_ok("volume", "create", self.image, name, "--size", "4K")
            self.run_ok("volume", "write", self.image, name, stdin=text)
        folder, report = self.rescued()
        paths = [item["path"] for item in report["items"] if item["kind"] == "volume"]
        self.assertEqual(len(set(paths)), len(paths))
        found = sorted((folder / path).read_bytes().rstrip(b"\0") for path in paths)
        for text in content.values():
            self.assertIn(text, found)

    def test_rescue_of_a_volume_larger_than_any_file(self):
        self.run_ok("volume", "create", self.image, "huge", "--size", "65536T")
        self.run_ok("volume", "write", self.image, "huge", stdin=b"small")
        self.run_ok("volume", "create", self.image, "zlast", "--size", "4K")
        self.run_ok("volume", "write", self.image, "zlast", stdin=b"last")
        try:
            os.truncate(self.write("probe", b""), 65536 << 40)
            fits = True
        except OSError:
            fits = False
        folder, report = self.rescued(status=DONE if fits else DAMAGE)
        self.assertEqual(report["incomplete"], 0 if fits else 1)
        with open(folder / "huge.raw", "rb") as file:
            self.assertEqual(file.read(4096).rstrip(b"\0"), b"small")
        self.assertEqual((folder / "zlast.raw").read_bytes().rstrip(b"\0"), b"last")

    def test_rescue_of_maps(self):
        self.rings()
        folder, report = self.rescued()
        maps = {item["name"]: item["path"] for item in report["items"] if item["kind"] == "map"}
        self.assertEqual(report["maps"], sum(item["kind"] == "map" for item in report["items"]))
        self.assertIn("lakehouse", maps)
        records = {}
        for line in (folder / maps["lakehouse"]).read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            records[bytes.fromhex(record["key"])] = record["value"] and bytes.fromhex(record["value"])
        self.assertTrue(any(b"ns" in key for key in records), records)

    def test_rescue_refusals(self):
        self.run_fails(FAILED, "EXISTS", "rescue", self.image, str(self.folder), says="not empty")
        noise = self.write("noise", random.Random(1).randbytes(8 * MIB))
        self.run_fails(DAMAGE, "CORRUPT", "rescue", noise, self.path("new"), says="no tree node")
        self.run_fails(FAILED, "NOT_FOUND", "rescue", self.path("missing"), self.path("new2"))


class Report(InspectCase):
    def test_info_of_an_image_that_can_not_be_opened(self):
        newest, blocks = self.newest()["sequence"], len(self.bytes()) // BLOCK
        for sequence in (newest, newest - 1):  # the log goes on from there in an epoch that no superblock tells of
            self.blot(16 + sequence % 16)
            self.blot(blocks - 32 + sequence % 16)
        for verb in (("info", self.image), ("info", self.image, "--json")):
            status, out, err = self.run_any(*verb)
            self.assertEqual(status, DAMAGE)
            self.assertIn("CORRUPT", err)
            self.assertIn("sequence", out)
        text = self.run_any("info", self.image)[1]
        self.assertIn("DAMAGED", text)
        self.assertRegex(text, r"(?m)^uuid: ")

    def test_an_open_says_what_it_recovered(self):
        newest = self.newest()
        self.run_ok("namespace", "create", self.image, "more")
        # Without the superblocks of the clean close there is something to replay.
        later = self.newest()["sequence"]
        content = self.bytes()
        blocks = len(content) // BLOCK
        for at in (16 + later % 16, blocks - 32 + later % 16):
            content[at * BLOCK : (at + 1) * BLOCK] = bytes(BLOCK)
        self.put(content)
        self.assertGreater(later, newest["sequence"])
        status, _, err = self.run_any("checkpoint", self.image)
        self.assertEqual(status, DONE, err)
        self.assertRegex(err, r"^vdectl: note: .*replayed 1 record \(\d+ bytes\)")


if __name__ == "__main__":
    unittest.main()

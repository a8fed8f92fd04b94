# SPDX-License-Identifier: Apache-2.0
"""vdectl volume: disks made, filled, looked at, resized, cloned, moved in and out, as their user would."""

import os
import pathlib
import random
import re
import unittest

from vdectl_case import BUSY, DAMAGE, FAILED, USAGE, Locked, VdectlCase

KIB = 1 << 10
MIB = 1 << 20


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


class VolumeCase(VdectlCase):
    def create(self, name, size="16M", *options):
        return self.run_json("volume-create", "volume", "create", self.image, name, "--size", size, *options)

    def store(self, name, content, offset=0):
        """Write bytes through standard input."""
        return self.run_json(
            "volume-write", "volume", "write", self.image, name, "-", "--offset", str(offset), stdin=content
        )

    def load(self, name, *options):
        """The bytes of a volume, through a file."""
        target = self.path("loaded")
        self.run_ok("volume", "read", self.image, name, "-o", target, "--force", *options)
        return pathlib.Path(target).read_bytes()

    def ranges(self, name):
        shown = self.run_json("volume-map", "volume", "map", self.image, name)
        at = 0
        for item in shown["ranges"]:
            self.assertEqual(item["offset"], at, "a gap")
            at += item["size_bytes"]
        self.assertEqual(at, shown["size_bytes"])
        return [(item["offset"], item["size_bytes"], item["state"]) for item in shown["ranges"]]


class Life(VolumeCase):
    def test_create_show_list_delete(self):
        made = self.create("disk")
        self.assertEqual((made["volume"], made["size_bytes"]), ("disk", 16 * MIB))
        self.assertEqual((made["compression"], made["preallocated"], made["origin"]), ("none", False, None))
        shown = self.run_json("volume-show", "volume", "show", self.image, "disk")
        self.assertEqual(shown["id"], made["id"])
        self.run_ok("volume", "create", self.image, "archive", "--size", "1G", "--compress", "zstd:9")
        listed = self.run_json("volume-list", "volume", "list", self.image)["volumes"]
        self.assertEqual([(v["volume"], v["compression"]) for v in listed], [("archive", "zstd:9"), ("disk", "none")])
        deleted = self.run_json("volume-delete", "volume", "delete", self.image, "disk")
        self.assertTrue(deleted["deleted"])
        self.run_fails(FAILED, "NOT_FOUND", "volume", "delete", self.image, "disk", says="disk")
        again = self.run_json("volume-delete", "volume", "delete", self.image, "disk", "--if-exists")
        self.assertFalse(again["deleted"])
        self.run_ok("check", self.image)

    def test_text(self):
        self.assertEqual(self.run_ok("volume", "list", self.image), "")
        self.assertEqual(self.run_ok("volume", "create", self.image, "disk", "--size", "16M"), "")
        lines = self.run_ok("volume", "list", self.image).splitlines()
        self.assertRegex(lines[0], r"^name +size +mapped +stored +by snapshots +snapshots +compress +origin$")
        self.assertRegex(lines[1], r"^disk +16\.0 MiB +0 B +0 B +0 B +0 +none$")
        out = self.run_ok("volume", "show", self.image, "disk", "--bytes")
        for field, value in (("volume", "disk"), ("size", str(16 * MIB)), ("compression", "none"), ("snapshots", "0")):
            self.assertRegex(out, rf"(?m)^{field}: +{value}$")

    def test_names(self):
        for name in ("a b", "ä", "n@me", "x" * 200, "-dash"):
            self.run_ok("volume", "create", self.image, "--size", "1M", "--", name)
        names = [v["volume"] for v in self.run_json("volume-list", "volume", "list", self.image)["volumes"]]
        self.assertEqual(sorted(names), sorted(["a b", "ä", "n@me", "x" * 200, "-dash"]))
        self.assertEqual(self.load("n@me@"), bytes(MIB))
        for name in ("a b@", "@"):
            self.run_fails(FAILED, "INVAL", "volume", "export", self.image, name, self.path("out"), says="empty snapshot name")
            self.run_fails(FAILED, "INVAL", "volume", "map", self.image, name, says="empty snapshot name")
        for name in ("", "a/b", "x" * 201):
            self.run_fails(FAILED, "INVAL", "volume", "create", self.image, name, "--size", "1M")
        self.run_fails(FAILED, "EXISTS", "volume", "create", self.image, "a b", "--size", "1M", says="a b")

    def test_sizes_and_settings_that_are_none(self):
        for size in ("0", "511", "1000"):
            self.run_fails(FAILED, "INVAL", "volume", "create", self.image, "d", "--size", size)
        self.run_fails(USAGE, "USAGE", "volume", "create", self.image, "d", says="--size")
        self.run_fails(USAGE, "USAGE", "volume", "create", self.image, "d", "--size", "big", says="big")
        for codec in ("lz4", "zstd:0", "zstd:10", "zstd:", "zstd:x", ""):
            self.run_fails(
                USAGE, "USAGE", "volume", "create", self.image, "d", "--size", "1M", "--compress", codec, says="zstd:1"
            )
        self.assertEqual(self.run_json("volume-list", "volume", "list", self.image)["volumes"], [])

    def test_a_volume_may_be_larger_than_its_image(self):
        self.assertEqual(self.create("huge", "16T")["size_bytes"], 16 << 40)
        self.store("huge", b"end" + bytes(509), (16 << 40) - 512)
        found = self.load("huge", "--offset", str((16 << 40) - 512))
        self.assertEqual(found, b"end" + bytes(509))
        self.assertEqual(len(self.ranges("huge")), 2)

    def test_rename(self):
        self.create("old")
        self.store("old", noise(8 * KIB))
        renamed = self.run_json("volume-rename", "volume", "rename", self.image, "old", "new")
        self.assertEqual((renamed["volume"], renamed["old_name"]), ("new", "old"))
        self.assertEqual(self.load("new", "--length", "8K"), noise(8 * KIB))
        self.run_fails(FAILED, "NOT_FOUND", "volume", "rename", self.image, "old", "other", says="old")
        self.create("old")
        self.run_fails(FAILED, "EXISTS", "volume", "rename", self.image, "old", "new", says="new")

    def test_resize(self):
        self.create("disk", "1M")
        self.store("disk", noise(MIB))
        grown = self.run_json("volume-resize", "volume", "resize", self.image, "disk", "--size", "2M")
        self.assertEqual(grown["size_bytes"], 2 * MIB)
        self.assertEqual(self.load("disk"), noise(MIB) + bytes(MIB))
        self.run_fails(FAILED, "INVAL", "volume", "resize", self.image, "disk", "--size", "512K", says="--shrink")
        self.assertEqual(self.load("disk"), noise(MIB) + bytes(MIB))
        self.run_ok("volume", "resize", self.image, "disk", "--size", "512K", "--shrink")
        self.run_ok("volume", "resize", self.image, "disk", "--size", "1M")
        self.assertEqual(self.load("disk"), noise(MIB)[: 512 * KIB] + bytes(512 * KIB))
        self.run_fails(FAILED, "NOT_FOUND", "volume", "resize", self.image, "none", "--size", "1M", says="none")
        self.run_fails(FAILED, "INVAL", "volume", "resize", self.image, "disk", "--size", "1000", "--shrink")
        self.run_ok("check", self.image)

    def test_a_busy_image(self):
        self.create("disk")
        with Locked(self.image):
            for verb in (("create", "x", "--size", "1M"), ("delete", "disk"), ("write", "disk")):
                self.run_fails(
                    BUSY, "BUSY", "volume", verb[0], self.image, *verb[1:], "--wait", "0", says=self.image
                )
            self.run_fails(BUSY, "BUSY", "volume", "show", self.image, "disk")

    def test_info_counts_volumes(self):
        self.create("a")
        self.create("b", "1G", "--compress", "zstd")
        self.store("a", noise(MIB))
        self.run_ok("checkpoint", self.image)
        info = self.run_json("info", "info", self.image)
        self.assertEqual((info["volumes"]["volumes"], info["volumes"]["size_bytes"]), (2, 1040 * MIB))
        self.assertEqual(info["volumes"]["mapped_bytes"], MIB)
        self.assertGreaterEqual(info["volumes"]["stored_bytes"], MIB)
        self.assertRegex(self.run_ok("info", self.image), r"(?m)^volumes: +2 of 1\.0 GiB, 1\.0 MiB mapped, ")


class Bytes(VolumeCase):
    def test_what_was_written_is_read(self):
        self.create("disk")
        for offset, size in ((0, 4096), (10 * 512, 512), (1 * MIB, 3 * MIB + 512), (16 * MIB - 512, 512)):
            moved = self.store("disk", noise(size, offset), offset)
            self.assertEqual((moved["offset"], moved["size_bytes"], moved["data_bytes"]), (offset, size, size))
            found = self.load("disk", "--offset", str(offset), "--length", str(size))
            self.assertEqual(found, noise(size, offset))
        self.assertEqual(self.load("disk", "--offset", "8M", "--length", "1M"), bytes(MIB))
        self.assertEqual(self.load("disk", "--offset", "1000", "--length", "7"), noise(4096, 0)[1000:1007])
        self.assertEqual(self.load("disk", "--length", "0"), b"")
        self.run_ok("check", self.image)

    def test_the_end_of_the_input_may_lie_within_a_sector(self):
        self.create("disk")
        self.store("disk", noise(8192))
        self.store("disk", b"hello", 1024)
        expected = bytearray(noise(8192))
        expected[1024:1029] = b"hello"
        self.assertEqual(self.load("disk", "--length", "8K"), bytes(expected))

    def test_standard_input_and_output(self):
        self.create("disk", "512")
        self.run_ok("volume", "write", self.image, "disk", stdin=b"x" * 512)
        self.assertEqual(self.run_ok("volume", "read", self.image, "disk"), "x" * 512)
        status, out, err = self.run_any("volume", "read", self.image, "disk", "--json")
        self.assertEqual((status, out), (USAGE, ""), err)

    def test_from_a_file_with_holes(self):
        self.create("disk")
        source = self.path("sparse")
        with open(source, "wb") as file:
            file.truncate(8 * MIB)
            file.seek(5 * MIB)
            file.write(noise(MIB))
        moved = self.run_json("volume-write", "volume", "write", self.image, "disk", source)
        self.assertEqual((moved["size_bytes"], moved["data_bytes"]), (8 * MIB, MIB))
        self.assertEqual(self.ranges("disk")[:2], [(0, 5 * MIB, "hole"), (5 * MIB, MIB, "data")])
        self.assertEqual(self.load("disk", "--length", "8M"), pathlib.Path(source).read_bytes())

    def test_zeroes_over_data_make_it_a_hole(self):
        self.create("disk")
        self.store("disk", noise(4 * MIB))
        self.store("disk", bytes(2 * MIB), MIB)
        self.assertEqual(
            self.ranges("disk"), [(0, MIB, "data"), (MIB, 2 * MIB, "hole"), (3 * MIB, MIB, "data"), (4 * MIB, 12 * MIB, "hole")]
        )

    def test_beyond_the_end(self):
        self.create("disk", "1M")
        big = self.write("big", noise(MIB + 1))
        self.run_fails(FAILED, "TOO_LARGE", "volume", "write", self.image, "disk", big, says=("big", "at most 1048576"))
        self.assertEqual(self.load("disk"), bytes(MIB), "nothing was written")
        self.run_fails(FAILED, "TOO_LARGE", "volume", "write", self.image, "disk", stdin=noise(MIB + 1))
        self.assertEqual(self.load("disk"), noise(MIB + 1)[:MIB])
        self.run_fails(FAILED, "TOO_LARGE", "volume", "write", self.image, "disk", "--offset", "2M", stdin=b"x" * 512)
        self.run_fails(USAGE, "USAGE", "volume", "write", self.image, "disk", "--offset", "100", says="512")
        for option, value in (("--offset", "1048577"), ("--length", "1048577")):
            refused = ("volume", "read", self.image, "disk", option, value, "-o", self.path("out"))
            self.run_fails(FAILED, "INVAL", *refused, says=option)

    def test_names_that_are_none(self):
        out = self.path("out")
        for verb in (("export", out), ("write",), ("map",), ("show",), ("defrag",)):
            self.run_fails(FAILED, "NOT_FOUND", "volume", verb[0], self.image, "none", *verb[1:], says="none")
        self.create("disk")
        for verb in (("export", out), ("map",)):
            self.run_fails(FAILED, "NOT_FOUND", "volume", verb[0], self.image, "disk@none", *verb[1:], says="none")
        self.run_fails(FAILED, "NOT_FOUND", "volume", "write", self.image, "disk", self.path("no"), says="no")

    def test_a_file_is_replaced_only_when_forced(self):
        self.create("disk", "4K")
        target = self.write("target", "precious")
        self.run_fails(FAILED, "EXISTS", "volume", "read", self.image, "disk", "-o", target, says="--force")
        self.run_fails(FAILED, "EXISTS", "volume", "export", self.image, "disk", target, says="--force")
        self.assertEqual(pathlib.Path(target).read_text(encoding="utf-8"), "precious")
        self.run_ok("volume", "export", self.image, "disk", target, "--force")
        self.assertEqual(pathlib.Path(target).read_bytes(), bytes(4096))
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["t.vde", "target"])

    def test_pipes_devices_and_folders_are_not_replaced(self):
        self.create("disk", "1M")
        self.store("disk", noise(4096))
        null = self.path("null")
        os.symlink("/dev/null", null)
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        for options in ((), ("--force",)):
            self.run_ok("volume", "export", self.image, "disk", null, *options)
            refused = ("volume", "export", self.image, "disk", str(self.folder), *options)
            self.run_fails(FAILED, "INVAL", *refused, says="folder")
            process = self.start("volume", "export", self.image, "disk", pipe, *options)
            self.assertEqual(pathlib.Path(pipe).read_bytes(), noise(4096) + bytes(MIB - 4096))
            self.assertEqual(process.communicate()[1], b"")
        self.assertTrue(pathlib.Path(null).is_symlink())
        self.assertTrue(pathlib.Path(pipe).is_fifo())

    def test_compressed(self):
        self.create("disk", "16M", "--compress", "zstd:3")
        text = b"".join(b"line %d of a text\n" % i for i in range(200000))[: 3 * MIB]
        self.store("disk", text)
        self.store("disk", noise(MIB), 4 * MIB)
        self.run_ok("checkpoint", self.image)
        shown = self.run_json("volume-show", "volume", "show", self.image, "disk")
        self.assertEqual(shown["mapped_bytes"], 4 * MIB)
        self.assertLess(shown["stored_bytes"], 3 * MIB)
        self.assertEqual(self.load("disk", "--length", "3M"), text)
        self.assertEqual(self.load("disk", "--offset", "4M", "--length", "1M"), noise(MIB))
        self.run_ok("check", self.image)

    def test_a_damaged_block_is_never_handed_out(self):
        self.create("disk")
        content = noise(MIB)
        self.store("disk", content)
        with open(self.image, "r+b") as file:
            at = file.read().find(content[300 * KIB : 300 * KIB + 64])
            self.assertGreater(at, 0)
            file.seek(at)
            file.write(bytes([content[300 * KIB] ^ 1]))
        self.run_fails(DAMAGE, "CORRUPT", "volume", "read", self.image, "disk", "-o", self.path("out"), says="disk")
        self.assertFalse(pathlib.Path(self.path("out")).exists())
        found = self.load("disk", "--length", "64K")
        self.assertEqual(found, content[: 64 * KIB])


class Moves(VolumeCase):
    def sparse(self, name):
        path = self.path(name)
        with open(path, "wb") as file:
            file.truncate(12 * MIB + 512)
            for index, at in enumerate((0, 3 * MIB, 8 * MIB + 4096, 12 * MIB)):
                file.seek(at)
                file.write(noise((64, 8, 1024, 0)[index] * KIB + (512 if index == 3 else 0), index))
        return path

    def test_import_and_export_keep_bytes_and_holes(self):
        source = self.sparse("raw")
        content = pathlib.Path(source).read_bytes()
        for options in ((), ("--compress", "zstd:1")):
            name = f"disk{len(options)}"
            moved = self.run_json("volume-import", "volume", "import", self.image, name, source, *options)
            self.assertEqual(moved["size_bytes"], len(content))
            self.assertLess(moved["data_bytes"], 2 * MIB)
            self.assertEqual(self.run_json("volume-show", "volume", "show", self.image, name)["size_bytes"], len(content))
            self.assertIn((64 * KIB, 3 * MIB - 64 * KIB, "hole"), self.ranges(name))
            target = self.path(f"out{len(options)}")
            self.run_json("volume-export", "volume", "export", self.image, name, target)
            self.assertEqual(pathlib.Path(target).read_bytes(), content)
            self.assertLess(os.stat(target).st_blocks * 512, 3 * MIB)
        self.run_ok("check", self.image)

    def test_import_from_standard_input(self):
        self.run_fails(USAGE, "USAGE", "volume", "import", self.image, "disk", "-", stdin=b"x", says="--size")
        self.run_ok("volume", "import", self.image, "disk", "-", "--size", "1M", stdin=noise(5000))
        self.assertEqual(self.load("disk"), noise(5000) + bytes(MIB - 5000))
        status, _, err = self.run_any("volume", "import", self.image, "short", "-", "--size", "4K", stdin=noise(5000))
        self.assertEqual(status, FAILED, err)
        names = [v["volume"] for v in self.run_json("volume-list", "volume", "list", self.image)["volumes"]]
        self.assertEqual(names, ["disk"], "a failed import leaves no volume")

    def test_import_refusals(self):
        source = self.write("raw", noise(8192))
        self.create("disk")
        self.run_fails(FAILED, "EXISTS", "volume", "import", self.image, "disk", source, says="disk")
        self.run_fails(FAILED, "NOT_FOUND", "volume", "import", self.image, "new", self.path("no"), says="no")
        self.run_fails(FAILED, "INVAL", "volume", "import", self.image, "new", str(self.folder), says="a folder")
        self.run_fails(USAGE, "USAGE", "volume", "import", self.image, "new", source, "--size", "4K", says="--size")
        self.run_fails(FAILED, "INVAL", "volume", "import", self.image, "new", self.write("empty", ""))

    def test_a_full_image_says_so_and_goes_on(self):
        small = self.path("small.vde")
        self.run_ok("format", small, "--size", "16M")
        big = self.write("big", noise(20 * MIB))
        self.run_fails(FAILED, "NOSPC", "volume", "import", small, "disk", big)
        self.assertEqual(self.run_ok("volume", "list", small), "")
        self.run_fails(FAILED, "NOSPC", "volume", "create", small, "disk", "--size", "64M", "--prealloc")
        self.run_ok("volume", "import", small, "little", self.write("little", noise(MIB)))
        self.run_ok("volume", "export", small, "little", self.path("out"))
        self.assertEqual(pathlib.Path(self.path("out")).read_bytes(), noise(MIB))
        self.run_ok("check", small)

    def test_preallocated(self):
        self.create("disk", "16M", "--prealloc")
        self.assertTrue(self.run_json("volume-show", "volume", "show", self.image, "disk")["preallocated"])
        self.store("disk", noise(MIB), MIB)
        self.assertEqual(self.ranges("disk"), [(0, MIB, "zero"), (MIB, MIB, "data"), (2 * MIB, 14 * MIB, "zero")])
        self.create("thin", "64M")
        fill = self.write("fill", noise(48 * MIB))
        self.run_fails(FAILED, "NOSPC", "volume", "write", self.image, "thin", fill)
        self.store("disk", noise(12 * MIB), 4 * MIB)
        self.assertEqual(self.load("disk", "--offset", "4M"), noise(12 * MIB))
        self.run_ok("check", self.image)

    def test_defrag_changes_no_byte(self):
        self.create("disk", "8M")
        self.store("disk", noise(8 * MIB))
        content = bytearray(noise(8 * MIB))
        for index in random.Random(3).sample(range(2048), 60):
            self.store("disk", noise(4096, index), index * 4096)
            content[index * 4096 : index * 4096 + 4096] = noise(4096, index)
        done = self.run_json("volume-defrag", "volume", "defrag", self.image, "disk", "--limit-rate", "64M")
        self.assertEqual(done["volume"], "disk")
        self.assertEqual(self.load("disk"), bytes(content))
        self.assertRegex(self.run_ok("volume", "defrag", self.image, "disk"), r"^rewritten: +\d")
        self.run_ok("check", self.image)


class Clones(VolumeCase):
    def test_clone_and_origin_go_their_ways(self):
        self.create("disk", "4M")
        self.store("disk", noise(MIB))
        self.run_ok("snapshot", "create", self.image, "disk@base")
        cloned = self.run_json("volume-clone", "volume", "clone", self.image, "disk@base", "copy")
        self.assertEqual(cloned["origin"], {"volume": "disk", "snapshot": "base"})
        self.assertEqual(cloned["size_bytes"], 4 * MIB)
        self.store("copy", b"c" * 4096)
        self.store("disk", b"d" * 4096, 8192)
        self.assertEqual(self.load("copy")[: MIB], b"c" * 4096 + noise(MIB)[4096:])
        self.assertEqual(self.load("disk@base")[: MIB], noise(MIB))
        self.run_ok("volume", "delete", self.image, "disk")
        self.assertEqual(self.load("copy")[: MIB], b"c" * 4096 + noise(MIB)[4096:])
        self.run_ok("check", self.image)
        self.run_ok("volume", "delete", self.image, "copy")
        self.run_ok("check", self.image)

    def test_refusals(self):
        self.create("disk", "4M")
        self.run_ok("snapshot", "create", self.image, "disk@base")
        self.run_fails(USAGE, "USAGE", "volume", "clone", self.image, "disk", "copy", says="VOLUME@SNAPSHOT")
        self.run_fails(FAILED, "NOT_FOUND", "volume", "clone", self.image, "disk@none", "copy", says="none")
        self.run_fails(FAILED, "NOT_FOUND", "volume", "clone", self.image, "none@base", "copy", says="none")
        self.run_fails(FAILED, "EXISTS", "volume", "clone", self.image, "disk@base", "disk", says="disk")

    def test_diff(self):
        self.create("disk", "8M")
        self.store("disk", noise(2 * MIB))
        self.run_ok("snapshot", "create", self.image, "disk@a")
        self.store("disk", noise(64 * KIB, 2), MIB)
        self.store("disk", bytes(64 * KIB), 0)
        self.run_ok("snapshot", "create", self.image, "disk@b")
        self.store("disk", noise(4096, 3), 4 * MIB)

        def diff(*options):
            shown = self.run_json("volume-diff", "volume", "diff", self.image, "disk", *options)
            return [(r["offset"], r["size_bytes"], r["from"], r["to"]) for r in shown["ranges"]]

        first = [(0, 64 * KIB, "data", "hole"), (MIB, 64 * KIB, "data", "data")]
        self.assertEqual(diff("--from", "a", "--to", "b"), first)
        self.assertEqual(diff("--from", "a"), [*first, (4 * MIB, 4096, "hole", "data")])
        self.assertEqual(diff("--from", "b"), [(4 * MIB, 4096, "hole", "data")])
        self.assertEqual(diff("--from", "b", "--to", "b"), [])
        self.assertEqual(diff("--to", "a"), [(0, 2 * MIB, "hole", "data")])
        out = self.run_ok("volume", "diff", self.image, "disk", "--from", "a")
        self.assertEqual(re.findall(r"(\w+)$", out, re.M)[1:], ["discarded", "overwritten", "written"])
        self.run_fails(FAILED, "NOT_FOUND", "volume", "diff", self.image, "disk", "--from", "none", says="none")
        self.run_fails(FAILED, "NOT_FOUND", "volume", "diff", self.image, "none", "--from", "a", says="none")


if __name__ == "__main__":
    unittest.main()

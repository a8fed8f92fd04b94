# SPDX-License-Identifier: Apache-2.0
"""The image verbs: format, info, check, capabilities, checkpoint."""

import json
import os
import pathlib
import random
import re
import subprocess
import time
import unittest

from vdectl_case import BUSY, DAMAGE, DONE, FAILED, USAGE, Locked, VdectlCase

MIB = 1 << 20


class Format(VdectlCase):
    image_size = None

    def test_text_names_the_target_before_the_result(self):
        lines = self.run_ok("format", self.image, "--size", "64M").splitlines()
        self.assertEqual(lines[0], f"{self.image}: new file")
        self.assertRegex(lines[1], r"^uuid: +[0-9a-f-]{36}$")
        self.assertRegex(lines[2], r"^size: +64\.0 MiB$")

    def test_json(self):
        made = self.run_json("format", "format", self.image, "--size", "64M", "--log-size", "4M")
        self.assertEqual((made["size_bytes"], made["log_bytes"]), (64 * MIB, 4 * MIB))
        self.assertEqual(made["target"], {"kind": "new file", "size_bytes": 0, "model": ""})
        self.assertEqual(self.run_json("info", "info", self.image)["uuid"], made["uuid"])

    def test_the_file_is_sparse(self):
        self.run_ok("format", self.image, "--size", "1G")
        status = os.stat(self.image)
        self.assertEqual(status.st_size, 1024 * MIB)
        self.assertLess(status.st_blocks * 512, 128 * MIB)

    def test_without_a_size_the_free_space_is_the_limit(self):
        made = self.run_json("format", "format", self.image)
        space = os.statvfs(self.folder)
        self.assertGreater(made["size_bytes"], space.f_bavail * space.f_frsize // 2)

    def test_smallest_image(self):
        self.run_ok("format", self.image, "--size", "4M")
        self.run_ok("check", self.image)
        self.run_fails(FAILED, "INVAL", "format", self.path("small.vde"), "--size", "3M")
        for size in ("0", "1", "4095"):
            self.run_fails(USAGE, "USAGE", "format", self.path("none.vde"), "--size", size, says=size)
        self.assertFalse(pathlib.Path(self.path("none.vde")).exists())

    def test_refuses_another_image_unless_forced(self):
        first = self.run_json("format", "format", self.image, "--size", "16M")
        self.run_fails(FAILED, "EXISTS", "format", self.image, "--size", "16M", says=self.image)
        self.assertEqual(self.run_json("info", "info", self.image)["uuid"], first["uuid"])
        second = self.run_json("format", "format", self.image, "--size", "16M", "--force")
        self.assertEqual(second["target"]["kind"], "file")
        self.assertNotEqual(second["uuid"], first["uuid"])

    def test_refuses_foreign_content(self):
        ext4 = bytearray(2 * MIB)
        ext4[1080:1082] = b"\x53\xef"
        gpt = bytearray(2 * MIB)
        gpt[510:512], gpt[512:520] = b"\x55\xaa", b"EFI PART"
        for name, content in (("ext4", ext4), ("gpt", gpt), ("text", b"precious\n")):
            path = self.write(name, bytes(content))
            self.run_fails(FAILED, "EXISTS", "format", path, "--size", "16M", says=name)
            self.assertEqual(pathlib.Path(path).read_bytes(), bytes(content), f"{name} was changed")

    def test_paths_that_can_not_be_images(self):
        self.run_fails(FAILED, "NOT_FOUND", "format", self.path("no/such/x.vde"), "--size", "16M")
        status, _, err = self.run_any("format", str(self.folder), "--size", "16M")
        self.assertEqual(status, FAILED, err)
        self.assertIn(str(self.folder), err)

    def test_refuses_a_locked_image_even_when_forced(self):
        self.run_ok("format", self.image, "--size", "16M")
        with Locked(self.image):
            self.run_fails(BUSY, "BUSY", "format", self.image, "--size", "16M", "--force")


class Device(VdectlCase):
    """Needs root and the loop driver, and fails without."""

    image_size = None
    sector = 512

    def setUp(self):
        super().setUp()
        with open(self.path("disk"), "wb") as file:
            file.truncate(32 * MIB)
        made = subprocess.run(
            ["losetup", "--sector-size", str(self.sector), "--find", "--show", self.path("disk")],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(made.returncode, 0, f"no loop device (these tests need root): {made.stderr.strip()}")
        self.device = made.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", self.device], check=False)

    def test_a_block_device_is_named_with_its_size_first(self):
        lines = self.run_ok("format", self.device).splitlines()
        self.assertTrue(lines[0].startswith(f"{self.device}: device, 32.0 MiB"), lines[0])
        info = self.run_json("info", "info", self.device)
        self.assertTrue(info["device"]["block_device"])
        self.run_ok("check", self.device)
        self.run_fails(FAILED, "EXISTS", "format", self.device)
        made = self.run_json("format", "format", self.device, "--force")
        self.assertEqual(made["target"]["kind"], "device")
        self.assertEqual(made["target"]["size_bytes"], 32 * MIB)

    def test_every_backend_reads_what_another_wrote(self):
        self.run_ok("format", self.device)
        for backend in ("uring", "aio", "sync"):
            self.run_ok("table", "create", self.device, f"t_{backend}", "--schema", "a long", "--backend", backend)
            info = self.run_json("info", "info", self.device, "--backend", backend)
            self.assertEqual(info["device"]["backend"], backend)
            self.assertEqual(info["device"]["logical_block_bytes"], self.sector)
        for name in ("t_uring", "t_aio", "t_sync"):
            self.assertIn(name, self.run_ok("table", "list", self.device))
        self.run_ok("check", self.device)


class DeviceOf4096(Device):
    sector = 4096


class Info(VdectlCase):
    def test_text(self):
        out = self.run_ok("info", self.image)
        for field in (
            "image",
            "uuid",
            "size",
            "format version",
            "created",
            "features",
            "superblock",
            "backend",
            "device",
            "log",
            "space",
            "open",
        ):
            self.assertRegex(out, rf"(?m)^{field}: +\S", field)
        self.assertRegex(out, r"(?m)^region +offset +size$")
        self.assertNotIn("BUSY", out)

    def test_json(self):
        info = self.run_json("info", "info", self.image)
        self.assertFalse(info["busy"])
        self.assertEqual(info["size_bytes"], 64 * MIB)
        self.assertEqual(info["superblock"]["copies"], 2)
        self.assertIn(info["device"]["backend"], ("uring", "aio", "sync"))
        self.assertIn("log", [region["name"] for region in info["regions"]])
        regions = sorted((region["offset_bytes"], region["size_bytes"]) for region in info["regions"])
        for (start, size), (following, _) in zip(regions, regions[1:]):
            self.assertLessEqual(start + size, following, "regions overlap")

    def test_usage_adds_up(self):
        self.run_ok("namespace", "create", self.image, "ns")
        self.run_ok("table", "create", self.image, "ns.t", "--schema", "id BIGINT")
        self.run_ok("file", "put", self.image, "ns.t", "x", self.write("x", bytes(range(256)) * 3000))
        for name, options in (("plain", ()), ("small", ("--compress", "zstd:3"))):
            self.run_ok("volume", "create", self.image, name, "--size", "3M", *options)
            self.run_ok("volume", "write", self.image, name, stdin=b"abcdefgh" * 65536)
        self.run_ok("snapshot", "create", self.image, "plain@one")
        self.run_ok("volume", "write", self.image, "plain", stdin=b"x" * 65536)
        self.run_ok("volume", "clone", self.image, "plain@one", "copied")
        self.run_ok("volume", "write", self.image, "copied", stdin=b"y" * 8192)
        self.run_ok("snapshot", "create", self.image, "whole")
        self.run_ok("table", "drop", self.image, "ns.t", "--purge")
        self.assertNotIn("usage", self.run_json("info", "info", self.image))
        info = self.run_json("info", "info", self.image, "--usage")
        self.assertEqual(sum(item["used_bytes"] for item in info["usage"]), info["space"]["used_bytes"])
        volumes = {item["name"]: item for item in info["usage"] if item["kind"] == "volume"}
        self.assertEqual(set(volumes), {"plain", "small", "copied"})
        self.assertEqual(volumes["plain"]["mapped_bytes"], 512 << 10)
        self.assertLess(volumes["small"]["referenced_bytes"], volumes["small"]["mapped_bytes"])
        self.assertLess(volumes["copied"]["own_bytes"], volumes["copied"]["referenced_bytes"])
        self.assertGreater(volumes["plain"]["snapshot_bytes"], 0)
        out = self.run_ok("info", self.image, "--usage", "--bytes")
        self.assertRegex(out, rf"(?m)^together +{info['space']['used_bytes']}")
        for name in volumes:
            self.assertRegex(out, rf"(?m)^volume {name} +\d+ +\d+ ")

    def test_named_backend(self):
        for backend in ("uring", "aio", "sync"):
            info = self.run_json("info", "info", self.image, "--backend", backend)
            self.assertEqual(info["device"]["backend"], backend)

    def test_under_a_writer_label_and_superblock_are_still_shown(self):
        whole = self.run_json("info", "info", self.image)
        with Locked(self.image):
            status, out, err = self.run_any("info", self.image)
            self.assertEqual(status, BUSY)
            self.assertIn(whole["uuid"], out)
            self.assertRegex(out, r"(?m)^state: +BUSY")
            self.assertRegex(out, r"(?m)^superblock: +sequence \d+")
            self.assertRegex(err, r"^vdectl: .*\(BUSY\)\n$")
            status, out, err = self.run_any("info", self.image, "--json")
            self.assertEqual(status, BUSY)
        busy = json.loads(out)
        self.assert_fits("info", busy)
        self.assert_fits("error", json.loads(err))
        self.assertTrue(busy["busy"])
        self.assertEqual(busy["uuid"], whole["uuid"])
        for part in ("device", "log", "space", "open"):
            self.assertNotIn(part, busy)

    def test_something_else_is_no_image(self):
        path = self.write("text", "hello\n" * 100000)
        status, _, err = self.run_any("info", path)
        self.assertIn(status, (FAILED, DAMAGE))
        self.assertIn(path, err)
        self.run_any("info", str(self.folder))


class Waiting(VdectlCase):
    def test_writers_wait_and_readers_do_not(self):
        with Locked(self.image):
            self.run_fails(BUSY, "BUSY", "checkpoint", self.image, "--wait=0")
            error = self.run_fails(BUSY, "BUSY", "namespace", "list", self.image)
            self.assertTrue(error["retryable"])
            self.run_fails(BUSY, "BUSY", "check", self.image)
            start = time.monotonic()
            status, _, _ = self.run_any("checkpoint", self.image, "--wait=700ms")
            waited = time.monotonic() - start
        self.assertEqual(status, BUSY)
        self.assertGreaterEqual(waited, 0.6)

    def test_a_writer_goes_on_when_the_image_is_free(self):
        for verb in (
            ["checkpoint", self.image],
            ["check", self.image, "--wait", "30s"],
            ["namespace", "list", self.image, "--wait=30s"],
        ):
            with Locked(self.image):
                process = self.start(*verb)
                time.sleep(0.5)
                self.assertIsNone(process.poll(), f"{verb} did not wait")
            _, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, DONE, err)


class Check(VdectlCase):
    def test_clean(self):
        out = self.run_ok("check", self.image)
        self.assertRegex(out, r"(?m)^result: +clean$")
        found = self.run_json("check", "check", self.image)
        self.assertTrue(found["clean"])
        self.assertEqual((found["finding_count"], found["findings"]), (0, []))
        self.assertTrue(found["data_verified"])
        self.assertFalse(self.run_json("check", "check", self.image, "--no-data")["data_verified"])

    def damage(self):
        """Store a file, then overwrite its bytes in the image: only a checksum can tell."""
        content = random.Random(1).randbytes(300000)
        self.run_ok("namespace", "create", self.image, "ns")
        self.run_ok("table", "create", self.image, "ns.t", "--schema", "id BIGINT")
        self.run_ok("file", "put", self.image, "ns.t", "part-0.parquet", self.write("part", content))
        self.run_ok("checkpoint", self.image)
        with open(self.image, "r+b") as file:
            at = file.read().find(content[4096 : 4096 + 64])
            self.assertGreater(at, 0, "the stored bytes are not in the image")
            file.seek(at)
            file.write(b"\0" * 64)

    def test_damage_is_found_and_named(self):
        self.damage()
        status, out, err = self.run_any("check", self.image)
        self.assertEqual((status, err), (DAMAGE, ""))
        self.assertRegex(out, r"(?m)\(CORRUPT\)$")
        self.assertRegex(out, r"(?m)^result: +\d+ findings?$")
        found = self.run_json("check", "check", self.image, status=DAMAGE)
        self.assertFalse(found["clean"])
        self.assertGreaterEqual(found["finding_count"], 1)
        self.assertEqual(found["findings"][0]["code"], "CORRUPT")

    def test_a_damaged_file_is_never_handed_out(self):
        self.damage()
        self.run_fails(DAMAGE, "CORRUPT", "file", "get", self.image, "ns.t", "part-0.parquet", self.path("out"))
        self.assertFalse(pathlib.Path(self.path("out")).exists())

    def test_images_cut_short_or_blotted_out_never_pass(self):
        whole = pathlib.Path(self.image).read_bytes()
        blank = bytes(64 * 1024)
        for name, content in (
            ("empty", b""),
            ("short", whole[: 1 * MIB]),
            ("half", whole[: len(whole) // 2]),
            ("odd", whole[:-1]),
            ("rings", whole[: 64 * 1024] + blank + whole[128 * 1024 : -192 * 1024] + bytes(192 * 1024)),
        ):
            path = self.write(name, content)
            for verb in (["check", path], ["info", path], ["checkpoint", path, "--wait=0"]):
                status, _, err = self.run_any(*verb)
                self.assertIn(status, (FAILED, DAMAGE), f"{name}: {verb[0]}: {err}")
            self.assertEqual(pathlib.Path(path).read_bytes(), content, f"{name} was changed")

    def test_no_progress_bar_where_nobody_looks(self):
        _, _, err = self.run_any("check", self.image)
        self.assertEqual(err, "")


class Checkpoint(VdectlCase):
    def test_text_and_json(self):
        before = self.run_json("checkpoint", "checkpoint", self.image)
        self.run_ok("namespace", "create", self.image, "ns")
        after = self.run_json("checkpoint", "checkpoint", self.image)
        self.assertGreater(after["checkpoint_lsn"], before["checkpoint_lsn"])
        self.assertRegex(self.run_ok("checkpoint", self.image), r"^checkpoint: +lsn \d+\nfree: ")


class Capabilities(VdectlCase):
    def test_text_and_json(self):
        out = self.run_ok("capabilities", self.image)
        found = self.run_json("capabilities", "capabilities", self.image)
        names = {item["name"] for item in found["capabilities"]}
        self.assertGreaterEqual(len(names), 3)
        for item in found["capabilities"]:
            self.assertRegex(out, rf"(?m)^{re.escape(item['name'])} ")
            self.assertTrue(item["works"] or item["detail"], item)
        for item in found["features"]:
            self.assertRegex(out, rf"(?m)^{re.escape(item['name'])} ")
        features = {item["name"]: item for item in found["features"]}
        self.assertTrue(features["checkConstraints"]["guaranteed"])
        self.assertEqual((features["variantType"]["read"], features["icebergCompatV3"]["written"]), (False, False))

    def test_a_folder_and_no_argument_will_do(self):
        self.run_json("capabilities", "capabilities", str(self.folder))
        self.run_json("capabilities", "capabilities")
        self.assertEqual([p.name for p in self.folder.iterdir()], ["t.vde"], "something was left behind")
        self.run_fails(FAILED, "NOT_FOUND", "capabilities", self.path("no/such/x.vde"))


if __name__ == "__main__":
    unittest.main()

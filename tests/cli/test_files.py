# SPDX-License-Identifier: Apache-2.0
"""Data files stored in the image."""

import os
import pathlib
import pty
import random
import time
import unittest

from vdectl_case import FAILED, USAGE, VdectlCase

MIB = 1 << 20


class FileCase(VdectlCase):
    def setUp(self):
        super().setUp()
        self.run_ok("namespace", "create", self.image, "ns")
        self.run_ok("table", "create", self.image, "ns.t", "--schema", "id BIGINT")


class Files(FileCase):
    def test_put_and_get_give_the_same_bytes(self):
        for name, size in (("empty", 0), ("one", 1), ("block", 4096), ("odd", 70001), ("big", 3000001)):
            content = random.Random(size).randbytes(size)
            source = self.write(f"src-{name}", content)
            os.utime(source, ns=(1, 1700000000123456789))
            self.assertEqual(self.run_ok("file", "put", self.image, "ns.t", f"d/{name}", source), "")
            target = pathlib.Path(self.path(f"out-{name}"))
            self.assertEqual(self.run_ok("file", "get", self.image, "ns.t", f"d/{name}", str(target)), "")
            self.assertEqual(target.read_bytes(), content, name)
            self.assertEqual(target.stat().st_mtime_ns, 1700000000123456789)
        self.run_ok("check", self.image)

    def test_standard_input_and_output(self):
        self.run_ok("file", "put", self.image, "ns.t", "x", "-", stdin=b"hello")
        self.assertEqual(self.run_ok("file", "get", self.image, "ns.t", "x", "-"), "hello")
        status, out, _ = self.run_any("file", "get", self.image, "ns.t", "x", "-", "--json")
        self.assertEqual((status, out), (USAGE, ""))

    def test_pipes_and_devices_are_not_replaced(self):
        self.run_ok("file", "put", self.image, "ns.t", "x", "-", stdin=b"hello")
        null = self.path("null")
        os.symlink("/dev/null", null)
        self.run_ok("file", "get", self.image, "ns.t", "x", null)
        self.run_ok("file", "get", self.image, "ns.t", "x", null, "--force")
        self.assertTrue(pathlib.Path(null).is_symlink())
        refused = ("file", "get", self.image, "ns.t", "x", str(self.folder), "--force")
        self.run_fails(FAILED, "INVAL", *refused, says="folder")

    def put_slowly(self, stderr):
        process = self.start("file", "put", self.image, "ns.t", "slow", "-", stderr=stderr)
        for _ in range(4):
            process.stdin.write(bytes(MIB))
            process.stdin.flush()
            time.sleep(0.3)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)

    def test_progress_is_shown_on_a_terminal_and_wiped_away(self):
        master, slave = pty.openpty()
        self.put_slowly(slave)
        os.close(slave)
        shown = os.read(master, 65536).decode()
        os.close(master)
        self.assertRegex(shown, r"^\rput \d+ MiB(\rput \d+ MiB)*\r\x1b\[K$")

    def test_no_progress_without_a_terminal(self):
        with open(self.path("err"), "wb") as err:
            self.put_slowly(err)
        self.assertEqual(pathlib.Path(self.path("err")).read_bytes(), b"")

    def test_list_and_remove(self):
        for name in ("b", "a/2", "a/1"):
            self.run_json("file-put", "file", "put", self.image, "ns.t", name, self.write("src", "12345"))
        self.assertEqual(self.run_ok("file", "list", self.image, "ns.t").split(), ["a/1", "a/2", "b"])
        self.assertEqual(self.run_ok("file", "list", self.image, "ns.t", "a/").split(), ["a/1", "a/2"])
        listed = self.run_json("file-list", "file", "list", self.image, "ns.t")
        self.assertEqual([f["size_bytes"] for f in listed["files"]], [5, 5, 5])
        self.assertRegex(self.run_ok("file", "list", self.image, "ns.t", "--long"), r"(?m)^ *5 B  20\S+Z  a/1$")
        self.run_json("file-remove", "file", "remove", self.image, "ns.t", "a/1")
        self.assertEqual(self.run_ok("file", "list", self.image, "ns.t").split(), ["a/2", "b"])

    def test_a_file_of_the_latest_version_is_kept(self):
        self.run_ok("file", "put", self.image, "ns.t", "p 1", self.write("src", "12345"))
        self.run_ok("table", "add", self.image, "ns.t", "p%201")
        shown = self.run_json("table-files", "table", "files", self.image, "ns.t")
        file = shown["files"][0]
        self.assertEqual((file["path"], file["size_bytes"], file["place"]), ("p%201", 5, "image"))
        self.run_fails(FAILED, "VALIDATION", "file", "remove", self.image, "ns.t", "p 1", says="p 1")
        self.run_ok("file", "remove", self.image, "ns.t", "p 1", "--force")

    def test_refusals(self):
        source = self.write("src", "x")
        self.run_ok("file", "put", self.image, "ns.t", "x", source)
        self.run_fails(FAILED, "FILE_EXISTS", "file", "put", self.image, "ns.t", "x", source, says="x")
        self.run_fails(FAILED, "FILE_NOT_FOUND", "file", "get", self.image, "ns.t", "nope", self.path("o"), says="nope")
        self.run_fails(FAILED, "FILE_NOT_FOUND", "file", "remove", self.image, "ns.t", "nope", says="nope")
        self.run_fails(FAILED, "TABLE_NOT_FOUND", "file", "put", self.image, "ns.u", "x", source, says="ns.u")
        self.run_fails(FAILED, "NOT_FOUND", "file", "put", self.image, "ns.t", "y", self.path("none"), says="none")
        self.run_fails(FAILED, "EXISTS", "file", "get", self.image, "ns.t", "x", source, says="--force")
        self.assertEqual(
            self.run_json("file-get", "file", "get", self.image, "ns.t", "x", source, "--force")["size_bytes"], 1
        )
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["src", "t.vde"], "something was left behind")

    def test_hostile_paths(self):
        source = self.write("src", "x")
        for path in ("../x", "a/../x", "/abs", "a//b", "a\nb", "", "a/", "\x1b[2J", "_delta_log", "_delta_log/x"):
            status, _, err = self.run_any("file", "put", self.image, "ns.t", path, source)
            self.assertEqual(status, FAILED, path)
            self.assertRegex(err, r"\(NAME\)\n$", path)
            self.assertNotIn("\x1b", err)

    def test_a_full_image_says_so_and_goes_on(self):
        small = self.path("small.vde")
        self.run_ok("format", small, "--size", "8M")
        self.run_ok("namespace", "create", small, "ns")
        self.run_ok("table", "create", small, "ns.t", "--schema", "id BIGINT")
        big = self.write("big", random.Random(1).randbytes(12 << 20))
        self.run_fails(FAILED, "NOSPC", "file", "put", small, "ns.t", "big", big)
        self.assertEqual(self.run_ok("file", "list", small, "ns.t"), "")
        self.run_ok("file", "put", small, "ns.t", "little", self.write("little", "x"))
        self.run_ok("check", small)
        self.run_ok("table", "drop", small, "ns.t", "--purge")


if __name__ == "__main__":
    unittest.main()

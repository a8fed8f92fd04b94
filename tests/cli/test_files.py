# SPDX-License-Identifier: Apache-2.0
"""Data files in the image, and Delta Lake tables in and out."""

import json
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
        self.assertEqual((shown["files"][0]["path"], shown["files"][0]["size_bytes"]), ("p%201", 5))
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
        for path in ("../x", "a/../x", "/abs", "a//b", "a\nb", "", "a/", "\x1b[2J"):
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


PROTOCOL = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
SCHEMA = json.dumps({"type": "struct", "fields": [{"name": "id", "type": "long", "nullable": True, "metadata": {}}]})
METADATA = {
    "metaData": {
        "id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": SCHEMA,
        "partitionColumns": [],
        "configuration": {},
        "createdTime": 1587968585495,
    }
}


def add(path, size):
    return {
        "add": {
            "path": path,
            "partitionValues": {},
            "size": size,
            "modificationTime": 1587968586000,
            "dataChange": True,
            "stats": '{"numRecords":1.50e1}',
        }
    }


class Delta(VdectlCase):
    def folder_of(self, name, *commits):
        """A Delta table by hand: commits are lists of actions."""
        for version, actions in enumerate(commits):
            lines = "".join(json.dumps(action) + "\n" for action in actions)
            path = self.write(f"{name}/_delta_log/{version:020}.json", lines)
            os.utime(path, ns=(0, (1587968586 + version) * 10**9 + 123456789))
        return self.path(name)

    def orders(self):
        folder = self.folder_of("orders", [PROTOCOL, METADATA], [add("p0", 5)], [add("p1", 6)])
        self.write("orders/p0", "12345")
        self.write("orders/p1", "123456")
        return folder

    def test_import_and_export(self):
        folder = self.orders()
        looked = self.run_json("delta-import", "delta", "import", self.image, folder, "--dry-run")
        self.assertEqual((looked["outcome"], looked["dry_run"], looked["versions"]), ("native", True, 3))
        self.assertEqual(self.run_ok("table", "list", self.image), "")
        done = self.run_json("delta-import", "delta", "import", self.image, folder)
        self.assertEqual((done["table"], done["data_files"], done["missing_files"]), ("default.orders", 2, 0))
        self.assertEqual(self.run_ok("table", "files", self.image, "default.orders@v1"), "p0\n")
        shown = self.run_json("table-show", "table", "show", self.image, "default.orders")
        self.assertTrue(shown["imported"])
        history = self.run_json("table-history", "table", "history", self.image, "default.orders")["versions"]
        self.assertTrue(all(v["foreign"] for v in history))
        for name, more in (("out", []), ("log", ["--log-only"]), ("state", ["--from-state"])):
            report = self.run_json(
                "delta-export", "delta", "export", self.image, "default.orders", self.path(name), *more
            )
            self.assertEqual(report["versions"], 3)
        for version in range(3):
            original = pathlib.Path(folder, "_delta_log", f"{version:020}.json")
            copy = pathlib.Path(self.path("out"), "_delta_log", original.name)
            self.assertEqual(copy.read_bytes(), original.read_bytes())
            self.assertEqual(copy.stat().st_mtime_ns, original.stat().st_mtime_ns)
        self.assertEqual(pathlib.Path(self.path("out/p1")).read_text(encoding="ascii"), "123456")
        self.assertFalse(pathlib.Path(self.path("log/p1")).exists())

    def test_import_under_a_name(self):
        folder = self.orders()
        self.run_fails(
            FAILED, "NAMESPACE_NOT_FOUND", "delta", "import", self.image, folder, "--table", "shop.o", says="shop"
        )
        out = self.run_ok("delta", "import", self.image, folder, "--table", "shop.o", "--create-namespace")
        self.assertRegex(out, r"(?m)^table: +shop\.o$")
        self.assertRegex(out, r"(?m)^outcome: +native$")
        self.run_fails(
            FAILED, "TABLE_EXISTS", "delta", "import", self.image, folder, "--table", "shop.o", says="shop.o"
        )

    def test_by_reference_the_files_stay_outside(self):
        folder = self.orders()
        done = self.run_json("delta-import", "delta", "import", self.image, folder, "--reference")
        self.assertEqual(done["external_files"], 2)
        self.assertTrue(self.run_json("table-show", "table", "show", self.image, "default.orders")["external"])
        self.run_ok("table", "drop", self.image, "default.orders", "--purge")
        self.assertTrue(pathlib.Path(folder, "p0").exists())

    def test_missing_data_files_are_counted(self):
        done = self.run_json(
            "delta-import", "delta", "import", self.image, self.folder_of("gone", [PROTOCOL, METADATA, add("p0", 5)])
        )
        self.assertEqual((done["missing_files"], done["active_missing"]), (1, 1))
        self.run_fails(
            FAILED, "FILE_NOT_FOUND", "delta", "export", self.image, "default.gone", self.path("o"), "--strict"
        )

    def test_opaque(self):
        strange = {
            "protocol": {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": ["futureThing"],
                "writerFeatures": ["futureThing"],
            }
        }
        done = self.run_json("delta-import", "delta", "import", self.image, self.folder_of("odd", [strange, METADATA]))
        self.assertEqual(done["outcome"], "opaque")
        self.assertIn("futureThing", done["reason"])
        self.run_fails(FAILED, "OPAQUE", "table", "files", self.image, "default.odd", says="futureThing")
        self.run_fails(
            FAILED, "OPAQUE", "table", "add", self.image, "default.odd", "p", "--size", "1", says="futureThing"
        )
        self.run_json("table-history", "table", "history", self.image, "default.odd")
        self.run_ok("delta", "export", self.image, "default.odd", self.path("out"))
        listed = self.run_json("table-list", "table", "list", self.image, "--long")["tables"][0]
        self.assertEqual((listed["native"], listed["files"]), (False, None))
        self.assertIn("opaque", self.run_ok("table", "show", self.image, "default.odd"))

    def test_refused(self):
        self.folder_of("gap", [PROTOCOL, METADATA], [add("p0", 1)], [add("p1", 1)])
        os.unlink(self.path("gap/_delta_log/00000000000000000001.json"))
        self.folder_of("bad", [PROTOCOL, METADATA])
        self.write("bad/_delta_log/00000000000000000001.json", "{not json\n")
        self.folder_of("noproto", [METADATA])
        for name in ("gap", "bad", "noproto"):
            report = self.run_json("delta-import", "delta", "import", self.image, self.path(name), status=FAILED)
            self.assertEqual(report["outcome"], "refused")
            self.assertTrue(report["reason"])
            self.run_fails(FAILED, "REFUSED", "delta", "import", self.image, self.path(name))
        self.run_fails(FAILED, "NOT_FOUND", "delta", "import", self.image, self.path("none"), says="none")
        os.mkdir(self.path("plain"))
        self.run_fails(FAILED, "NOT_FOUND", "delta", "import", self.image, self.path("plain"), says="plain")
        self.assertEqual(self.run_ok("table", "list", self.image), "")

    def test_export_refusals(self):
        self.run_ok("delta", "import", self.image, self.orders())
        self.run_fails(
            FAILED, "EXISTS", "delta", "export", self.image, "default.orders", self.path("orders"), says="orders"
        )
        self.run_fails(
            FAILED, "TABLE_NOT_FOUND", "delta", "export", self.image, "default.none", self.path("o"), says="none"
        )


if __name__ == "__main__":
    unittest.main()

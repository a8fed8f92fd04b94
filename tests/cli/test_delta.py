# SPDX-License-Identifier: Apache-2.0
"""Delta Lake tables in and out: the outcomes, and what each verb says of them."""

import json
import os
import pathlib
import unittest

from vdectl_case import FAILED, VdectlCase

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
        looked = self.run_json("delta-import", "delta", "import", self.image, folder, "--dry-run", "--table", "zz.t")
        self.assertEqual((looked["outcome"], looked["table"]), ("native", "zz.t"))
        self.assertEqual(self.run_ok("table", "list", self.image), "")
        done = self.run_json("delta-import", "delta", "import", self.image, folder)
        self.assertEqual((done["table"], done["data_files"], done["missing_files"]), ("default.orders", 2, 0))
        self.assertEqual(self.run_ok("table", "files", self.image, "default.orders@v1"), "p0\n")
        self.assertEqual(self.places("default.orders"), ["image", "image"])
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

    def places(self, table):
        return [f["place"] for f in self.run_json("table-files", "table", "files", self.image, table)["files"]]

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
        self.assertEqual(self.places("default.orders"), ["outside", "outside"])
        _, out, err = self.run_any("table", "files", self.image, "default.orders")
        self.assertEqual(out, "p0\np1\n")
        self.assertIn("outside", err)
        self.assertRegex(self.run_ok("table", "files", self.image, "default.orders", "--long"), r"(?m) outside  p0$")
        diff = ("table", "diff", self.image, "default.orders", "--from", "1")
        self.assertIn("+ p1  (outside the image)\n", self.run_ok(*diff))
        self.assertEqual(self.run_json("table-diff", *diff)["added"][0]["place"], "outside")
        self.run_ok("table", "drop", self.image, "default.orders", "--purge")
        self.assertTrue(pathlib.Path(folder, "p0").exists())

    def test_missing_data_files_are_counted(self):
        done = self.run_json(
            "delta-import", "delta", "import", self.image, self.folder_of("gone", [PROTOCOL, METADATA, add("p0", 5)])
        )
        self.assertEqual((done["missing_files"], done["active_missing"]), (1, 1))
        self.assertEqual(self.places("default.gone"), ["missing"])
        status, _, err = self.run_any("delta", "export", self.image, "default.gone", self.path("o"), "--strict")
        self.assertEqual(status, FAILED)
        self.assertRegex(err, r"default\.gone: .*\(FILE_NOT_FOUND\)\n$")
        report = self.run_json("delta-export", "delta", "export", self.image, "default.gone", self.path("lenient"))
        self.assertEqual(report["missing_files"], 1)

    def test_links_out_of_the_folder_are_told(self):
        folder = self.folder_of("linked", [PROTOCOL, METADATA, add("out", 6), add("in", 2), add("d/p", 6)])
        self.write("elsewhere/p", "secret")
        self.write("linked/real", "ok")
        for name, target in (("out", "../elsewhere/p"), ("in", "real"), ("d", "../elsewhere")):
            os.symlink(target, self.path(f"linked/{name}"))
        _, _, err = self.run_any("delta", "import", self.image, folder, "--dry-run")
        self.assertIn("2 data files are links that lead out of the folder", err)

    def test_what_cannot_be_looked_at_is_not_missing(self):
        folder = self.folder_of("loop", [PROTOCOL, METADATA, add("p0", 5)])
        os.symlink("p0", self.path("loop/p0"))
        status, _, err = self.run_any("delta", "import", self.image, folder)
        self.assertEqual(status, FAILED, err)
        self.assertIn("data file: stat: Too many levels", err)
        self.assertEqual(self.run_ok("table", "list", self.image), "")

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

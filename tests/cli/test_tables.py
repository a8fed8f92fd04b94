# SPDX-License-Identifier: Apache-2.0
"""Tables: every verb's way through, and each refusal with its own message."""

import json
import unittest

from vdectl_case import CONFLICT, FAILED, USAGE, TableCase

HOSTILE = [
    "ns.a/b",
    "ns..t",
    "ns.",
    ".t",
    "ns._t",
    "ns.a\tb",
    "ns.a\x1b[31m",
    "ns." + "x" * 256,
    "_ns.t",
    "",
    "ns.a\x7f",
]


class Tables(TableCase):
    def test_show(self):
        out = self.run_ok("table", "show", self.image, "ns.t")
        self.assertRegex(out, r"(?m)^version: +2 of 0 to 2$")
        self.assertRegex(out, r"(?m)^files: +2$")
        self.assertRegex(out, r"(?m)^property: +team=red$")
        self.assertRegex(out, r"(?m)^id +(BIGINT|INT64|LONG) +no +no")
        self.assertRegex(out, r"(?m)^day +DATE +yes +yes")
        shown = self.run_json("table-show", "table", "show", self.image, "ns.t")
        self.assertEqual((shown["files"], shown["bytes"], shown["records"]), (2, 2048, 3))
        self.assertEqual(shown["partition_columns"], ["day"])
        self.assertRegex(shown["uri"], r"^vde://[0-9a-f-]{36}/ns/t$")

    def test_list(self):
        self.run_ok("namespace", "create", self.image, "ns.sub")
        self.run_ok("table", "create", self.image, "ns.sub.u", "--schema", "id BIGINT", "--format", "iceberg")
        self.assertEqual(self.run_ok("table", "list", self.image).split(), ["ns.sub.u", "ns.t"])
        self.assertEqual(self.run_ok("table", "list", self.image, "ns"), "ns.t\n")
        self.assertEqual(self.run_ok("table", "list", self.image, "ns", "--recursive").split(), ["ns.sub.u", "ns.t"])
        short = self.run_json("table-list", "table", "list", self.image)
        self.assertEqual(short["tables"], [{"table": "ns.sub.u"}, {"table": "ns.t"}])
        long = self.run_json("table-list", "table", "list", self.image, "--long")
        self.assertEqual([(t["format"], t["version"]) for t in long["tables"]], [("iceberg", 0), ("delta", 2)])
        self.assertRegex(self.run_ok("table", "list", self.image, "--long"), r"(?m)^ns\.t +delta +2 +20\d\d-")

    def test_create_says_what_it_made(self):
        made = self.run_json("table-create", "table", "create", self.image, "ns.u", "--schema", "id BIGINT")
        self.assertTrue(made["created"])
        self.assertEqual(made["commit"]["tables"][0]["version"], 0)
        out = self.run_ok("table", "create", self.image, "ns.v", "--schema", "id BIGINT")
        self.assertRegex(out, r"^ns\.v@v0  20\S+Z  group \S+\n$")
        self.run_fails(
            FAILED, "TABLE_EXISTS", "table", "create", self.image, "ns.v", "--schema", "id BIGINT", says="ns.v"
        )
        again = self.run_json(
            "table-create", "table", "create", self.image, "ns.v", "--schema", "x INT", "--if-not-exists"
        )
        self.assertFalse(again["created"])

    def test_schema_from_a_file_in_each_form(self):
        delta = {"type": "struct", "fields": [{"name": "id", "type": "long", "nullable": False, "metadata": {}}]}
        iceberg = {
            "type": "struct",
            "schema-id": 0,
            "fields": [{"id": 1, "name": "id", "type": "long", "required": True}],
        }
        for name, content in (
            ("ddl", "id BIGINT NOT NULL"),
            ("delta", json.dumps(delta)),
            ("ice", json.dumps(iceberg)),
        ):
            if name != "ddl":
                self.assert_fits("schema", json.loads(content))
            self.run_ok(
                "table", "create", self.image, f"ns.{name}", "--schema-file", self.write(f"{name}.txt", content)
            )
            column = self.run_json("table-show", "table", "show", self.image, f"ns.{name}")["columns"][0]
            self.assertEqual((column["name"], column["nullable"]), ("id", False))
        self.run_ok("table", "create", self.image, "ns.stdin", "--schema-file", "-", stdin="id BIGINT")

    def test_schema_refusals(self):
        create = ("table", "create", self.image, "ns.new")
        self.run_fails(USAGE, "USAGE", *create, says="--schema")
        self.run_fails(USAGE, "USAGE", *create, "--schema", "a INT", "--schema-file", "x", says="both")
        self.run_fails(FAILED, "NOT_FOUND", *create, "--schema-file", self.path("missing"), says="missing")
        for ddl in (
            "id NOSUCHTYPE",
            "id BIGINT,, b INT",
            "id",
            "id BIGINT, ID INT",
            "id DECIMAL(50,2)",
            "(",
            "{",
            "[1]",
        ):
            self.run_fails(FAILED, "SCHEMA", *create, "--schema", ddl)
        self.run_fails(FAILED, "SCHEMA", *create, "--schema-file", self.write("nul", b"id BIGINT\0"), says="NUL")
        self.run_fails(USAGE, "USAGE", *create, "--schema", "a INT", "--format", "hudi", says="hudi")
        self.run_fails(USAGE, "USAGE", *create, "--schema", "a INT", "--partition-by", "a,,b", says="--partition-by")
        for columns in ("nope", "a,a", "a"):
            status, _, err = self.run_any(
                *create, "--schema", "a INT, b INT" if columns != "a" else "a INT", "--partition-by", columns
            )
            self.assertEqual(status, FAILED, columns)
            self.assertRegex(err, r"\((VALIDATION|SCHEMA)\)\n$")
        self.run_fails(
            FAILED, "NAMESPACE_NOT_FOUND", "table", "create", self.image, "zz.t", "--schema", "a INT", says="zz"
        )
        self.assertEqual(self.run_ok("table", "list", self.image), "ns.t\n")

    def test_hostile_names(self):
        for name in HOSTILE:
            status, out, err = self.run_any("table", "create", self.image, name, "--schema", "a INT")
            self.assertEqual((status, out), (FAILED, ""), name)
            self.assertRegex(err, r"\(NAME\)\n$", name)
            self.assertNotIn("\x1b", err)
        self.run_fails(FAILED, "NAME", "table", "create", self.image, "ns.t@v1", "--schema", "a INT")

    def test_unknown_table_and_version_each_have_their_message(self):
        for verb in (
            ["show"],
            ["files"],
            ["history"],
            ["diff", "--from", "0"],
            ["drop"],
            ["evolve", "--property", "a=b"],
        ):
            self.run_fails(
                FAILED, "TABLE_NOT_FOUND", "table", verb[0], self.image, "ns.none", *verb[1:], says="ns.none"
            )
        self.run_fails(
            FAILED, "TABLE_NOT_FOUND", "table", "add", self.image, "ns.none", "p", "--size", "1", says="ns.none"
        )
        for verb in ("show", "files"):
            error = self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", verb, self.image, "ns.t@v3")
            self.assertIn("3", error["text"])
            self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", verb, self.image, "ns.t", "--version", "99", says="99")
            self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", verb, self.image, "ns.t@2001-01-01", says="0")
        self.run_fails(USAGE, "USAGE", "table", "show", self.image, "ns.t", "--version", "-1", says="--version")
        self.run_fails(
            USAGE, "USAGE", "table", "show", self.image, "ns.t", "--timestamp", "yesterday", says="yesterday"
        )
        self.run_fails(USAGE, "USAGE", "table", "show", self.image, "ns.t@v1", "--version", "1", says="one of them")
        self.run_fails(
            USAGE, "USAGE", "table", "show", self.image, "ns.t", "--version=1", "--timestamp=-1h", says="both"
        )
        status, _, err = self.run_any("table", "show", self.image, "ns.t@nonsense")
        self.assertEqual(status, FAILED)
        self.assertRegex(err, r"\((NAME|INVAL)\)\n$")

    def test_drop(self):
        self.assertTrue(self.run_json("table-drop", "table", "drop", self.image, "ns.t")["dropped"])
        self.assertFalse(self.run_json("table-drop", "table", "drop", self.image, "ns.t", "--if-exists")["dropped"])
        self.run_ok("table", "create", self.image, "ns.t", "--schema", "a INT")
        self.run_ok("table", "drop", self.image, "ns.t", "--purge")
        self.run_ok("check", self.image)

    def test_iceberg_metadata(self):
        self.run_ok("table", "create", self.image, "ns.i", "--schema", "id BIGINT NOT NULL", "--format", "iceberg")
        metadata = json.loads(self.run_ok("table", "show", self.image, "ns.i", "--metadata-json"))
        self.assertEqual(metadata["format-version"], 2)
        self.assertEqual(metadata["schemas"][0]["fields"][0]["id"], 1)
        self.run_fails(FAILED, "VALIDATION", "table", "show", self.image, "ns.t", "--metadata-json")

    def test_iceberg_transforms(self):
        create = ("table", "create", self.image, "ns.i", "--schema", "id BIGINT, ts TIMESTAMP, name STRING", "--partition-by")
        self.run_fails(FAILED, "VALIDATION", *create, "bucket(16,id)", says="format iceberg")
        self.run_fails(FAILED, "VALIDATION", *create, "hours(id)", "--format", "iceberg", says="hour")
        self.run_fails(USAGE, "USAGE", *create, "bucket(16,id),", "--format", "iceberg", says="--partition-by")
        self.run_ok(*create, "bucket(16,id),days(ts)", "--format", "iceberg")
        shown = self.run_json("table-show", "table", "show", self.image, "ns.i")
        self.assertEqual(shown["partition_columns"], ["id_bucket_16", "ts_day"])
        add = ("table", "add", self.image, "ns.i", "p", "--size", "1", "--partition")
        self.run_fails(FAILED, "VALIDATION", *add, "id_bucket_16=3", says="ts_day")
        status, _, err = self.run_any(*add, "id_bucket_16=3", "--partition", "ts_day=20-11-2026")
        self.assertEqual(status, FAILED, err)
        self.assertIn("ts_day", err)
        self.assertNotIn("20-11-2026", err)
        self.run_ok(*add, "id_bucket_16=3", "--partition", "ts_day=2026-11-20")
        evolve = ("table", "evolve", self.image, "ns.i")
        self.run_fails(USAGE, "USAGE", *evolve, "--partition-by", "name", "--unpartitioned", says="--unpartitioned")
        self.run_ok(*evolve, "--partition-by", "days(ts),truncate(2,name)")
        self.run_ok(*evolve, "--unpartitioned")
        metadata = json.loads(self.run_ok("table", "show", self.image, "ns.i", "--metadata-json"))
        self.assertEqual([spec["spec-id"] for spec in metadata["partition-specs"]], [0, 1, 2])
        self.assertEqual([f["field-id"] for f in metadata["partition-specs"][1]["fields"]], [1001, 1002])
        self.assertEqual((metadata["default-spec-id"], metadata["last-partition-id"]), (2, 1002))
        self.run_fails(FAILED, "VALIDATION", "table", "evolve", self.image, "ns.t", "--unpartitioned", says="Delta")


class Changes(TableCase):
    def test_remove_files_and_partitions(self):
        done = self.run_json("table-remove", "table", "remove", self.image, "ns.t", "p1")
        self.assertEqual(done["tables"][0]["version"], 3)
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t"), "p2\n")
        self.run_ok("table", "remove", self.image, "ns.t", "--partition", "day=2026-11-02")
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t"), "")
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t@v2"), "p1\np2\n")
        self.run_fails(FAILED, "FILE_NOT_FOUND", "table", "remove", self.image, "ns.t", "p9", says="p9")
        self.run_fails(USAGE, "USAGE", "table", "remove", self.image, "ns.t", says="PATH")
        self.run_fails(USAGE, "USAGE", "table", "remove", self.image, "ns.t", "p", "--partition", "day=x")

    def test_overwrite(self):
        overwrite = ("table", "overwrite", self.image, "ns.t")
        self.run_fails(USAGE, "USAGE", *overwrite, "n", "--where", "day=2026-11-01", "--replace", "p1")
        self.run_fails(FAILED, "VALIDATION", *overwrite, "--where", "id=1", says="partition columns")
        self.run_fails(FAILED, "VALIDATION", *overwrite, "n", "--size", "1", "--where", "day=2026-11-01",
                       "--partition", "day=2026-11-02", says="outside")
        self.run_fails(FAILED, "FILE_NOT_FOUND", *overwrite, "n", "--size", "1", "--partition", "day=2026-11-01",
                       "--replace", "p9", says="p9")
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t"), "p1\np2\n")
        done = self.run_json("table-overwrite", *overwrite, "n1", "--size", "1", "--where", "day=2026-11-01")
        self.assertEqual(done["tables"][0]["version"], 3)
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t"), "p2\nn1\n")
        history = self.run_json("table-history", "table", "history", self.image, "ns.t", "--limit", "1")
        self.assertEqual(history["versions"][0]["operation"], "WRITE")
        self.run_ok(*overwrite, "n2", "--size", "1", "--replace", "p2", "--partition", "day=2026-11-02")
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t"), "n1\nn2\n")
        conflict = self.run_fails(CONFLICT, "CONFLICT", *overwrite, "n3", "--size", "1", "--read-version", "2",
                                  "--where", "day=2026-11-02")
        self.assertIn("Concurrent", conflict["found"])
        self.run_ok(*overwrite)
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t"), "")
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t@v2"), "p1\np2\n")

    def test_manifest(self):
        first = self.run_json("manifest", "manifest", self.image)
        self.assertEqual([n["namespace"] for n in first["namespaces"]], ["ns"])
        self.assertEqual([(t["table"], t["version"]) for t in first["tables"]], [("ns.t", 2)])
        self.assertEqual(self.run_ok("manifest", self.image), self.run_ok("manifest", self.image, "--json"))
        self.assertEqual(self.run_json("manifest", "manifest", self.image), first)
        self.run_ok("table", "remove", self.image, "ns.t", "p1")
        self.run_ok("volume", "create", self.image, "v", "--size", "1M")
        self.run_ok("snapshot", "create", self.image, "v@s")
        second = self.run_json("manifest", "manifest", self.image)
        self.assertNotEqual(second["tables"][0]["digest"], first["tables"][0]["digest"])
        self.assertEqual(second["volumes"], [{"volume": "v", "size_bytes": 1 << 20, "snapshots": ["s"]}])

    def test_add_refusals(self):
        self.run_fails(FAILED, "FILE_NOT_FOUND", "table", "add", self.image, "ns.t", "not-stored", says="--size")
        self.run_fails(USAGE, "USAGE", "table", "add", self.image, "ns.t", "p", "--size", "10000000T", says="--size")
        self.run_fails(USAGE, "USAGE", "table", "add", self.image, "ns.t", "p", "--partition", "=x", says="--partition")
        status, _, err = self.run_any("table", "add", self.image, "ns.t", "p", "--size", "1", "--partition", "nope=1")
        self.assertEqual(status, FAILED, err)
        self.assertNotIn("=1", err.split("try:")[0])

    def test_expected_and_read_versions_conflict_with_status_3(self):
        error = self.run_fails(
            CONFLICT,
            "CONFLICT",
            "table",
            "add",
            self.image,
            "ns.t",
            "p3",
            "--size",
            "1",
            "--partition",
            "day=2026-11-03",
            "--expect-version",
            "2",
        )
        self.assertTrue(error["conflict"])
        self.run_ok(
            "table",
            "add",
            self.image,
            "ns.t",
            "p3",
            "--size",
            "1",
            "--partition",
            "day=2026-11-03",
            "--expect-version",
            "3",
        )
        self.run_ok("table", "remove", self.image, "ns.t", "p3")
        status, _, err = self.run_any("table", "remove", self.image, "ns.t", "p3", "--read-version", "3")
        self.assertEqual(status, CONFLICT, err)
        self.assertRegex(err, r"; (not )?retryable \(CONFLICT\)\n$")

    def test_idempotency_key(self):
        add = (
            "table",
            "add",
            self.image,
            "ns.t",
            "p3",
            "--size",
            "1",
            "--partition",
            "day=2026-11-03",
            "--idempotency-key",
            "k1",
        )
        first = self.run_json("table-add", *add)
        self.assertFalse(first["already_applied"])
        status, _, err = self.run_any(
            "table",
            "add",
            self.image,
            "ns.t",
            "p4",
            "--size",
            "1",
            "--partition",
            "day=2026-11-03",
            "--idempotency-key",
            "k1",
        )
        self.assertEqual(status, FAILED)
        self.assertRegex(err, r"\(VALIDATION\)\n$")

    def test_evolve(self):
        done = self.run_json(
            "table-evolve",
            "table",
            "evolve",
            self.image,
            "ns.t",
            "--add-column",
            "note STRING",
            "--add-column",
            "n INT",
        )
        self.assertEqual(done["tables"][0]["version"], 3)
        shown = self.run_json("table-show", "table", "show", self.image, "ns.t")
        self.assertEqual([c["name"] for c in shown["columns"]], ["id", "day", "note", "n"])
        self.run_ok("table", "evolve", self.image, "ns.t", "--property", "team=blue", "--property", "x=1")
        self.run_ok("table", "evolve", self.image, "ns.t", "--unset", "x")
        shown = self.run_json("table-show", "table", "show", self.image, "ns.t")
        self.assertEqual(shown["properties"].get("team"), "blue")
        self.assertNotIn("x", shown["properties"])
        self.assertEqual(
            [c["name"] for c in self.run_json("table-show", "table", "show", self.image, "ns.t@v2")["columns"]],
            ["id", "day"],
        )

    def test_added_columns_leave_the_others_as_they_are(self):
        metadata = '{"comment":"the id","delta.columnMapping.id":7,"exact":12345678901234567890,"f":1.50}'
        old = f'{{"name":"id","type":"long","nullable":true,"metadata":{metadata}}}'
        schema = self.write("schema.json", f'{{"type":"struct","fields":[{old}]}}')
        self.run_ok("table", "create", self.image, "ns.m", "--schema-file", schema)
        self.run_ok("table", "evolve", self.image, "ns.m", "--add-column", "x INT COMMENT 'new'")
        shown = self.run_json("table-show", "table", "show", self.image, "ns.m")
        self.assertIn(old, shown["schema_json"])
        self.assertEqual([c["comment"] for c in shown["columns"]], ["the id", "new"])

    def test_evolve_refusals_name_column_and_rule(self):
        evolve = ("table", "evolve", self.image, "ns.t")
        self.run_fails(USAGE, "USAGE", *evolve)
        self.run_fails(USAGE, "USAGE", *evolve, "--schema", "a INT", "--add-column", "b INT")
        for schema, column in (
            ("day DATE", "id"),
            ("id INT NOT NULL, day DATE", "id"),
            ("id BIGINT NOT NULL, day DATE NOT NULL", "day"),
        ):
            error = self.run_fails(FAILED, "SCHEMA_INCOMPATIBLE", *evolve, "--schema", schema)
            self.assertIn(column, error["text"])
        self.run_fails(FAILED, "SCHEMA", *evolve, "--add-column", "x NOSUCHTYPE")


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""Namespaces and tables: every verb's way through, and each refusal with its own message."""
import json
import re
import time
import unittest

from vdectl_case import CONFLICT, FAILED, USAGE, VdectlCase

HOSTILE = ["ns.a/b", "ns..t", "ns.", ".t", "ns._t", "ns.a\tb", "ns.a\x1b[31m", "ns." + "x" * 256, "_ns.t", "", "ns.a\x7f"]


class Namespaces(VdectlCase):
    def test_life_of_a_namespace(self):
        self.assertEqual(self.run_ok("namespace", "list", self.image), "")
        self.assertEqual(self.run_ok("namespace", "create", self.image, "shop", "--property", "owner=ann"), "")
        made = self.run_json("namespace-create", "namespace", "create", self.image, "shop.eu")
        self.assertEqual(made, {"namespace": "shop.eu", "created": True})
        self.assertEqual(self.run_ok("namespace", "list", self.image), "shop\n")
        self.assertEqual(self.run_ok("namespace", "list", self.image, "--recursive"), "shop\nshop.eu\n")
        below = self.run_json("namespace-list", "namespace", "list", self.image, "shop")
        self.assertEqual(below["namespaces"], ["shop.eu"])
        self.run_ok("namespace", "set", self.image, "shop", "note=a=b", "x=1")
        self.run_ok("namespace", "set", self.image, "shop", "--unset", "x")
        shown = self.run_json("namespace-show", "namespace", "show", self.image, "shop")
        self.assertEqual(shown["properties"], {"owner": "ann", "note": "a=b"})
        self.assertEqual((shown["namespaces"], shown["tables"]), (1, 0))
        out = self.run_ok("namespace", "show", self.image, "shop")
        self.assertRegex(out, r"(?m)^property: +owner=ann$")
        self.run_json("namespace-set", "namespace", "set", self.image, "shop", "x=2")
        self.run_json("namespace-drop", "namespace", "drop", self.image, "shop.eu")
        self.run_ok("namespace", "drop", self.image, "shop")
        self.assertEqual(self.run_ok("namespace", "list", self.image), "")

    def test_refusals(self):
        self.run_ok("namespace", "create", self.image, "a")
        self.run_fails(FAILED, "NAMESPACE_EXISTS", "namespace", "create", self.image, "a", says="a")
        self.assertFalse(self.run_json("namespace-create", "namespace", "create", self.image, "a",
                                       "--if-not-exists")["created"])
        self.run_fails(FAILED, "NAMESPACE_NOT_FOUND", "namespace", "create", self.image, "b.c", says="b")
        for verb in ("show", "drop"):
            self.run_fails(FAILED, "NAMESPACE_NOT_FOUND", "namespace", verb, self.image, "zz", says="zz")
        self.assertFalse(self.run_json("namespace-drop", "namespace", "drop", self.image, "zz", "--if-exists")["dropped"])
        self.run_ok("namespace", "create", self.image, "a.b")
        self.run_fails(FAILED, "NAMESPACE_NOT_EMPTY", "namespace", "drop", self.image, "a", says="a")
        self.run_fails(USAGE, "USAGE", "namespace", "set", self.image, "a", says="KEY=VALUE")
        self.run_fails(USAGE, "USAGE", "namespace", "set", self.image, "a", "novalue", says="novalue")
        self.run_fails(USAGE, "USAGE", "namespace", "set", self.image, "a", "=x", says="=x")
        self.run_fails(FAILED, "NAMESPACE_NOT_FOUND", "namespace", "list", self.image, "zz", says="zz")

    def test_hostile_names(self):
        for name in ("_x", "..", "a..b", "a/b", "a\nb", "x" * 256, "a@b", b"\xff\xfe".decode("utf-8", "surrogateescape")):
            error = self.run_fails(FAILED, "NAME", "namespace", "create", self.image, name)
            self.assertFalse(error["retryable"])
        self.assertEqual(self.run_ok("namespace", "list", self.image), "")


class TableCase(VdectlCase):
    """A namespace and a table ns.t with files p0 (day 1) and p1 (day 2) in versions 1 and 2."""

    def setUp(self):
        super().setUp()
        self.run_ok("namespace", "create", self.image, "ns")
        self.run_ok("table", "create", self.image, "ns.t", "--schema", "id BIGINT NOT NULL, day DATE",
                    "--partition-by", "day", "--property", "team=red")
        for index in (1, 2):
            self.run_ok("table", "add", self.image, "ns.t", f"p{index}", "--size", "1K", "--records", str(index),
                        "--partition", f"day=2026-11-0{index}")


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
        self.run_fails(FAILED, "TABLE_EXISTS", "table", "create", self.image, "ns.v", "--schema", "id BIGINT", says="ns.v")
        again = self.run_json("table-create", "table", "create", self.image, "ns.v", "--schema", "x INT", "--if-not-exists")
        self.assertFalse(again["created"])

    def test_schema_from_a_file_in_each_form(self):
        delta = {"type": "struct", "fields": [{"name": "id", "type": "long", "nullable": False, "metadata": {}}]}
        iceberg = {"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "type": "long", "required": True}]}
        for name, content in (("ddl", "id BIGINT NOT NULL"), ("delta", json.dumps(delta)), ("ice", json.dumps(iceberg))):
            if name != "ddl":
                self.assert_fits("schema", json.loads(content))
            self.run_ok("table", "create", self.image, f"ns.{name}", "--schema-file", self.write(f"{name}.txt", content))
            column = self.run_json("table-show", "table", "show", self.image, f"ns.{name}")["columns"][0]
            self.assertEqual((column["name"], column["nullable"]), ("id", False))
        self.run_ok("table", "create", self.image, "ns.stdin", "--schema-file", "-", stdin="id BIGINT")

    def test_schema_refusals(self):
        create = ("table", "create", self.image, "ns.new")
        self.run_fails(USAGE, "USAGE", *create, says="--schema")
        self.run_fails(USAGE, "USAGE", *create, "--schema", "a INT", "--schema-file", "x", says="both")
        self.run_fails(FAILED, "NOT_FOUND", *create, "--schema-file", self.path("missing"), says="missing")
        for ddl in ("id NOSUCHTYPE", "id BIGINT,, b INT", "id", "id BIGINT, ID INT", "id DECIMAL(50,2)", "(", "{", "[1]"):
            self.run_fails(FAILED, "SCHEMA", *create, "--schema", ddl)
        self.run_fails(FAILED, "SCHEMA", *create, "--schema-file", self.write("nul", b"id BIGINT\0"), says="NUL")
        self.run_fails(USAGE, "USAGE", *create, "--schema", "a INT", "--format", "hudi", says="hudi")
        self.run_fails(USAGE, "USAGE", *create, "--schema", "a INT", "--partition-by", "a,,b", says="--partition-by")
        for columns in ("nope", "a,a", "a"):
            status, _, err = self.run_any(*create, "--schema", "a INT, b INT" if columns != "a" else "a INT",
                                          "--partition-by", columns)
            self.assertEqual(status, FAILED, columns)
            self.assertRegex(err, r"\((VALIDATION|SCHEMA)\)\n$")
        self.run_fails(FAILED, "NAMESPACE_NOT_FOUND", "table", "create", self.image, "zz.t", "--schema", "a INT", says="zz")
        self.assertEqual(self.run_ok("table", "list", self.image), "ns.t\n")

    def test_hostile_names(self):
        for name in HOSTILE:
            status, out, err = self.run_any("table", "create", self.image, name, "--schema", "a INT")
            self.assertEqual((status, out), (FAILED, ""), name)
            self.assertRegex(err, r"\(NAME\)\n$", name)
            self.assertNotIn("\x1b", err)
        self.run_fails(FAILED, "NAME", "table", "create", self.image, "ns.t@v1", "--schema", "a INT")

    def test_unknown_table_and_version_each_have_their_message(self):
        for verb in (["show"], ["files"], ["history"], ["diff", "--from", "0"], ["drop"], ["evolve", "--property", "a=b"]):
            self.run_fails(FAILED, "TABLE_NOT_FOUND", "table", verb[0], self.image, "ns.none", *verb[1:], says="ns.none")
        self.run_fails(FAILED, "TABLE_NOT_FOUND", "table", "add", self.image, "ns.none", "p", "--size", "1", says="ns.none")
        for verb in ("show", "files"):
            error = self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", verb, self.image, "ns.t@v3")
            self.assertIn("3", error["text"])
            self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", verb, self.image, "ns.t", "--version", "99", says="99")
            self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", verb, self.image, "ns.t@2001-01-01", says="0")
        self.run_fails(USAGE, "USAGE", "table", "show", self.image, "ns.t", "--version", "-1", says="--version")
        self.run_fails(USAGE, "USAGE", "table", "show", self.image, "ns.t", "--timestamp", "yesterday", says="yesterday")
        self.run_fails(USAGE, "USAGE", "table", "show", self.image, "ns.t@v1", "--version", "1", says="one of them")
        self.run_fails(USAGE, "USAGE", "table", "show", self.image, "ns.t", "--version=1", "--timestamp=-1h", says="both")
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

    def test_add_refusals(self):
        self.run_fails(FAILED, "FILE_NOT_FOUND", "table", "add", self.image, "ns.t", "not-stored", says="--size")
        self.run_fails(USAGE, "USAGE", "table", "add", self.image, "ns.t", "p", "--size", "10000000T", says="--size")
        self.run_fails(USAGE, "USAGE", "table", "add", self.image, "ns.t", "p", "--partition", "=x", says="--partition")
        status, _, err = self.run_any("table", "add", self.image, "ns.t", "p", "--size", "1", "--partition", "nope=1")
        self.assertEqual(status, FAILED, err)
        self.assertNotIn("=1", err.split("try:")[0])

    def test_expected_and_read_versions_conflict_with_status_3(self):
        error = self.run_fails(CONFLICT, "CONFLICT", "table", "add", self.image, "ns.t", "p3", "--size", "1",
                               "--partition", "day=2026-11-03", "--expect-version", "2")
        self.assertTrue(error["conflict"])
        self.run_ok("table", "add", self.image, "ns.t", "p3", "--size", "1", "--partition", "day=2026-11-03",
                    "--expect-version", "3")
        self.run_ok("table", "remove", self.image, "ns.t", "p3")
        status, _, err = self.run_any("table", "remove", self.image, "ns.t", "p3", "--read-version", "3")
        self.assertEqual(status, CONFLICT, err)
        self.assertRegex(err, r"; (not )?retryable \(CONFLICT\)\n$")

    def test_idempotency_key(self):
        add = ("table", "add", self.image, "ns.t", "p3", "--size", "1", "--partition", "day=2026-11-03",
               "--idempotency-key", "k1")
        first = self.run_json("table-add", *add)
        self.assertFalse(first["already_applied"])
        status, _, err = self.run_any("table", "add", self.image, "ns.t", "p4", "--size", "1", "--partition",
                                      "day=2026-11-03", "--idempotency-key", "k1")
        self.assertEqual(status, FAILED)
        self.assertRegex(err, r"\(VALIDATION\)\n$")

    def test_evolve(self):
        done = self.run_json("table-evolve", "table", "evolve", self.image, "ns.t", "--add-column", "note STRING",
                             "--add-column", "n INT")
        self.assertEqual(done["tables"][0]["version"], 3)
        shown = self.run_json("table-show", "table", "show", self.image, "ns.t")
        self.assertEqual([c["name"] for c in shown["columns"]], ["id", "day", "note", "n"])
        self.run_ok("table", "evolve", self.image, "ns.t", "--property", "team=blue", "--property", "x=1")
        self.run_ok("table", "evolve", self.image, "ns.t", "--unset", "x")
        shown = self.run_json("table-show", "table", "show", self.image, "ns.t")
        self.assertEqual(shown["properties"].get("team"), "blue")
        self.assertNotIn("x", shown["properties"])
        self.assertEqual([c["name"] for c in self.run_json("table-show", "table", "show", self.image, "ns.t@v2")["columns"]],
                         ["id", "day"])

    def test_evolve_refusals_name_column_and_rule(self):
        evolve = ("table", "evolve", self.image, "ns.t")
        self.run_fails(USAGE, "USAGE", *evolve)
        self.run_fails(USAGE, "USAGE", *evolve, "--schema", "a INT", "--add-column", "b INT")
        for schema, column in (("day DATE", "id"), ("id INT NOT NULL, day DATE", "id"),
                               ("id BIGINT NOT NULL, day DATE NOT NULL", "day")):
            error = self.run_fails(FAILED, "SCHEMA_INCOMPATIBLE", *evolve, "--schema", schema)
            self.assertIn(column, error["text"])
        self.run_fails(FAILED, "SCHEMA", *evolve, "--add-column", "x NOSUCHTYPE")


class TimeTravel(TableCase):
    def test_files_at_versions_and_times(self):
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t"), "p1\np2\n")
        for address in (["ns.t@v1"], ["ns.t", "--version", "1"], ["ns.t", "--version", "v1"]):
            self.assertEqual(self.run_ok("table", "files", self.image, *address), "p1\n")
        versions = self.run_json("table-history", "table", "history", self.image, "ns.t")["versions"]
        at = {v["version"]: v["time"] for v in versions}
        for version, files in ((0, ""), (1, "p1\n"), (2, "p1\np2\n")):
            for address in ([f"ns.t@{at[version]}"], ["ns.t", "--timestamp", at[version]]):
                listed = self.run_json("table-files", "table", "files", self.image, *address)
                self.assertEqual(listed["version"], version)
                self.assertEqual("".join(f["path"] + "\n" for f in listed["files"]), files)
        time.sleep(1.1)
        self.assertEqual(self.run_json("table-files", "table", "files", self.image, "ns.t@-1s")["version"], 2)

    def test_a_time_after_the_last_version_is_the_last_with_a_note(self):
        status, out, err = self.run_any("table", "files", self.image, "ns.t@2999-01-01")
        self.assertEqual((status, out), (0, "p1\np2\n"))
        self.assertTrue(err.startswith("vdectl: note: "), err)
        listed = self.run_json("table-files", "table", "files", self.image, "ns.t@2999-01-01")
        self.assertTrue(listed["note"])

    def test_values_only_when_asked(self):
        for args in (("table", "files", self.image, "ns.t", "--long"), ("table", "files", self.image, "ns.t", "--json")):
            self.assertNotIn("2026-11-0", self.run_ok(*args).replace("modification_time", ""))
        self.assertIn("day=2026-11-01", self.run_ok("table", "files", self.image, "ns.t", "--show-values"))
        listed = self.run_json("table-files", "table", "files", self.image, "ns.t", "--show-values")
        self.assertEqual(listed["files"][0]["partition_values"], {"day": "2026-11-01"})
        self.assertIn("day=2026-11-02", self.run_ok("table", "diff", self.image, "ns.t", "--from", "1", "--show-values"))
        self.assertNotIn("2026-11-02", self.run_ok("table", "diff", self.image, "ns.t@v1").split("records:")[1])

    def test_history(self):
        out = self.run_ok("table", "history", self.image, "ns.t")
        self.assertEqual([line.split()[0] for line in out.splitlines()], ["version", "2", "1", "0"])
        found = self.run_json("table-history", "table", "history", self.image, "ns.t")["versions"]
        self.assertEqual([(v["files_added"], v["bytes_added"], v["records_added"]) for v in found[:2]],
                         [(1, 1024, 2), (1, 1024, 1)])
        self.assertEqual([v["schema_changed"] for v in found], [False, False, True])
        self.assertTrue(found[0]["time"] > found[1]["time"] > found[2]["time"])

    def numbers(self, *args):
        return [v["version"] for v in self.run_json("table-history", "table", "history", self.image, *args)["versions"]]

    def test_history_ranges(self):
        self.assertEqual(self.numbers("ns.t", "--limit", "1"), [2])
        self.assertEqual(self.numbers("ns.t", "--oldest-first"), [0, 1, 2])
        self.assertEqual(self.numbers("ns.t", "--from", "1", "--to", "v1"), [1])
        self.assertEqual(self.numbers("ns.t@v1"), [1, 0])
        versions = self.run_json("table-history", "table", "history", self.image, "ns.t")["versions"]
        at = {v["version"]: v["time"] for v in versions}
        self.assertEqual(self.numbers("ns.t", "--since", at[1]), [2, 1])
        self.assertEqual(self.numbers("ns.t", "--until", at[1]), [1, 0])
        self.assertEqual(self.numbers("ns.t", "--since", "2999-01-01"), [])
        self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", "history", self.image, "ns.t", "--from", "7", says="7")
        self.run_fails(USAGE, "USAGE", "table", "history", self.image, "ns.t", "--from", "2", "--to", "1")
        self.run_fails(USAGE, "USAGE", "table", "history", self.image, "ns.t", "--since", "then", says="then")
        self.run_fails(USAGE, "USAGE", "table", "history", self.image, "ns.t", "--limit", "many", says="many")

    def test_history_shows_twenty_by_default(self):
        lines = "".join(json.dumps({"tables": [{"table": "ns.t", "actions": [{"add": {
            "path": f"q{i}", "partitionValues": {"day": "2026-11-03"}, "size": 1, "modificationTime": 0,
            "dataChange": True}}]}]}) + "\n" for i in range(30))
        self.run_ok("txn", "commit", self.image, "--batch", stdin=lines)
        self.assertEqual(self.numbers("ns.t"), list(range(32, 12, -1)))
        self.assertEqual(self.numbers("ns.t", "--limit", "0"), list(range(32, -1, -1)))

    def test_diff(self):
        out = self.run_ok("table", "diff", self.image, "ns.t", "--from", "0", "--to", "2")
        self.assertRegex(out, r"(?m)^files: +\+2 -0$")
        self.assertEqual(re.findall(r"(?m)^[+-] .*$", out), ["+ p1", "+ p2"])
        back = self.run_json("table-diff", "table", "diff", self.image, "ns.t", "--from", "latest", "--to", "v1")
        self.assertEqual(([f["path"] for f in back["added"]], [f["path"] for f in back["removed"]]), ([], ["p2"]))
        self.assertEqual(back["bytes_removed"], 1024)
        same = self.run_json("table-diff", "table", "diff", self.image, "ns.t@v2", "--to", "2999-01-01")
        self.assertEqual((same["added"], same["removed"], same["schema_changed"]), ([], [], False))
        self.run_ok("table", "evolve", self.image, "ns.t", "--add-column", "z INT")
        changed = self.run_json("table-diff", "table", "diff", self.image, "ns.t@v2")
        self.assertTrue(changed["schema_changed"])
        self.run_fails(USAGE, "USAGE", "table", "diff", self.image, "ns.t", says="--from")
        self.run_fails(USAGE, "USAGE", "table", "diff", self.image, "ns.t@v1", "--from", "1")
        self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", "diff", self.image, "ns.t", "--from", "0", "--to", "9", says="9")


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""Transactions: documents, batches, refusals, and writers that wait for each other."""

import json
import subprocess
import unittest

import validate
from vdectl_case import BUSY, CONFLICT, DONE, FAILED, VDECTL, VdectlCase, schema


def add(path, **more):
    return {"add": {"path": path, "partitionValues": {}, "size": 10, "modificationTime": 0, "dataChange": True, **more}}


class TxnCase(VdectlCase):
    def setUp(self):
        super().setUp()
        self.run_ok("namespace", "create", self.image, "ns")
        for name in ("a", "b"):
            self.run_ok("table", "create", self.image, f"ns.{name}", "--schema", "id BIGINT")

    def document(self, *tables, **more):
        document = {"tables": [dict(actions=[], **t) if "actions" not in t else t for t in tables], **more}
        self.assertEqual(list(validate.errors(schema("transaction"), document)), [])
        return json.dumps(document)

    def commit(self, *tables, **more):
        return self.run_json("txn-commit", "txn", "commit", self.image, stdin=self.document(*tables, **more))

    def files(self, table):
        return self.run_ok("table", "files", self.image, table).split()


class Commit(TxnCase):
    def test_two_tables_at_once(self):
        done = self.commit({"table": "ns.b", "actions": [add("y")]}, {"table": "ns.a", "actions": [add("x")]})
        self.assertEqual([(t["table"], t["version"]) for t in done["tables"]], [("ns.b", 1), ("ns.a", 1)])
        self.assertEqual((self.files("ns.a"), self.files("ns.b")), (["x"], ["y"]))
        times = {self.run_json("table-show", "table", "show", self.image, f"ns.{n}")["time"] for n in "ab"}
        self.assertEqual(times, {done["time"]})
        shown = self.run_json("txn-show", "txn", "show", self.image, done["group"])
        self.assertEqual(shown["tables"], done["tables"])
        self.assertIn("ns.a@v1", self.run_ok("txn", "show", self.image, done["group"]))

    def test_what_only_the_writer_knows_is_declared(self):
        create = {"schema": "id BIGINT", "properties": {"delta.constraints.positive": "id > 0"}}
        self.commit({"table": "ns.c", "create": create, "actions": []})
        refused = self.document({"table": "ns.c", "actions": [add("x")]})
        self.run_fails(FAILED, "FEATURE", "txn", "commit", self.image, says="checkConstraints", stdin=refused)
        self.commit({"table": "ns.c", "guarantees": ["checkConstraints"], "actions": [add("x")]})
        self.assertEqual(self.files("ns.c"), ["x"])

    def test_rows_are_given_ids(self):
        create = {"schema": "id BIGINT", "properties": {"delta.enableRowTracking": "true"}}
        self.commit({"table": "ns.r", "create": create, "actions": []})
        refused = self.document({"table": "ns.r", "actions": [add("x")]})
        self.run_fails(FAILED, "VALIDATION", "txn", "commit", self.image, says="numRecords", stdin=refused)
        for name in "xy":
            self.commit({"table": "ns.r", "actions": [add(name, stats='{"numRecords":4}')]})
        self.run_ok("delta", "export", self.image, "ns.r", self.path("out"))
        log = (self.folder / "out/_delta_log/00000000000000000002.json").read_text()
        self.assertIn('"baseRowId":4,"defaultRowCommitVersion":2', log)
        self.assertIn('"domain":"delta.rowTracking"', log)

    def test_text_and_file(self):
        path = self.write("t.json", self.document({"table": "ns.a", "actions": [add("x")]}))
        out = self.run_ok("txn", "commit", self.image, "--file", path)
        self.assertRegex(out, r"^ns\.a@v1  20\S+Z  group [0-9a-f-]{36}\n$")

    def test_create_and_read_only_members(self):
        done = self.commit(
            {"table": "ns.new", "create": {"schema": "id BIGINT"}, "actions": [add("x")]},
            {"table": "ns.a", "readVersion": 0, "reads": "all"},
            isolation="Serializable",
        )
        self.assertEqual([t["version"] for t in done["tables"]], [0, None])
        self.assertEqual(self.files("ns.new"), ["x"])
        self.assertEqual(self.run_json("table-show", "table", "show", self.image, "ns.a")["latest_version"], 0)
        out = self.run_ok(
            "txn",
            "commit",
            self.image,
            stdin=self.document({"table": "ns.a", "reads": "all"}, {"table": "ns.b", "actions": [add("q")]}),
        )
        self.assertIn("ns.a validated", out)

    def test_a_refused_member_refuses_all(self):
        self.run_fails(
            FAILED,
            "TABLE_NOT_FOUND",
            "txn",
            "commit",
            self.image,
            says="ns.none",
            stdin=self.document({"table": "ns.a", "actions": [add("x")]}, {"table": "ns.none", "actions": [add("y")]}),
        )
        self.assertEqual(self.files("ns.a"), [])

    def test_conflicts_say_whether_to_retry(self):
        self.commit({"table": "ns.a", "actions": [add("x")]})
        text = self.document({"table": "ns.a", "readVersion": 0, "reads": "all", "actions": [add("y")]})
        error = self.run_fails(CONFLICT, "CONFLICT", "txn", "commit", self.image, stdin=text, says="retryable")
        self.assertEqual(error["conflict"], "ConcurrentAppend")
        self.assertTrue(error["retryable"])
        self.commit({"table": "ns.a", "readVersion": 0, "actions": [add("blind")]})
        self.run_fails(
            CONFLICT,
            "CONFLICT",
            "txn",
            "commit",
            self.image,
            stdin=self.document({"table": "ns.a", "expectVersion": 7, "actions": [add("z")]}),
        )

    def test_application_progress_that_was_read(self):
        self.commit({"table": "ns.a", "actions": [{"txn": {"appId": "app", "version": 1}}, add("x")]})
        text = self.document({"table": "ns.a", "readVersion": 0, "readApps": ["app"], "actions": [add("y")]})
        error = self.run_fails(CONFLICT, "CONFLICT", "txn", "commit", self.image, stdin=text, says="not retryable")
        self.assertEqual(error["conflict"], "ConcurrentTransaction")
        self.assertFalse(error["retryable"])
        self.commit({"table": "ns.a", "readVersion": 1, "readApps": ["app"], "actions": [add("y")]})

    def test_an_idempotency_key_gives_the_first_result(self):
        first = self.commit({"table": "ns.a", "actions": [add("x")]}, idempotencyKey="k")
        second = self.commit({"table": "ns.a", "actions": [add("x")]}, idempotencyKey="k")
        self.assertEqual((first["already_applied"], second["already_applied"]), (False, True))
        self.assertEqual(second["group"], first["group"])
        self.run_fails(
            FAILED,
            "VALIDATION",
            "txn",
            "commit",
            self.image,
            stdin=self.document({"table": "ns.a", "actions": [add("other")]}, idempotencyKey="k"),
        )

    def test_documents_that_are_none(self):
        for text in (
            "",
            "{",
            "[]",
            "null",
            "{}",
            '{"tables":{}}',
            '{"tables":[1]}',
            '{"tables":[{}]}',
            '{"tables":[{"table":7,"actions":[]}]}',
            '{"tables":[{"table":"ns.a","actions":{}}]}',
            '{"tables":[{"table":"ns.a","actions":[7]}]}',
            '{"tables":[{"table":"ns.a","readVersion":"x"}]}',
            '{"tables":[{"table":"ns.a","readVersion":-1,"actions":[]}]}',
            '{"tables":[]} trailing',
            '{"tables":[{"table":"ns.a","reads":"some","actions":[]}]}',
            '{"isolation":"None","tables":[{"table":"ns.a","actions":[]}]}',
            "\0",
            "[" * 100000,
            '{"tables":[{"table":"ns.a","create":7,"actions":[]}]}',
            b"\xff\xfe{}",
        ):
            status, out, err = self.run_any("txn", "commit", self.image, stdin=text)
            self.assertEqual((status, out), (FAILED, ""), text[:60])
            self.assertRegex(err, r"^vdectl: .*\((JSON|VALIDATION|TOO_LARGE)\)\n$", text[:60])
        self.assertEqual(self.files("ns.a"), [])

    def test_actions_that_are_none(self):
        for actions in (
            [{"add": {}}],
            [{"add": {"path": 3}}],
            [{"add": 1}],
            [{"remove": {"path": "nope"}}],
            [add("x"), add("x")],
            [{"removePartition": {"partitionValues": 3}}],
        ):
            text = json.dumps({"tables": [{"table": "ns.a", "actions": actions}]})
            status, out, err = self.run_any("txn", "commit", self.image, stdin=text)
            self.assertEqual((status, out), (FAILED, ""), actions)
            self.assertRegex(err, r"\((JSON|VALIDATION|FILE_NOT_FOUND)\)\n$", actions)

    def test_mistyped_members_of_actions_are_refused(self):
        """What was accepted would stand in exported logs, and no other reader would take those."""
        actions = [
            (add("x", size="5"), "size"),
            (add("x", size=1.5), "size"),
            (add("x", size=2**63), "size"),
            (add("x", partitionValues=5), "partitionValues"),
            (add("x", modificationTime=[]), "modificationTime"),
            (add("x", dataChange="yes"), "dataChange"),
            (add("a\0b"), "NUL"),
            (add("\ud800"), "UTF-8"),
            ({"metaData": {}}, "schemaString"),
            ({"metaData": {"schemaString": ""}}, "schemaString"),
            ({"txn": {"appId": "a", "version": 2**63}}, "version"),
            ({"txn": {"appId": "a"}}, "version"),
            ({"protocol": {"minReaderVersion": "1", "minWriterVersion": 2}}, "minReaderVersion"),
        ]
        for action, says in actions:
            document = json.dumps({"tables": [{"table": "ns.a", "actions": [action]}]})
            self.run_fails(FAILED, "VALIDATION", "txn", "commit", self.image, stdin=document, says=says)
        document = '{"tables":[{"table":"ns.a","actions":[{"add":{"path":"x","size":1e999}}]}]}'
        self.run_fails(FAILED, "VALIDATION", "txn", "commit", self.image, stdin=document, says="size")
        self.assertEqual(self.run_json("table-show", "table", "show", self.image, "ns.a")["latest_version"], 0)

    def test_hostile_names_in_a_document(self):
        for name in ("ns.a/b", "ns.\u0007", "ns._x", "", "ns.", "ns.a@v1", "ns." + "x" * 300):
            status, _, err = self.run_any(
                "txn",
                "commit",
                self.image,
                stdin=json.dumps({"tables": [{"table": name, "create": {"schema": "id BIGINT"}, "actions": []}]}),
            )
            self.assertEqual(status, FAILED, name)
            self.assertRegex(err, r"\((NAME|VALIDATION|JSON)\)\n$", name)

    def test_values_do_not_show_in_errors(self):
        secret = "ann@example.org"
        text = json.dumps(
            {
                "tables": [
                    {
                        "table": "ns.a",
                        "actions": [{"add": {"path": 5, "partitionValues": {"who": secret}, "stats": secret}}],
                    }
                ]
            }
        )
        status, out, err = self.run_any("txn", "commit", self.image, stdin=text)
        self.assertEqual(status, FAILED)
        self.assertNotIn(secret, out + err)

    def test_unknown_group(self):
        for group in ("00000000-0000-0000-0000-000000000000", "x"):
            status, _, err = self.run_any("txn", "show", self.image, group)
            self.assertEqual(status, FAILED)
            self.assertRegex(err, r"\((GROUP_NOT_FOUND|INVAL)\)\n$")

    def test_a_missing_file(self):
        for more in ([], ["--batch"]):
            self.run_fails(FAILED, "NOT_FOUND", "txn", "commit", self.image, "--file", self.path("none.json"), *more)


class Batch(TxnCase):
    def lines(self, *documents):
        return "".join(text + "\n" for text in documents)

    def test_a_result_per_line_and_a_failed_line_does_not_stop(self):
        text = self.lines(
            self.document({"table": "ns.a", "actions": [add("x")]}),
            "",
            "{",
            self.document({"table": "ns.a", "readVersion": 0, "reads": "all", "actions": [add("y")]}),
            self.document({"table": "ns.a", "actions": [add("z")]}),
        )
        status, out, err = self.run_any("txn", "commit", self.image, "--batch", "--json", stdin=text)
        self.assertEqual((status, err), (FAILED, ""), "the status is that of the first failure")
        results = [json.loads(line) for line in out.splitlines()]
        for result in results:
            self.assert_fits("txn-commit", result)
        self.assertEqual([(r["line"], "commit" in r) for r in results], [(1, True), (3, False), (4, False), (5, True)])
        self.assertEqual(results[2]["error"]["code"], "CONFLICT")
        self.assertEqual(self.files("ns.a"), ["x", "z"])

    def test_text(self):
        text = self.lines(self.document({"table": "ns.a", "actions": [add("x")]}), "nonsense")
        status, out, err = self.run_any("txn", "commit", self.image, "--batch", stdin=text)
        self.assertEqual(status, FAILED)
        self.assertRegex(out, r"^ns\.a@v1 ")
        self.assertRegex(err, r"^vdectl: line 2: .*\((JSON|VALIDATION)\)\n$")

    def test_each_answer_comes_before_the_next_line(self):
        process = self.start("txn", "commit", self.image, "--batch")
        for number in range(1, 4):
            process.stdin.write(self.lines(self.document({"table": "ns.a", "actions": [add(f"f{number}")]})).encode())
            process.stdin.flush()
            self.assertTrue(process.stdout.readline().startswith(f"ns.a@v{number} ".encode()))
        self.busy_meanwhile()
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, DONE)

    def busy_meanwhile(self):
        status, out, _ = self.run_any("info", self.image)
        self.assertEqual(status, BUSY)
        self.assertIn("BUSY", out)
        self.run_fails(BUSY, "BUSY", "table", "files", self.image, "ns.a")
        self.run_fails(BUSY, "BUSY", "table", "drop", self.image, "ns.a", "--wait=0")


class TwoWriters(TxnCase):
    LOOP = """
        for i in $(seq 1 {count}); do
            printf '{{"tables":[{{"table":"ns.{table}","actions":[{{"add":{{"path":"{table}%d","partitionValues":{{}},
                "size":1,"modificationTime":0,"dataChange":true}}}}]}}]}}' "$i" | "$0" txn commit "$1" || exit
        done"""

    def test_two_shell_loops_both_succeed(self):
        count = 15
        loops = [
            subprocess.Popen(
                ["sh", "-c", self.LOOP.format(count=count, table=table), VDECTL, self.image],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for table in "ab"
        ]
        for loop in loops:
            _, err = loop.communicate(timeout=120)
            self.assertEqual((loop.returncode, err), (DONE, b""))
        for table in "ab":
            self.assertEqual(len(self.files(f"ns.{table}")), count)
        self.run_ok("check", self.image)


if __name__ == "__main__":
    unittest.main()

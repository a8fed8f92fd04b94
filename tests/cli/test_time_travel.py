# SPDX-License-Identifier: Apache-2.0
"""A table as it was: versions, times, history and differences."""

import json
import re
import time
import unittest

from vdectl_case import FAILED, USAGE, TableCase


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
        for args in (
            ("table", "files", self.image, "ns.t", "--long"),
            ("table", "files", self.image, "ns.t", "--json"),
        ):
            self.assertNotIn("2026-11-0", self.run_ok(*args).replace("modification_time", ""))
        self.assertIn("day=2026-11-01", self.run_ok("table", "files", self.image, "ns.t", "--show-values"))
        listed = self.run_json("table-files", "table", "files", self.image, "ns.t", "--show-values")
        self.assertEqual(listed["files"][0]["partition_values"], {"day": "2026-11-01"})
        self.assertIn(
            "day=2026-11-02", self.run_ok("table", "diff", self.image, "ns.t", "--from", "1", "--show-values")
        )
        self.assertNotIn("2026-11-02", self.run_ok("table", "diff", self.image, "ns.t@v1").split("records:")[1])

    def test_history(self):
        out = self.run_ok("table", "history", self.image, "ns.t")
        self.assertEqual([line.split()[0] for line in out.splitlines()], ["version", "2", "1", "0"])
        found = self.run_json("table-history", "table", "history", self.image, "ns.t")["versions"]
        self.assertEqual(
            [(v["files_added"], v["bytes_added"], v["records_added"]) for v in found[:2]], [(1, 1024, 2), (1, 1024, 1)]
        )
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
        lines = "".join(
            json.dumps(
                {
                    "tables": [
                        {
                            "table": "ns.t",
                            "actions": [
                                {
                                    "add": {
                                        "path": f"q{i}",
                                        "partitionValues": {"day": "2026-11-03"},
                                        "size": 1,
                                        "modificationTime": 0,
                                        "dataChange": True,
                                    }
                                }
                            ],
                        }
                    ]
                }
            )
            + "\n"
            for i in range(30)
        )
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
        self.run_fails(
            FAILED, "VERSION_NOT_FOUND", "table", "diff", self.image, "ns.t", "--from", "0", "--to", "9", says="9"
        )

    def test_tags(self):
        made = self.run_json("table-tag", "table", "tag", self.image, "ns.t@v1", "first.cut")
        self.assertEqual(made, {"table": "ns.t", "tag": "first.cut", "version": 1, "deleted": False})
        self.assertEqual(self.run_ok("table", "tag", self.image, "ns.t", "now"), "ns.t@v2  now\n")
        for address in (["ns.t@tag:first.cut"], ["ns.t", "--tag", "first.cut"]):
            self.assertEqual(self.run_ok("table", "files", self.image, *address), "p1\n")
        self.assertIn("2 of 0 to 2", self.run_ok("table", "show", self.image, "ns.t@tag:now"))
        diff = self.run_json(
            "table-diff", "table", "diff", self.image, "ns.t", "--from", "tag:first.cut", "--to", "tag:now"
        )
        self.assertEqual([f["path"] for f in diff["added"]], ["p2"])
        shown = self.run_json("table-show", "table", "show", self.image, "ns.t@v0")["tags"]
        self.assertEqual([(t["name"], t["version"]) for t in shown], [("first.cut", 1), ("now", 2)])
        self.assertIn("first.cut of version 1", self.run_ok("table", "show", self.image, "ns.t"))
        history = self.run_json("table-history", "table", "history", self.image, "ns.t")["versions"]
        self.assertEqual([v["tags"] for v in history], [["now"], ["first.cut"], []])
        self.assertEqual(self.numbers("ns.t@tag:first.cut"), [1, 0])
        self.run_json("table-tag", "table", "tag", self.image, "ns.t", "now", "--delete")
        self.run_fails(FAILED, "TAG_NOT_FOUND", "table", "files", self.image, "ns.t@tag:now", says="now")

    def test_tags_are_refused(self):
        self.run_ok("table", "tag", self.image, "ns.t@v1", "a")
        self.run_fails(FAILED, "TAG_EXISTS", "table", "tag", self.image, "ns.t@v1", "a", says="version 1")
        self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", "tag", self.image, "ns.t@v9", "b", says="9")
        self.run_fails(FAILED, "TABLE_NOT_FOUND", "table", "tag", self.image, "ns.x", "b", says="ns.x")
        self.run_fails(FAILED, "TAG_NOT_FOUND", "table", "tag", self.image, "ns.t", "b", "--delete", says="b")
        for name in ("", "a/b", "a@b", "_a", ".a", "a\tb", "x" * 256):
            self.run_fails(FAILED, "NAME", "table", "tag", self.image, "ns.t", name)
            self.run_fails(FAILED, "NAME", "table", "files", self.image, f"ns.t@tag:{name}")
        self.run_fails(USAGE, "USAGE", "table", "tag", self.image, "ns.t@v1", "a", "--delete", says="--delete")
        self.run_fails(USAGE, "USAGE", "table", "files", self.image, "ns.t@v1", "--tag", "a", says="--tag")
        self.run_fails(USAGE, "USAGE", "table", "files", self.image, "ns.t", "--tag", "a", "--version", "1")

    def test_changes(self):
        self.run_ok("table", "remove", self.image, "ns.t", "p1")
        out = self.run_ok("table", "changes", self.image, "ns.t", "--from", "1")
        self.assertEqual([line for line in out.splitlines() if line[0] in "+-~"], ["+ p1", "+ p2", "- p1"])
        self.assertEqual(re.findall(r"(?m)^v(\d+)  \S+  (\w+)$", out), [("1", "WRITE"), ("2", "WRITE"), ("3", "DELETE")])
        lines = self.run_ok("table", "changes", self.image, "ns.t", "--from", "v0", "--show-values", "--json").splitlines()
        found = [json.loads(line) for line in lines]
        for document in found:
            self.assert_fits("table-changes", document)
        self.assertEqual([v["version"] for v in found], [0, 1, 2, 3])
        self.assertEqual([v["metadata_changed"] for v in found], [True, False, False, False])
        self.assertEqual(found[1]["added"][0]["partition_values"], {"day": "2026-11-01"})
        self.assertEqual([[f["path"] for f in v["removed"]] for v in found], [[], [], [], ["p1"]])
        one = self.run_ok("table", "changes", self.image, "ns.t", "--from", "2", "--to", "2")
        self.assertEqual(len(one.splitlines()), 2)
        self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", "changes", self.image, "ns.t", "--from", "4", says="4")
        self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", "changes", self.image, "ns.t", "--from", "0", "--to", "9")
        self.run_fails(FAILED, "NAME", "table", "changes", self.image, "ns.t@v1", "--from", "0")
        self.run_fails(USAGE, "USAGE", "table", "changes", self.image, "ns.t", says="--from")
        self.run_fails(USAGE, "USAGE", "table", "changes", self.image, "ns.t", "--from", "2", "--to", "1")

    def test_restore(self):
        self.run_ok("table", "tag", self.image, "ns.t@v1", "one")
        self.run_ok("table", "evolve", self.image, "ns.t", "--add-column", "z INT")
        dry = self.run_json("table-restore", "table", "restore", self.image, "ns.t", "--version", "1", "--dry-run")
        self.assertEqual((dry["version"], dry["files_added"], dry["files_removed"]), (None, 0, 1))
        self.assertIn("would become version 1", self.run_ok("table", "restore", self.image, "ns.t@v1", "--dry-run"))
        self.assertEqual(self.numbers("ns.t"), [3, 2, 1, 0])
        done = self.run_json("table-restore", "table", "restore", self.image, "ns.t", "--tag", "one")
        self.assertEqual((done["restored"], done["version"], done["metadata_changed"]), (1, 4, True))
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t"), "p1\n")
        show = self.run_json("table-show", "table", "show", self.image, "ns.t")
        self.assertEqual([c["name"] for c in show["columns"]], ["id", "day"])
        self.assertIn("nothing to restore", self.run_ok("table", "restore", self.image, "ns.t@v1"))
        out = self.run_ok("table", "restore", self.image, "ns.t", "--version", "3")
        self.assertIn("ns.t@v5 is version 3 again  files +1 -0  schema or properties", out)
        history = self.run_json("table-history", "table", "history", self.image, "ns.t", "--limit", "1")["versions"]
        self.assertEqual(history[0]["operation"], "RESTORE")
        self.run_fails(FAILED, "VERSION_NOT_FOUND", "table", "restore", self.image, "ns.t@v9", says="9")
        self.run_fails(USAGE, "USAGE", "table", "restore", self.image, "ns.t", says="--version")
        self.run_fails(USAGE, "USAGE", "table", "restore", self.image, "ns.t@v1", "--version", "1")

    def test_undrop(self):
        self.run_ok("table", "tag", self.image, "ns.t@v1", "one")
        self.run_ok("table", "drop", self.image, "ns.t")
        self.assertIn("ns.t", self.run_ok("table", "undrop", self.image, "--list"))
        rows = self.run_json("table-undrop", "table", "undrop", self.image, "--list")["dropped"]
        self.assertEqual([(r["table"], r["latest_version"]) for r in rows], [("ns.t", 2)])
        self.assertEqual(self.run_json("table-undrop", "table", "undrop", self.image, "ns.t")["table"], "ns.t")
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t"), "p1\np2\n")
        self.assertEqual(self.run_ok("table", "files", self.image, "ns.t@tag:one"), "p1\n")
        self.run_ok("table", "drop", self.image, "ns.t")
        self.run_ok("table", "create", self.image, "ns.t", "--schema", "id BIGINT")
        self.run_fails(FAILED, "TABLE_EXISTS", "table", "undrop", self.image, "ns.t", says="ns.t")
        self.run_ok("table", "undrop", self.image, "ns.t", "--as", "ns.old")
        self.assertEqual(self.numbers("ns.old"), [2, 1, 0])
        self.run_fails(FAILED, "TABLE_NOT_FOUND", "table", "undrop", self.image, "ns.t")
        self.run_ok("table", "drop", self.image, "ns.old", "--purge")
        self.run_fails(FAILED, "TABLE_NOT_FOUND", "table", "undrop", self.image, "ns.old")
        self.assertEqual(self.run_json("table-undrop", "table", "undrop", self.image, "--list")["dropped"], [])
        self.run_fails(USAGE, "USAGE", "table", "undrop", self.image, says="--list")
        self.run_fails(USAGE, "USAGE", "table", "undrop", self.image, "ns.t", "--list")
        self.assertIn("clean", self.run_ok("check", self.image))


if __name__ == "__main__":
    unittest.main()

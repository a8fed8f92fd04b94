# SPDX-License-Identifier: Apache-2.0
"""The grammar of vdectl: verbs, options, IMAGE, usage errors, help pages, completions, schemas."""

import json
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import unittest

import validate
from vdectl_case import FAILED, ROOT, SCHEMAS, USAGE, VDECTL, VdectlCase

COMPLETIONS = ROOT / "tools" / "completions"
VERBS = [
    "format",
    "info",
    "check",
    "capabilities",
    "checkpoint",
    "copy",
    "grow",
    "manifest",
    "scrub",
    "repair",
    "rescue",
    *(f"dump {verb}" for verb in ("superblock", "log", "tree", "alloc", "stream")),
    *(
        f"volume {verb}"
        for verb in (
            "create",
            "clone",
            "list",
            "show",
            "read",
            "write",
            "import",
            "export",
            "map",
            "diff",
            "resize",
            "rename",
            "defrag",
            "delete",
        )
    ),
    *(f"snapshot {verb}" for verb in ("create", "list", "rollback", "delete")),
    *(f"namespace {verb}" for verb in ("create", "list", "show", "set", "drop")),
    *(
        f"table {verb}"
        for verb in (
            "create",
            "list",
            "show",
            "files",
            "history",
            "add",
            "remove",
            "overwrite",
            "evolve",
            "diff",
            "tag",
            "changes",
            "restore",
            "undrop",
            "drop",
        )
    ),
    *(f"file {verb}" for verb in ("put", "get", "list", "remove")),
    "txn commit",
    "txn show",
    "delta import",
    "delta export",
]


class Grammar(VdectlCase):
    image_size = None

    def help_verbs(self):
        page = self.run_ok("--help")
        found, noun = [], None
        for line in page.splitlines():
            if re.fullmatch("[a-z]+", line):
                noun = line
            elif noun and line.startswith("  "):
                words = line.split()
                found.append(words[0] if noun == "image" else f"{words[0]} {words[1]}")
        return found

    def test_alone_prints_the_grouped_verbs_as_a_usage_error(self):
        status, out, err = self.run_any()
        self.assertEqual((status, out), (USAGE, ""))
        for group in ("image", "dump", "volume", "snapshot", "namespace", "table", "file", "txn", "delta"):
            self.assertIn(f"\n{group}\n", err)

    def test_help_lists_exactly_the_verbs(self):
        self.assertEqual(self.help_verbs(), VERBS)

    def test_every_verb_has_a_page_with_json_and_help(self):
        for verb in VERBS:
            page = self.run_ok(*verb.split(), "--help")
            self.assertIn(f"usage: vdectl {verb}", page)
            for option in ("--json", "--help"):
                self.assertIn(option, page, verb)
            self.assertEqual(page, self.run_ok("help", *verb.split()))

    def test_a_noun_alone_lists_its_verbs(self):
        status, out, err = self.run_any("table")
        self.assertEqual((status, out), (USAGE, ""))
        self.assertIn("table history", err)
        self.assertIn("table history", self.run_ok("table", "--help"))

    def test_version(self):
        self.assertRegex(self.run_ok("--version"), r"^vdectl \d+\.\d+\.\d+\n$")

    def test_unknown_verb_names_the_nearest(self):
        for words, nearest in (
            (("fromat",), "format"),
            (("chekc", "x"), "check"),
            (("tabel", "list"), "table"),
            (("table", "histroy", "x"), "table history"),
            (("txn", "comit"), "txn commit"),
            (("delta", "imports"), "delta import"),
        ):
            error = self.run_fails(USAGE, "USAGE", *words, says=f"the nearest is '{nearest}'")
            self.assertEqual(error["expected"], nearest)

    def test_unknown_verb_of_any_length_and_content(self):
        for word in ("", "x" * 5000, "\x1b[31m", "\u00e9" * 300):
            status, _, err = self.run_any(word)
            self.assertEqual(status, USAGE)
            self.assertNotIn("\x1b", err)

    def test_unknown_option(self):
        self.run_fails(USAGE, "USAGE", "info", "x.vde", "--frobnicate", says="--frobnicate")
        self.run_fails(USAGE, "USAGE", "info", "x.vde", "-q", says="-q")
        self.run_fails(USAGE, "USAGE", "info", "x.vde", "--force", says="--force")

    def test_option_with_and_without_a_value(self):
        self.run_fails(USAGE, "USAGE", "check", "x.vde", "--no-data=1", says="--no-data=1")
        status, _, err = self.run_any("format", "x.vde", "--json", "--size")
        self.assertEqual(status, USAGE)
        self.assertEqual(json.loads(err)["object"], "--size")

    def test_values_that_are_none(self):
        for option in (
            "--size=",
            "--size=12Q",
            "--size=-4M",
            "--size=1.5",
            "--size=99999999999999999999",
            "--log-size=4 M",
            "--size=18000000000G",
        ):
            self.run_fails(USAGE, "USAGE", "format", "x.vde", option, says=option.split("=")[0])
        for option in ("--wait=", "--wait=soon", "--wait=5000000000s", "--backend=magic"):
            self.run_fails(USAGE, "USAGE", "checkpoint", "x.vde", option, says=option.split("=")[0])
        self.assertFalse(pathlib.Path(self.path("x.vde")).exists())

    def accepts(self, option, text):
        """Whether the option's value is read: what comes next is that the image is missing."""
        status, _, err = self.run_any("table", "history", "missing.vde", "ns.t", option, text)
        self.assertIn(status, (FAILED, USAGE), err)
        return status == FAILED

    def test_times(self):
        for text in (
            "2026-11-20T10:00:00Z",
            "2026-11-20t10:00:00.123456789z",
            "2026-11-20T10:00:00+02:00",
            "2026-11-20 10:00",
            "2026-11-20 10:00:59.5",
            "2026-11-20",
            "2024-02-29",
            "-0s",
            "-90s",
            "-5m",
            "-2h",
            "-3d",
            "-1w",
        ):
            self.assertTrue(self.accepts("--since", text), text)
        for text in (
            "",
            "now",
            "2026-02-29",
            "2026-13-01",
            "2026-11-31",
            "2026-11-20T",
            "2026-11-20T24:00:00Z",
            "2026-11-20T10:00:00.Z",
            "2026-11-20T10:00:00Zx",
            "2026-11-20T10:00:00+2:00",
            "20261120",
            "1969-12-31",
            "10000-01-01",
            "-2",
            "-h",
            "-2y",
            "-2hh",
            "--2h",
        ):
            self.assertFalse(self.accepts("--since", text), text)

    def test_versions(self):
        for text in ("0", "v0", "7", "v18446744073709551615"):
            self.assertTrue(self.accepts("--to", text), text)
        for text in ("", "v", "vv1", "-1", "1.0", "18446744073709551616", "0x1", " 1"):
            self.assertFalse(self.accepts("--to", text), text)

    def test_counts_of_arguments(self):
        self.run_fails(USAGE, "USAGE", "info", says="IMAGE")
        self.run_fails(USAGE, "USAGE", "info", "x.vde", "y", says="arguments")
        self.run_fails(USAGE, "USAGE", "table", "create", "x.vde", says="arguments")
        self.run_fails(USAGE, "USAGE", "info", "", says="IMAGE")

    def test_a_missing_image_is_not_found(self):
        for verb in ("info", "check", "checkpoint"):
            self.run_fails(FAILED, "NOT_FOUND", verb, "missing.vde", says="missing.vde")

    def test_output_that_can_not_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([VDECTL, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn(b"standard output", done.stderr)


    @unittest.skipUnless(pathlib.Path("/dev/shm").is_dir(), "needs a file system that writes any number of bytes")
    def test_streams_that_are_closed_are_not_the_image(self):
        self.image = tempfile.mktemp(prefix="vdectl-", dir="/dev/shm")
        self.addCleanup(lambda: pathlib.Path(self.image).unlink())
        self.run_ok("format", self.image, "--size", "16M")
        self.run_ok("volume", "create", self.image, "disk", "--size", "64M")
        self.run_any("volume", "write", self.image, "disk", stdin=random.Random(1).randbytes(13 << 20))
        before = pathlib.Path(self.image).read_bytes()[: 64 << 10]
        for closed in ("2>&-", "1>&-", "0<&-", "0<&- 1>&- 2>&-"):
            volume = f"v{len(closed)}{closed[0]}"
            command = f'"$0" volume create "$1" {volume} --size 1M {closed}'
            done = subprocess.run(["sh", "-c", command, VDECTL, self.image], capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, (closed, done.stderr))
            self.assertEqual(pathlib.Path(self.image).read_bytes()[: 64 << 10], before, closed)
        self.run_ok("check", self.image)
        command = '"$0" volume list "$1" 1>&-'
        done = subprocess.run(["sh", "-c", command, VDECTL, self.image], capture_output=True, check=False)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn(b"standard output", done.stderr)


class Image(VdectlCase):
    def test_image_by_option_and_environment(self):
        expected = self.run_ok("info", self.image)
        uuid = re.search("uuid: +([0-9a-f-]+)", expected).group(1)
        for args, env in (
            (("info", "-i", self.image), {}),
            (("info", "-i" + self.image), {}),
            (("info", "--image", self.image), {}),
            (("info", f"--image={self.image}"), {}),
            (("info",), {"VDE_IMAGE": self.image}),
        ):
            self.assertIn(uuid, self.run_ok(*args, env=env))

    def test_an_image_on_the_command_line_wins_over_the_environment(self):
        out = self.run_ok("info", self.image, env={"VDE_IMAGE": self.path("other.vde")})
        self.assertIn(self.image, out)
        self.run_ok("namespace", "list", self.image, env={"VDE_IMAGE": self.path("other.vde")})

    def test_environment_with_verbs_of_a_varying_number_of_arguments(self):
        env = {"VDE_IMAGE": self.image}
        self.run_ok("namespace", "create", "ns", env=env)
        self.assertIn("ns", self.run_ok("namespace", "list", env=env))
        self.run_ok("table", "create", "ns.t", "--schema", "id BIGINT", env=env)
        self.run_ok("table", "list", "ns", env=env)
        self.run_ok("table", "list", self.image, "ns", env={"VDE_IMAGE": self.path("other.vde")})

    def test_two_dashes_end_the_options(self):
        self.assertIn(self.image, self.run_ok("info", "--bytes", "--", self.image))

    def test_sizes_are_human_or_exact(self):
        self.assertRegex(self.run_ok("info", self.image), r"size: +64\.0 MiB\n")
        self.assertRegex(self.run_ok("info", self.image, "--bytes"), r"size: +67108864\n")


class Completions(VdectlCase):
    image_size = None

    def words(self, name):
        return set(re.findall(r"[a-z]+", (COMPLETIONS / name).read_text(encoding="utf-8")))

    def options(self):
        found = set()
        for verb in VERBS:
            found |= set(re.findall(r"^  --([a-z-]+)", self.run_ok(*verb.split(), "--help"), re.M))
        return found

    def test_every_verb_and_option_is_in_both(self):
        for name in ("vdectl.bash", "_vdectl"):
            text = (COMPLETIONS / name).read_text(encoding="utf-8")
            for verb in VERBS:
                self.assertLessEqual(set(verb.split()), self.words(name), f"{name}: {verb}")
            for option in self.options():
                self.assertRegex(text, rf"--{option}\b", f"{name}: --{option}")

    def bash_words(self, *line):
        """What bash offers for the last word of a command line."""
        script = (
            f'source {COMPLETIONS}/vdectl.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vdectl; '
            "printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        done = subprocess.run(
            ["bash", "-c", script, "bash", *line], capture_output=True, text=True, check=True, cwd=self.folder
        )
        return done.stdout.split()

    def test_bash_completes_words(self):
        self.assertEqual(self.bash_words("vdectl", "che"), ["check", "checkpoint"])
        self.assertEqual(self.bash_words("vdectl", "table", "h"), ["history"])
        self.assertIn("--limit", self.bash_words("vdectl", "table", "history", "x.vde", "--li"))
        self.assertNotIn("--force", self.bash_words("vdectl", "table", "history", "x.vde", "--"))
        self.assertEqual(self.bash_words("vdectl", "info", "--backend", "u"), ["uring"])
        self.write("some.vde", "")
        self.assertEqual(self.bash_words("vdectl", "info", "so"), ["some.vde"])

    @unittest.skipUnless(shutil.which("zsh"), "no zsh here")
    def test_zsh_reads_the_file(self):
        subprocess.run(["zsh", "-n", str(COMPLETIONS / "_vdectl")], check=True)


class Schemas(unittest.TestCase):
    def test_each_is_well_formed_and_fully_checked(self):
        files = sorted(SCHEMAS.glob("*.schema.json"))
        names = {file.name.removesuffix(".schema.json") for file in files}
        self.assertEqual(names, {verb.replace(" ", "-") for verb in VERBS} | {"error", "transaction", "schema"})
        for file in files:
            document = json.loads(file.read_text(encoding="utf-8"))
            validate.check_schema(document)
            self.assertEqual(document["$schema"], "https://json-schema.org/draft/2020-12/schema")

    def test_the_validator_finds_faults(self):
        closed = {
            "type": "object",
            "properties": {"a": {"type": "integer", "minimum": 1}},
            "required": ["a"],
            "additionalProperties": False,
        }
        self.assertEqual(list(validate.errors(closed, {"a": 1})), [])
        for wrong in ({}, {"a": 0}, {"a": True}, {"a": 1.5}, {"a": 1, "b": 2}, []):
            self.assertTrue(list(validate.errors(closed, wrong)), wrong)
        choice = {"oneOf": [{"type": "string", "pattern": "^x"}, {"enum": ["xy", 3]}]}
        self.assertEqual(
            [bool(list(validate.errors(choice, v))) for v in ("xz", 3, "xy", "y", True)],
            [False, False, True, True, True],
        )
        with self.assertRaises(validate.SchemaError):
            list(validate.errors({"maxProperties": 1}, {}))


if __name__ == "__main__":
    unittest.main()

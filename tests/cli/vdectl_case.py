# SPDX-License-Identifier: Apache-2.0
"""What every test of vdectl shares: a scratch folder, running the program, and schemas for all that it prints."""

import fcntl
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

import validate

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "json"
VDECTL = os.environ.get("VDECTL", str(ROOT / "build" / "vdectl"))

DONE, FAILED, USAGE, CONFLICT, BUSY, DAMAGE = range(6)


def schema(name):
    with open(SCHEMAS / f"{name}.schema.json", encoding="utf-8") as file:
        return json.load(file)


class Locked:
    """An image held as another writer would hold it."""

    def __init__(self, path):
        self.path = path
        self.fd = -1

    def __enter__(self):
        self.fd = os.open(self.path, os.O_RDWR)
        fcntl.fcntl(self.fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        return self

    def __exit__(self, *_):
        os.close(self.fd)


class VdectlCase(unittest.TestCase):
    """One scratch folder and, when `image_size` is set, one formatted image per test."""

    image_size = "64M"

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vdectl-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.image = str(self.folder / "t.vde")
        self.environment = {k: v for k, v in os.environ.items() if k != "VDE_IMAGE"}
        if self.image_size:
            self.run_ok("format", self.image, "--size", self.image_size)

    def path(self, name):
        return str(self.folder / name)

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        return str(path)

    def start(self, *args, stderr=subprocess.PIPE):
        return subprocess.Popen(
            [VDECTL, *args],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )

    def run_any(self, *args, stdin=b"", env=None):
        """Run and return (status, stdout, stderr); output that is no UTF-8 is a failure."""
        stdin = stdin.encode() if isinstance(stdin, str) else stdin
        environment = dict(self.environment, **(env or {}))
        done = subprocess.run(
            [VDECTL, *args],
            input=stdin,
            capture_output=True,
            env=environment,
            cwd=self.folder,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")

    def run_ok(self, *args, stdin=b"", env=None):
        """Run, expect success and nothing but notes on stderr; returns stdout."""
        status, out, err = self.run_any(*args, stdin=stdin, env=env)
        self.assertEqual(status, DONE, f"vdectl {' '.join(args)}: {err}")
        for line in err.splitlines():
            self.assertTrue(line.startswith("vdectl: note: "), f"unexpected on stderr: {line}")
        return out

    def run_json(self, name, *args, stdin=b"", status=DONE):
        """Run with --json, check the output against docs/json/NAME.schema.json, return it."""
        found, out, err = self.run_any(*args, "--json", stdin=stdin)
        self.assertEqual(found, status, f"vdectl {' '.join(args)}: {err}")
        document = json.loads(out)
        self.assert_fits(name, document)
        return document

    def assert_fits(self, name, document):
        self.assertEqual(list(validate.errors(schema(name), document)), [], f"{name}: {json.dumps(document)[:2000]}")

    def run_fails(self, expected_status, code, *args, stdin=b"", says=()):
        """Run twice, as text and with --json: same status, `code` in both, each of `says` in the text."""
        status, _, err = self.run_any(*args, stdin=stdin)
        self.assertEqual(status, expected_status, f"vdectl {' '.join(args)}: {err}")
        line = [line for line in err.splitlines() if line.startswith("vdectl: ")][-1]
        self.assertTrue(line.endswith(f"({code})"), line)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, err)
        status, _, err = self.run_any(*args, "--json", stdin=stdin)
        self.assertEqual(status, expected_status, err)
        error = json.loads(err.splitlines()[-1])
        self.assert_fits("error", error)
        self.assertEqual(error["code"], code)
        return error


class TableCase(VdectlCase):
    """A namespace and a table ns.t with files p0 (day 1) and p1 (day 2) in versions 1 and 2."""

    def setUp(self):
        super().setUp()
        self.run_ok("namespace", "create", self.image, "ns")
        self.run_ok(
            "table",
            "create",
            self.image,
            "ns.t",
            "--schema",
            "id BIGINT NOT NULL, day DATE",
            "--partition-by",
            "day",
            "--property",
            "team=red",
        )
        for index in (1, 2):
            self.run_ok(
                "table",
                "add",
                self.image,
                "ns.t",
                f"p{index}",
                "--size",
                "1K",
                "--records",
                str(index),
                "--partition",
                f"day=2026-11-0{index}",
            )

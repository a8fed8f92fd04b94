# SPDX-License-Identifier: Apache-2.0
"""A workload in steps, and the check of what a drive may hold after a power cut in the midst of it."""

import os
import pathlib
import random
import re
import subprocess
import tempfile
import time
import unittest

import write_log

MIB = 1 << 20
IMAGE_BYTES = 32 * MIB
ROUNDS = 6
PATTERN_BYTES = 65536


def steps():
    """Commands one after the other: (whether it is counted, words before the image, words behind it, input). A counted
    one leaves one more namespace behind. An input is the number of a pattern, or a size of random bytes."""
    yield True, ("format",), ("--size", str(IMAGE_BYTES)), None
    yield False, ("namespace", "create"), ("ns",), None
    yield False, ("volume", "create"), ("disk", "--size", "4M"), None
    yield False, ("table", "create"), ("ns.t", "--schema", "id BIGINT"), None
    for number in range(1, ROUNDS + 1):
        yield False, ("file", "put"), ("ns.t", f"part-{number}", "-"), ("random", 50000)
        yield False, ("volume", "write"), ("disk", "-", "--offset", "2M"), ("random", MIB + 512)
        yield False, ("volume", "write"), ("disk", "-", "--offset", "1M"), ("pattern", number)
        yield True, ("namespace", "create"), (f"ns.n{number}",), None
        yield False, ("snapshot", "create"), (f"disk@s{number}",), None
        if number > 2:
            yield False, ("snapshot", "delete"), (f"disk@s{number - 2}",), None
        if number % 3 == 0:
            yield False, ("checkpoint",), (), None


def pattern(number):
    return (b"round %d\n" % number * PATTERN_BYTES)[:PATTERN_BYTES]


def run(*arguments, **more):
    return subprocess.run([os.environ["VDECTL"], *map(str, arguments)], capture_output=True, check=False, **more)


class PowerCut(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vde-power-cut-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.seed = int(os.environ.get("VDE_SEED", time.time_ns() % 10**6))
        self.random = random.Random(self.seed)

    def must(self, *arguments, where="", **more):
        done = run(*arguments, **more)
        self.assertEqual(done.returncode, 0, f"seed {self.seed} {where}: {arguments}: {done.stderr.decode()[-2000:]}")
        return done.stdout

    def check_contents(self, image, rounds, where):
        names = re.findall(r"ns\.n(\d+)", self.must("namespace", "list", image, "ns", where=where).decode())
        self.assertIn(len(names) - rounds, (0, 1), where)
        read = ("--offset", "1M", "--length", PATTERN_BYTES)
        if rounds > 0:
            data = self.must("volume", "read", image, "disk", *read, where=where)
            number = int(re.match(rb"round (\d+)\n", data)[1])
            self.assertIn(number - rounds, (0, 1), where)
            self.assertEqual(data, pattern(number), where)
        if rounds > 1:
            data = self.must("volume", "read", image, f"disk@s{rounds - 1}", *read, where=where)
            self.assertEqual(data, pattern(rounds - 1), where)

    def check(self, image, acknowledged, where):
        """`acknowledged` counts the counted steps. The image is changed by this, as by any open."""
        before = run("check", image)
        if acknowledged == 0 and before.returncode != 0:
            return  # not formatted yet
        self.assertEqual(before.returncode, 0, f"{where}: {(before.stdout + before.stderr).decode()}")
        self.must("checkpoint", image, where=where)
        after = run("check", image)
        self.assertEqual(after.returncode, 0, f"{where}: {(after.stdout + after.stderr).decode()}")
        if acknowledged > 1:
            self.check_contents(image, acknowledged - 1, where)

    def replay(self, log, acknowledged_by):
        """Check every state of the log; `acknowledged_by(entries, marks)` is the number of counted steps by then."""
        started, count = time.monotonic(), 0
        state, trial = self.folder / "state", self.folder / "trial"
        last = 0
        for entries, marks, what in write_log.states(log, IMAGE_BYTES, state, trial, self.random):
            last = acknowledged_by(entries, marks)
            self.check(trial, last, f"seed {self.seed}, entry {entries}, {what}")
            count += 1
        self.assertEqual(last, ROUNDS + 1, "the log does not reach to the end")
        self.assertGreater(count, 6 * ROUNDS)
        print(f"{entries} entries, {count} states, seed {self.seed}: {time.monotonic() - started:.0f} s")

# SPDX-License-Identifier: Apache-2.0
"""nbdkit is killed (SIGKILL) under load, round after round: what was flushed is there, and what is there is a prefix."""

import os
import sys
import unittest

from nbd_case import NbdCase
from nbd_kill import Load


class Killed(NbdCase):
    image_size = "512M"
    rounds = 3

    def test_what_was_flushed_is_there_after_every_kill(self):
        self.create("v", "64M")
        self.exercise()

    def test_the_same_on_a_compressed_volume(self):
        self.create("v", "64M", "--compress", "zstd:1")
        self.exercise()

    def exercise(self):
        load = Load(64, seed=int(os.environ.get("VDE_TEST_SEED", "1")))
        for number in range(self.rounds):
            with self.server() as server:
                # Not before the load was checked: the server has recovered what the one before it left.
                load.verify(server.client("v"), f"round {number}")
                load.run(server)
        with self.server() as server:
            load.verify(server.client("v"), "the end")
        self.check()
        print(f"{self.rounds} rounds: {load.summary()}", file=sys.stderr)
        self.assertGreater(load.flushed, 10 * self.rounds, "hardly anything was flushed")
        self.assertGreater(load.killed_in_flight, 0, "no request was in flight when the server was killed")


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""fio over NBD with its own verification: mixed sizes from 512 bytes to 256 KiB, trims, flushes, several connections."""

import json
import os
import unittest

from nbd_case import NbdCase


class Fio(NbdCase):
    image_size = "1G"
    # of one job; the long form of this test takes more
    written = "64M"

    def setUp(self):
        super().setUp()
        self.create("v", "128M")

    def fio(self, server, *options):
        """Runs one job file's worth of options; returns what each job did and asserts that fio found no error."""
        out = self.run_ok("fio", "--output-format=json", "--ioengine=nbd", f"--uri={server.uri('v')}", "--thread",
                          "--randrepeat=0", f"--randseed={os.environ.get('VDE_TEST_SEED', '1')}", "--verify_fatal=1",
                          "--verify_state_save=0", *options)
        report = json.loads(out[out.index("{"):])
        for job in report["jobs"]:
            self.assertEqual(job["error"], 0, job["jobname"])
        return report["jobs"]

    def test_mixed_sizes_are_read_back(self):
        with self.server() as server:
            (job,) = self.fio(server, "--name=mixed", "--rw=randwrite", "--size=128M", f"--io_size={self.written}",
                              "--iodepth=16", "--bssplit=512/10:1536/5:4k/40:20k/10:64k/25:256k/10", "--fsync=64",
                              "--verify=xxhash", "--do_verify=1", "--verify_backlog=256")
            self.assertGreater(job["write"]["total_ios"], 500)
            self.assertGreater(job["read"]["total_ios"], 500)
        self.check()

    def test_four_writers_side_by_side(self):
        job = ["--name=four", "--numjobs=4", "--size=32M", "--offset_increment=32M", "--rw=randwrite",
               "--bssplit=4k/70:12k/20:128k/10", "--iodepth=8", "--verify=crc32c"]
        with self.server() as server:
            jobs = self.fio(server, *job, "--do_verify=1", "--fsync=128")
            self.assertEqual(len(jobs), 4)
            for one in jobs:
                self.assertGreater(one["write"]["total_ios"], 1000)
        with self.server() as server:
            # The same blocks again after the server was started anew, reading only.
            for one in self.fio(server, *job, "--verify_only=1"):
                self.assertGreater(one["read"]["total_ios"], 1000)
        self.check()

    def test_overwrites_in_part_of_a_block(self):
        with self.server() as server:
            self.fio(server, "--name=small", "--rw=randwrite", "--size=4M", "--bs=512", "--loops=2", "--iodepth=32",
                     "--verify=crc32c", "--do_verify=1", "--serialize_overlap=1")
        self.check()

    def test_trims_beside_verified_writes(self):
        with self.server() as server:
            jobs = self.fio(server, "--name=writes", "--rw=randwrite", "--size=64M", "--bssplit=4k/60:12k/20:64k/20",
                            "--iodepth=8", "--verify=crc32c", "--do_verify=1", "--verify_backlog=128", "--fsync=100",
                            "--name=trims", "--rw=randtrim", "--offset=64M", "--size=64M", "--bssplit=4k/60:12k/20:64k/20",
                            "--iodepth=8", "--fsync=100")
            self.assertGreater(jobs[0]["read"]["total_ios"], 500)
            self.assertGreater(jobs[1]["trim"]["total_ios"], 500)
        self.check()

    def test_sequential_and_back(self):
        with self.server() as server:
            self.fio(server, "--name=sequential", "--rw=write", "--bs=1M", "--size=128M", "--iodepth=4", "--verify=xxhash",
                     "--do_verify=1", "--end_fsync=1")
        self.check()


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
# ctest: timeout=1500 labels=extended processors=1
"""Power cuts on an NVMe drive: the kernel of a guest logs what is written to it, with the backends that have many requests
in flight, and discards."""

import os
import unittest

import guest
from power_cut import IMAGE_BYTES, MIB, ROUNDS, PowerCut, steps

DEVICE = "/dev/dm-0"
BACKENDS = ("uring", "aio", "uring", "sync")
SETUP = """
dmsetup create logged --noudevrules --noudevsync \\
    --table "0 $(blockdev --getsz /dev/nvme0n1) log-writes /dev/nvme0n1 /dev/nvme1n1"
test -b /dev/dm-0
"""


def script():
    """The steps as a shell script, with a mark in the log behind each that is counted."""
    lines = [SETUP]
    for number, (count, before, behind, source) in enumerate(steps()):
        words = ["vdectl", *before, DEVICE, *behind, "--backend", BACKENDS[number % len(BACKENDS)]]
        if before == ("format",):
            words = ["vdectl", *before, DEVICE, "--backend", "uring"]
        line = " ".join(f"'{word}'" for word in words)
        if source and source[0] == "pattern":
            line = f"yes 'round {source[1]}' | head -c 65536 | {line}"
        elif source:
            line = f"head -c {source[1]} /dev/urandom | {line}"
        lines.append(f"{line} >/tmp/out || {{ cat /tmp/out; exit 1; }}")
        if count:
            lines.append("dmsetup message logged 0 mark done")
    lines.append("dmsetup remove --noudevrules --noudevsync logged")
    return "\n".join(lines) + "\n"


class DmLogWrites(PowerCut):
    def test_every_flush_leaves_a_state_that_holds_what_was_acknowledged(self):
        disk, log = self.folder / "disk", self.folder / "log"
        for path, size in ((disk, IMAGE_BYTES), (log, 256 * MIB)):
            with open(path, "wb") as file:
                file.truncate(size)
        programs = [os.environ["VDECTL"], guest.tool("dmsetup")]
        initramfs = guest.make_initramfs(self.folder, programs, {"logged": script()}, ("nvme", "dm_log_writes"))
        machine = guest.Guest(initramfs, ((disk, 512), (log, 512)), "logged")
        self.addCleanup(machine.kill)
        self.assertTrue(machine.finish(600), machine.console())
        self.replay(log, lambda entries, marks: min(marks, ROUNDS + 1))  # removing the device marks its end


if __name__ == "__main__":
    unittest.main()

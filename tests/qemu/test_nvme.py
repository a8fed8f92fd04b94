# SPDX-License-Identifier: Apache-2.0
# ctest: timeout=1500 labels=extended processors=1
"""Images on NVMe drives, with sectors of 512 and of 4096 bytes, in a Linux 6.1 guest that ends without a sync, and by
having its plug pulled."""

import os
import pathlib
import random
import re
import tempfile
import time
import unittest

import guest

MIB = 1 << 20
DRIVES = (("nvme0n1", 512), ("nvme1n1", 4096))

# A stage is a script of `sh -e`: whatever fails ends it.
PREPARE = """
data() { dd if=/dev/urandom of=/tmp/$1 bs=4096 count=$2 2>/dev/null; }
note() { echo "NOTE $1 $2 $(sha256sum <$3 | cut -c1-64)"; }
sum() { vdectl volume read $1 $2 >/tmp/out; note $1 $2 /tmp/out; }
"""
FIRST = (
    PREPARE
    + """
for drive in /dev/nvme0n1 /dev/nvme1n1; do
    vdectl format $drive
    vdectl info $drive --json | tr -d '\\n '; echo
    vdectl namespace create $drive ns
    for backend in uring aio sync; do
        vdectl table create $drive ns.$backend --schema 'id BIGINT' --backend $backend
        data file 40
        vdectl file put $drive ns.$backend part /tmp/file --backend $backend
        note $drive ns.$backend /tmp/file
    done
    vdectl volume create $drive disk --size 8M
    data whole 2048
    vdectl volume write $drive disk /tmp/whole
    vdectl snapshot create $drive disk@one
    data part 300
    vdectl volume write $drive disk /tmp/part --offset 12800
    sum $drive disk@one
    sum $drive disk
    vdectl check $drive
done
reboot -f
"""
)
SECOND = (
    PREPARE
    + """
for drive in /dev/nvme0n1 /dev/nvme1n1; do
    vdectl check $drive
    for backend in uring aio sync; do
        vdectl file get $drive ns.$backend part /tmp/out-$backend
        note $drive ns.$backend /tmp/out-$backend
        rm /tmp/out-$backend
    done
    sum $drive disk@one
    sum $drive disk
done
round=0
while true; do
    round=$((round + 1))
    yes "round $round" | head -c 65536 >/tmp/pattern
    for drive in /dev/nvme0n1 /dev/nvme1n1; do
        vdectl volume write $drive disk /tmp/pattern --offset 1M
        vdectl namespace create $drive ns.n$round
        echo "ACK $drive $round"
    done
done
"""
)
THIRD = (
    PREPARE
    + """
for drive in /dev/nvme0n1 /dev/nvme1n1; do
    vdectl check $drive
    vdectl volume read $drive disk --offset 1M --length 65536 >/tmp/out
    echo "ROUND $drive $(sort -u /tmp/out | wc -l) $(head -n 1 /tmp/out)"
    echo "NAMESPACES $drive $(vdectl namespace list $drive ns | grep -c 'n[0-9]')"
    sum $drive disk@one
    vdectl snapshot delete $drive disk@one
    vdectl volume delete $drive disk
    vdectl checkpoint $drive
    vdectl check $drive
done
"""
)


class Nvme(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="vde-nvme-")
        self.addCleanup(self.folder.cleanup)
        root = pathlib.Path(self.folder.name)
        self.drives = []
        for name, sector in DRIVES:
            path = root / name
            with open(path, "wb") as file:
                file.truncate(96 * MIB)
            self.drives.append((path, sector))
        stages = {"first": FIRST, "second": SECOND, "third": THIRD}
        self.initramfs = guest.make_initramfs(root, [os.environ["VDECTL"]], stages)
        self.guest = None
        self.addCleanup(lambda: self.guest and self.guest.kill())

    def boot(self, stage):
        self.guest = guest.Guest(self.initramfs, self.drives, stage)
        self.assertTrue(self.guest.wait_for(rf"^STAGE {stage} ", 180), self.guest.console())

    def notes(self):
        """What the guest saw under each name, last of all."""
        found = (re.match(r"NOTE (\S+) (\S+) ([0-9a-f]{64})$", line) for line in self.guest.lines)
        return {(match[1], match[2]): match[3] for match in found if match}

    def test_what_was_acknowledged_survives_reboots_and_pulled_plugs(self):
        started = time.monotonic()
        self.boot("first")
        self.assertIsNone(self.guest.wait_for("^RESULT", 600), self.guest.console())  # reboot -f comes before
        self.guest.process.wait(60)
        written = self.notes()
        console = self.guest.console()
        self.assertEqual(len(written), 10, console)
        infos = [line for line in self.guest.lines if '"logical_block_bytes"' in line]
        for (_, sector), info in zip(DRIVES, infos, strict=True):
            self.assertIn(f'"logical_block_bytes":{sector}', info)
            self.assertIn('"backend":"uring"', info)
            self.assertIn('"model":"QEMUNVMeCtrl"', info)

        self.boot("second")
        acknowledged = {}
        seed = int(os.environ.get("VDE_SEED", time.time_ns() % 10**6))
        rounds = 3 + seed % 4
        while min(acknowledged.values(), default=0) < rounds:
            found = self.guest.wait_for(r"^(ACK|RESULT) (\S+) ?(\d*)$", 600)
            self.assertTrue(found and found[1] == "ACK", self.guest.console())
            acknowledged[found[2]] = int(found[3])
        self.assertEqual(self.notes(), written)
        time.sleep(random.Random(seed).uniform(0, 3))
        self.guest.kill()

        self.boot("third")
        self.assertTrue(self.guest.finish(600), self.guest.console())
        for drive, least in acknowledged.items():
            lines = "\n".join(line for line in self.guest.lines if drive in line)
            found = re.search(rf"^ROUND {drive} (\d) round (\d+)$", lines, re.MULTILINE)
            self.assertTrue(found and found[1] == "1", f"seed {seed}: {lines}")
            self.assertIn(int(found[2]) - least, (0, 1), f"seed {seed}: {lines}")
            count = int(re.search(rf"^NAMESPACES {drive} (\d+)$", lines, re.MULTILINE)[1])
            self.assertIn(count - least, (0, 1), f"seed {seed}: {lines}")
            self.assertEqual(self.notes()[drive, "disk@one"], written[drive, "disk@one"])
        print(f"3 boots, {sum(acknowledged.values())} rounds, seed {seed}: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    unittest.main()

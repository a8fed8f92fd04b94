# SPDX-License-Identifier: Apache-2.0
# ctest: timeout=1500 labels=extended processors=1
"""Power cuts on the real path of requests: the image lies on a file that logs what is written to it."""

import unittest

from power_cut import IMAGE_BYTES, PowerCut, pattern, steps
from write_log import LoggedDisk

# The FUSE export of QEMU 7.2 spoils the first of two writes that it gets at once, because both are read into one buffer.
# So the requests go one after the other here; test_dm_log_writes.py is for the other backends.
BACKEND = "sync"


class WriteLog(PowerCut):
    def test_every_flush_leaves_a_state_that_holds_what_was_acknowledged(self):
        disk = LoggedDisk(self.folder, IMAGE_BYTES)
        self.addCleanup(disk.close)
        counted = []
        for count, before, behind, source in steps():
            data = None
            if source:
                data = pattern(source[1]) if source[0] == "pattern" else self.random.randbytes(source[1])
            self.must(*before, disk.path, *behind, "--backend", BACKEND, input=data)
            if count:
                counted.append(disk.entries())
        disk.close()
        self.replay(disk.log, lambda entries, marks: sum(entry <= entries for entry in counted))


if __name__ == "__main__":
    unittest.main()

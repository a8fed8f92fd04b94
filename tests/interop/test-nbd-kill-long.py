# SPDX-License-Identifier: Apache-2.0
# ctest: labels=extended timeout=3600
"""The rounds of test-nbd-kill.py, a hundred of them."""

import importlib
import unittest

Killed = importlib.import_module("test-nbd-kill").Killed
Killed.rounds = 100

if __name__ == "__main__":
    unittest.main()

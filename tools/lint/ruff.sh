#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ruff over every Python file; it comes from the tests' Python environment because Debian has no package of it.
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1

ruff=${VDE_VENV:-build/venv}/bin/ruff
[ -x "$ruff" ] || ruff=$(command -v ruff) || { echo "ruff is missing: tools/test installs it"; exit 1; }
"$ruff" check --no-cache --line-length 130 --select E,F,W,I,B,UP,PL,SIM \
    --ignore B905,PLR0912,PLR0917,PLR0913,PLR0915,PLR0911,PLR2004,PLW2901,PLW1510,UP022 --target-version py311 --exclude build .

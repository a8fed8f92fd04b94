#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ctest: timeout=900 processors=2
# Builds what is released and installs it; the other tests of this folder look at the result.
set -eu
release=${VDE_BUILD_DIR:?}/release
rm -rf "$release/prefix"
cmake -S "${VDE_SOURCE_DIR:?}" -B "$release/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVDE_TESTS=OFF
cmake --build "$release/build"
cmake --install "$release/build" --prefix "$release/prefix"
test -x "$release/prefix/bin/vdectl"
# A moved installation still starts.
rm -rf "$release/moved"
cp -a "$release/prefix" "$release/moved"
"$release/moved/bin/vdectl" --version
"$release/moved/bin/vdectl" --help >"$release/help.txt"
rm -rf "$release/moved"

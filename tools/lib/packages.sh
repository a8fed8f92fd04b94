#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by tools/quickstart and tools/test: finds out which Debian packages are missing and installs them.

# What it takes to build and use VDE.
# shellcheck disable=SC2034
PACKAGES_BUILD='cmake ninja-build gcc libc6-dev pkg-config liburing-dev libaio-dev libxxhash-dev libzstd-dev
    libjansson-dev nbdkit-plugin-dev python3 python3-venv'
# What the tests need on top.
# shellcheck disable=SC2034
PACKAGES_TEST='g++ clang clang-tidy libclang-rt-14-dev cppcheck shellcheck universal-ctags libcriterion-dev mandoc
    ca-certificates nbdkit libnbd-bin qemu-utils fio e2fsprogs xfsprogs mount'

# What the long lanes need on top: a guest with an NVMe drive, and a drive that logs what is written to it.
# shellcheck disable=SC2034
PACKAGES_EXTENDED='qemu-system-x86 qemu-system-common busybox-static cpio dmsetup'

# missing_packages <package>...: prints those that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}\n' "$package" 2>/dev/null | grep -q '^ii' || printf '%s ' "$package"
    done
}

# need_packages <package>...: installs what is missing, or says what to install and fails.
need_packages() {
    local missing as_root=
    command -v dpkg-query >/dev/null || {
        echo "This is no Debian: please see to it yourself that you have: $*" >&2
        return 0
    }
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    echo "Missing Debian packages: $missing"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "Neither root nor sudo. Please install them and start again: apt-get install $missing" >&2
            return 1
        }
        as_root=sudo
    fi
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null || return 1
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing </dev/null || return 1
}

# fetch_kernel <folder>: Debian's kernel for a guest, kept between runs: vmlinuz and the modules around NVMe and device
# mapper. It is unpacked and not installed, so that this machine's boot loader never hears of it.
fetch_kernel() {
    local folder=$1 package
    [ -e "$folder/vmlinuz" ] && return 0
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: //p' | head -n 1)
    [ -n "$package" ] || { echo "apt knows no package linux-image-amd64" >&2 && return 1; }
    rm -rf "$folder" "$folder.new"
    mkdir -p "$folder.new"
    (
        cd "$folder.new" && apt-get download -q "$package" &&
            dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards '*/boot/vmlinuz-*' '*/kernel/drivers/nvme/*' \
                '*/kernel/drivers/md/*' '*/kernel/drivers/dax/*' '*/kernel/lib/*' '*/kernel/crypto/*' \
                '*/kernel/block/*' '*/kernel/arch/x86/crypto/*' &&
            rm ./*.deb && mv boot/vmlinuz-* vmlinuz
    ) || return 1
    mv "$folder.new" "$folder"
}

# make_venv <folder> <requirements file>: a Python environment with exactly these packages, kept between runs.
make_venv() {
    local folder=$1 requirements=$2 python=/usr/bin/python3
    if [ -x "$folder/bin/python3" ] && cmp -s "$requirements" "$folder/requirements.txt"; then
        return 0
    fi
    [ -x "$python" ] || python=python3
    rm -rf "$folder"
    mkdir -p "$(dirname "$folder")"
    "$python" -m venv "$folder" || return 1
    "$folder/bin/python3" -m pip install --quiet --disable-pip-version-check --retries 2 --timeout 20 \
        -r "$requirements" </dev/null || return 1
    cp "$requirements" "$folder/requirements.txt"
}

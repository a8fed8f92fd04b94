# SPDX-License-Identifier: Apache-2.0
"""A Linux guest under plain emulation: Debian's kernel, busybox, vdectl and a script, seen through its serial console."""

import os
import pathlib
import queue
import re
import shutil
import subprocess
import threading
import time

KERNEL = pathlib.Path(os.environ.get("VDE_KERNEL", "build/kernel"))
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
for module in $(cat /modules/order); do insmod /modules/$module || echo "no module $module"; done
stage=$(sed 's/.*stage=\\([a-z]*\\).*/\\1/' /proc/cmdline)
echo "STAGE $stage on Linux $(uname -r)"
# Through a pipe: for a terminal there would be progress bars.
{ sh -e /stages/$stage && echo "RESULT done" || echo "RESULT failed"; } 2>&1 | cat
reboot -f
"""


class Missing(Exception):
    """Something that this test can't do without."""


def tool(name):
    path = shutil.which(name)
    if not path:
        raise Missing(f"{name} is not installed: tools/test --extended does that")
    return path


def shared_libraries(program):
    """Paths of the libraries that a program is loaded with, and of its loader."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", out)


def kernel_image():
    image = KERNEL / "vmlinuz"
    if not image.exists():
        raise Missing(f"no {image}: tools/test --extended fetches it")
    return image


def modules(name):
    """Paths of a module's file and of those that it needs, in the order of loading."""
    files = {path.stem.replace("-", "_"): path for path in KERNEL.rglob("*.ko")}
    order = []

    def add(module):
        path = files.get(module)
        if path is None:
            raise Missing(f"the kernel in {KERNEL} has no module {module}")
        needs = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for other in needs[1].decode().split(",") if needs and needs[1] else []:
            add(other.replace("-", "_"))
        if path not in order:
            order.append(path)

    add(name)
    return order


def make_initramfs(folder, programs, stages, drivers=("nvme",)):
    """An initramfs in `folder` with programs (paths), stage scripts (name -> text) and kernel modules."""
    root = pathlib.Path(folder) / "root"
    for name in ("bin", "proc", "sys", "dev", "tmp", "modules", "stages", "lib64"):
        (root / name).mkdir(parents=True)
    shutil.copy(tool("busybox"), root / "bin/busybox")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    for name, text in stages.items():
        (root / "stages" / name).write_text(text)
    order = list(dict.fromkeys(path for driver in drivers for path in modules(driver)))
    for path in order:
        shutil.copy(path, root / "modules")
    (root / "modules/order").write_text("\n".join(path.name for path in order) + "\n")
    for program in programs:
        shutil.copy(program, root / "bin")
        for library in shared_libraries(program):
            where = root / library.lstrip("/") if "ld-linux" in library else root / "lib" / pathlib.Path(library).name
            where.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, where)
    archive = pathlib.Path(folder) / "initramfs"
    with open(archive, "wb") as out:
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*"))) + "\n"
        command = [tool("cpio"), "--quiet", "-o", "-H", "newc"]
        subprocess.run(command, input=names.encode(), stdout=out, cwd=root, check=True)
    return archive


class Guest:
    """One boot. `drives` is a list of (path of a raw file, sector size): nvme0n1, nvme1n1, ..."""

    def __init__(self, initramfs, drives, stage, memory="1G"):
        command = [tool("qemu-system-x86_64"), "-accel", "tcg", "-cpu", "max", "-m", memory, "-display", "none"]
        command += ["-no-reboot", "-nodefaults", "-serial", "stdio", "-kernel", str(kernel_image())]
        command += ["-initrd", str(initramfs), "-append", f"console=ttyS0 quiet panic=-1 stage={stage}"]
        for number, (path, sector) in enumerate(drives):
            command += ["-drive", f"file={path},if=none,id=d{number},format=raw,discard=unmap"]
            sizes = f"logical_block_size={sector},physical_block_size={max(sector, 4096)}"
            command += ["-device", f"nvme,drive=d{number},serial=vde{number},{sizes}"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.lines = []
        self.fresh = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.fresh.put(line.decode(errors="replace").rstrip("\r\n"))
        self.fresh.put(None)

    def wait_for(self, pattern, seconds):
        """The match of the first line from now on that has the pattern; None when the guest ended before."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.fresh.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no line with {pattern!r} in {seconds} s; the console:\n{self.console()}") from None
            if line is None:
                return None
            self.lines.append(line)
            found = re.search(pattern, line)
            if found:
                return found

    def console(self):
        return "\n".join(self.lines[-80:])

    def kill(self):
        """Pull the plug: no chance to say goodbye."""
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def finish(self, seconds):
        """Wait for the guest's end; True when its stage was done."""
        found = self.wait_for(r"^RESULT (\w+)", seconds)
        self.process.wait(60)
        return found is not None and found[1] == "done"

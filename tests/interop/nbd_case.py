# SPDX-License-Identifier: Apache-2.0
"""What the tests of the nbdkit plugin share: a scratch folder, an image with volumes, a server, and running clients."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from nbd_client import NbdClient

VDECTL = os.environ["VDECTL"]
PLUGIN = os.path.join(os.environ["VDE_BUILD_DIR"], "nbdkit-vde-plugin.so")
SANITIZED = "address" in os.environ.get("VDE_SANITIZE", "")
MIB = 1 << 20


def environment():
    """A plugin with sanitizers needs their library in the program that loads it."""
    result = dict(os.environ)
    if SANITIZED:
        compiler = os.environ.get("VDE_CC", "cc")
        library = subprocess.run([compiler, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True)
        result["LD_PRELOAD"] = library.stdout.strip()
        # Between unloading the plugin and the end of nbdkit nobody could name a leak's place.
        result["ASAN_OPTIONS"] = ":".join(filter(None, [result.get("ASAN_OPTIONS", ""), "detect_leaks=0"]))
    return result


class Server:
    """nbdkit with the plugin on a unix socket."""

    def __init__(self, folder, image, *parameters, options=(), control=False, threads=16):
        self.folder = pathlib.Path(folder)
        number = len(list(self.folder.glob("nbd-*.log")))
        self.path = str(self.folder / f"nbd-{number}.sock")
        self.log = self.folder / f"nbd-{number}.log"
        self.control = str(self.folder / f"control-{number}.sock") if control else None
        self.clients, self.killed, self.image = [], False, str(image)
        extra = [f"control={self.control}"] if control else []
        command = ["nbdkit", "-f", "-U", self.path, "-P", self.path + ".pid", "-t", str(threads), *options, PLUGIN,
                   f"image={image}", *parameters, *extra]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment())
        self.wait()

    def wait(self):
        """Until it accepts connections, which the file with its process id tells, also on the control socket."""
        awaited = self.control or self.path + ".pid"
        for _ in range(3000):
            if self.process.poll() is not None:
                raise RuntimeError(f"nbdkit ended with {self.process.returncode}: {self.text()}")
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                if os.path.exists(awaited) and (not self.control or probe.connect(awaited) is None):
                    return
            time.sleep(0.01)
        raise RuntimeError(f"nbdkit does not start: {self.text()}")

    def text(self):
        return self.log.read_text(errors="replace")

    def uri(self, export=""):
        return f"nbd+unix:///{export}?socket={self.path}"

    def client(self, export="", **keywords):
        self.clients.append(NbdClient(self.path, export, **keywords))
        return self.clients[-1]

    def command(self, line):
        """One command over the control socket; returns the answer's line, empty when the server hangs up."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(120)
            connection.connect(self.control)
            connection.sendall(line.encode() + b"\n")
            answer = b""
            with contextlib.suppress(ConnectionError):
                while not answer.endswith(b"\n"):
                    part = connection.recv(4096)
                    if not part:
                        break
                    answer += part
            return answer.decode().rstrip("\n")

    def kill(self):
        self.killed = True
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """End it as a user would, unless it was killed, and expect that it found nothing wrong."""
        # It waits for its clients to go.
        for client in self.clients:
            client.close()
        if self.killed:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.ended()
        if status != 0:
            raise RuntimeError(f"nbdkit ended with {status}: {self.text()}")

    def has_image_open(self):
        image = os.path.realpath(self.image)
        try:
            return any(os.path.realpath(link) == image for link in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir())
        except OSError:  # it is gone
            return False

    def ended(self):
        """Its exit status. The library of the address sanitizer leaves a lock of the C library's locales unbalanced: after a
        strerror() the last destructors of the program wait for it for ever, when the plugin has long been unloaded."""
        for _ in range(60):
            try:
                return self.process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                if SANITIZED and not self.has_image_open():
                    self.kill()
                    return 0
        raise RuntimeError(f"nbdkit does not end: {self.text()}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            if self.process.poll() is None:
                self.kill()
            print(f"--- log of the server\n{self.text()[-4000:]}", flush=True)
        else:
            self.stop()


class NbdCase(unittest.TestCase):
    """One scratch folder and image a test."""

    image_size = "256M"

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vde-nbd-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.image = str(self.folder / "t.vde")
        self.vdectl("format", self.image, "--size", self.image_size)

    def path(self, name):
        return str(self.folder / name)

    def run_ok(self, *command, **keywords):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd=self.folder,
                              timeout=600, **keywords)
        self.assertEqual(done.returncode, 0, f"{' '.join(map(str, command))}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def vdectl(self, *arguments):
        return self.run_ok(VDECTL, *arguments)

    def create(self, name, size, *options):
        self.vdectl("volume", "create", self.image, name, "--size", size, *options)

    def server(self, *parameters, **keywords):
        return Server(self.folder, self.image, *parameters, **keywords)

    def check(self):
        """The offline check has nothing to say."""
        self.vdectl("check", self.image)

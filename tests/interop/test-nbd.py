# SPDX-License-Identifier: Apache-2.0
"""The nbdkit plugin as its users meet it: parameters, exports, requests of qemu-io, qemu-img, nbdcopy and nbdinfo."""

import hashlib
import json
import os
import pathlib
import random
import resource
import socket
import subprocess
import time
import unittest

from nbd_case import MIB, PLUGIN, NbdCase, environment
from nbd_client import FUA, NbdError


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_random(path, size, pieces, seed):
    """A file of data and holes; returns nothing."""
    rng = random.Random(seed)
    with open(path, "wb") as file:
        file.truncate(size)
        for _ in range(pieces):
            length = rng.choice([512, 4096, 12288, 65536, 300 * 1024])
            file.seek(rng.randrange(0, size - length) // 512 * 512)
            file.write(rng.randbytes(length))


class Parameters(NbdCase):
    def refused(self, *parameters):
        process = subprocess.Popen(["nbdkit", "-f", "-U", self.path("no.sock"), PLUGIN, *parameters], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True, env=environment())
        try:
            _, says = process.communicate(timeout=8)
        except subprocess.TimeoutExpired:
            # Below a preloaded sanitizer the C library may wait for itself in exit(), after strerror().
            process.kill()
            _, says = process.communicate()
            self.assertTrue(os.environ.get("VDE_SANITIZE"), f"nbdkit does not end: {says}")
        self.assertNotEqual(process.returncode, 0, parameters)
        return says

    def test_bad_parameters_are_refused_before_the_server_starts(self):
        self.create("v", "1M")
        image = f"image={self.image}"
        for parameters, says in [
            (["volume=v"], "image=PATH"),
            ([image, "volume=w"], "NOT_FOUND"),
            ([image, "volume=v", "snapshot=s"], "NOT_FOUND"),
            ([image, "snapshot=s"], "volume=NAME"),
            ([image, "volume=v", "snapshot=s", "control=c"], "writing"),
            ([image, "io=fast"], "uring, aio or sync"),
            ([image, "memory=much"], "size string"),
            ([image, "memory=0"], "memory"),
            ([image, "colour=red"], "colour"),
            ([image, "volume=v", "volume=v"], "twice"),
            ([image, "volume="], "no value"),
            ([f"image={self.path('none.vde')}"], "none.vde"),
        ]:
            self.assertIn(says, self.refused(*parameters))

    def test_an_image_in_use_is_busy(self):
        self.create("v", "1M")
        with self.server() as server:
            server.client("v").close()
            self.assertIn("BUSY", self.refused(f"image={self.image}"))

    def test_help_and_dump_name_every_parameter(self):
        text = self.run_ok("nbdkit", "--help", PLUGIN, env=environment())
        dump = self.run_ok("nbdkit", "--dump-plugin", PLUGIN, env=environment())
        for word in ("image", "volume", "snapshot", "io", "memory", "control", "idle-defrag"):
            self.assertIn(f"{word}=", text)
            self.assertRegex(dump, rf"vde_parameters=.*\b{word}\b")
        self.assertIn("thread_model=parallel", dump)

    def test_every_backend_serves(self):
        self.create("v", "1M")
        for backend in ("uring", "aio", "sync"):
            with self.server(f"io={backend}", "memory=32M") as server:
                client = server.client("v")
                client.write(4096, backend.encode().ljust(4096, b"."))
                self.assertTrue(client.read(4096, 4096).startswith(backend.encode()))
                client.close()


class Exports(NbdCase):
    def setUp(self):
        super().setUp()
        self.create("one", "8M")

    def listed(self, server):
        return json.loads(self.run_ok("nbdinfo", "--list", "--json", server.uri()))["exports"]

    def test_what_an_export_says_of_itself(self):
        with self.server() as server:
            (export,) = self.listed(server)
        self.assertEqual(export["export-name"], "one")
        self.assertEqual(export["export-size"], 8 * MIB)
        for fact in ("can_flush", "can_fua", "can_trim", "can_zero", "can_fast_zero", "can_multi_conn", "can_df"):
            self.assertTrue(export[fact], fact)
        for fact in ("is_read_only", "is_rotational", "can_cache"):
            self.assertFalse(export[fact], fact)
        sizes = [export[f"block_size_{which}"] for which in ("minimum", "preferred", "maximum")]
        self.assertEqual(sizes, [512, 4096, 32 * MIB])

    def test_volumes_and_snapshots_are_exports(self):
        self.create("two", "4M")
        self.create("odd@name", "4M")
        with self.server(control=True) as server:
            client = server.client("one")
            client.write(0, b"1" * 4096)
            self.assertRegex(server.command("snapshot create one@first"), "^ok lsn [0-9]+$")
            client.write(0, b"2" * 4096)
            names = {export["export-name"]: export for export in self.listed(server)}
            self.assertEqual(set(names), {"one", "two", "odd@name", "one@first"})
            self.assertTrue(names["one@first"]["is_read_only"])
            self.assertFalse(names["odd@name"]["is_read_only"])
            self.assertEqual(server.client("one@first").read(0, 4096), b"1" * 4096)
            self.assertEqual(client.read(0, 4096), b"2" * 4096)
            for name in ("", "three", "one@second", "@", "one@", "x" * 1000):
                with self.assertRaises(ConnectionError, msg=name):
                    server.client(name)

    def test_the_only_volume_is_the_default(self):
        with self.server() as server:
            self.assertEqual(server.client().size, 8 * MIB)

    def test_one_volume_of_many(self):
        self.create("two", "4M")
        with self.server("volume=two") as server:
            self.assertEqual([export["export-name"] for export in self.listed(server)], ["two"])
            self.assertEqual(server.client().size, 4 * MIB)
            self.assertEqual(server.client("two").size, 4 * MIB)
            with self.assertRaises(ConnectionError):
                server.client("one")

    def test_one_snapshot(self):
        with self.server(control=True) as server:
            server.client().write(0, b"old." * 1024)
            self.assertTrue(server.command("snapshot create one@s").startswith("ok "))
            server.client().write(0, b"new." * 1024)
        with self.server("volume=one", "snapshot=s") as server:
            client = server.client()
            self.assertEqual(client.read(0, 4096), b"old." * 1024)
            with self.assertRaises(NbdError):
                client.write(0, b"x" * 4096)

    def test_readers_share_an_image(self):
        with self.server() as server:
            server.client().write(0, b"shared.." * 512, flags=FUA)
        with self.server(options=["-r"]) as first, self.server(options=["-r"]) as second:
            for server in (first, second):
                client = server.client()
                self.assertEqual(client.read(0, 4096), b"shared.." * 512)
                with self.assertRaises(NbdError):
                    client.write(0, b"x" * 4096)

    def test_commands(self):
        with self.server(control=True) as server:
            self.assertEqual(server.command("checkpoint"), "ok")
            self.assertTrue(server.command("snapshot create one@a").startswith("ok lsn "))
            self.assertTrue(server.command("snapshot create whole").startswith("ok lsn "))
            self.assertTrue(server.command("snapshot create one@a").startswith("error EXISTS "))
            self.assertEqual(server.command("snapshot delete one@a"), "ok")
            self.assertTrue(server.command("snapshot delete one@a").startswith("error NOT_FOUND "))
            self.assertTrue(server.command("snapshot create two@a").startswith("error NOT_FOUND "))
            self.assertTrue(server.command("snapshot create one@").startswith("error INVAL "))
            self.assertTrue(server.command("dance").startswith("error INVAL "))
            self.assertEqual(server.command("x" * 5000), "")
            self.assertEqual(os.stat(server.control).st_mode & 0o777, 0o600)
        self.assertFalse(os.path.exists(server.control))
        with self.server(control=True) as server:
            server.kill()
        self.assertTrue(os.path.exists(server.control))
        # The socket that it left is taken over.
        with self.server(f"control={server.control}") as again:
            again.control = server.control
            again.wait()
            self.assertEqual(again.command("checkpoint"), "ok")

    def test_a_server_without_descriptors_waits(self):
        """A client that can't be accepted stays in the queue: the server must not ask for it without a pause."""
        with self.server(control=True) as server:
            pid = server.process.pid
            limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(60)
                connection.connect(server.control)
                connection.sendall(b"checkpoint\n")
                before = self.cpu_seconds(pid)
                time.sleep(1)
                self.assertLess(self.cpu_seconds(pid) - before, 0.3)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
                self.assertEqual(connection.recv(100), b"ok\n")

    def cpu_seconds(self, pid):
        times = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


class Requests(NbdCase):
    def setUp(self):
        super().setUp()
        self.create("v", "64M")

    def qemu_io(self, server, *commands):
        words = [word for command in commands for word in ("-c", command)]
        out = self.run_ok("qemu-io", "-f", "raw", "-d", "unmap", "-n", *words, server.uri("v"))
        self.assertNotIn("Pattern verification failed", out)
        self.assertNotIn("error", out.lower())

    def test_patterns_of_qemu_io(self):
        with self.server() as server:
            self.qemu_io(server, "write -P 0xa5 0 64k", "write -P 0x5a 3k 512", "write -P 0x11 9k 9k", "write -P 0x77 1M 8M",
                         "read -P 0xa5 0 3k", "read -P 0x5a 3k 512", "read -P 0xa5 3584 5632", "read -P 0x11 9k 9k",
                         "read -P 0xa5 18k 46k", "read -P 0 64k 960k", "read -P 0x77 1M 8M")
            self.qemu_io(server, "write -z 2M 1M", "write -z -u 4M 512k", "discard 6M 1M", "write -f -P 0x42 2560k 4k",
                         "read -P 0x77 1M 1M", "read -P 0 2M 512k", "read -P 0x42 2560k 4k", "read -P 0 2564k 508k",
                         "read -P 0x77 3M 1M", "read -P 0 4M 512k", "read -P 0 6M 1M", "read -P 0x77 7M 2M", "flush")
            self.qemu_io(server, "write -z 7169k 1k", "write -z 512 512", "discard 8193k 6k", "read -P 0x77 7M 1k",
                         "read -P 0 7169k 1k", "read -P 0x77 7170k 1022k", "read -P 0xa5 0 512", "read -P 0 512 512",
                         "read -P 0xa5 1k 2k", "read -P 0x77 8M 1k")
        with self.server() as server:
            self.qemu_io(server, "read -P 0x11 9k 9k", "read -P 0x42 2560k 4k", "read -P 0 2564k 508k", "read -P 0x77 7M 1k",
                         "read -P 0 7169k 1k")
        self.check()

    def test_beyond_the_end_and_unaligned(self):
        with self.server() as server:
            client = server.client("v")
            for call in (lambda: client.read(64 * MIB, 512), lambda: client.write(64 * MIB - 512, b"x" * 1024),
                         lambda: client.write(100, b"x" * 512), lambda: client.read(0, 100)):
                with self.assertRaises(NbdError):
                    call()
            client.write(64 * MIB - 512, b"end." * 128)
            self.assertEqual(client.read(64 * MIB - 1024, 1024), bytes(512) + b"end." * 128)

    def test_large_requests(self):
        data = random.Random(7).randbytes(32 * MIB)
        with self.server() as server:
            client = server.client("v")
            client.write(512, data, flags=FUA)
            self.assertEqual(client.read(512, 32 * MIB), data)
            client.trim(0, 64 * MIB)
            # Blocks that are covered in part stay as they were, but here all are covered.
            self.assertEqual(client.read(0, 32 * MIB), bytes(32 * MIB))

    def test_two_connections_see_each_other(self):
        with self.server() as server:
            first, second = server.client("v"), server.client("v")
            first.write(0, b"a" * 4096)
            self.assertEqual(second.read(0, 4096), b"a" * 4096)
            second.flush()
            server.kill()
            with self.server() as again:
                self.assertEqual(again.client("v").read(0, 4096), b"a" * 4096)

    def test_many_requests_in_flight(self):
        rng = random.Random(3)
        expected = {}
        with self.server() as server:
            client = server.client("v")
            for _ in range(40):
                blocks = rng.sample(range(64 * 256), 32)
                for block in blocks:
                    expected[block] = rng.randbytes(4096)
                    client.submit(1, block * 4096, data=expected[block])
                for _ in blocks:
                    self.assertEqual(client.complete()[1], 0)
            for block, data in expected.items():
                self.assertEqual(client.read(block * 4096, 4096), data)
        self.check()

    def test_a_damaged_block_is_an_error_and_its_neighbours_are_not(self):
        rng = random.Random(5)
        blocks = [rng.randbytes(4096) for _ in range(8)]
        with self.server() as server:
            server.client("v").write(0, b"".join(blocks), flags=FUA)
        with open(self.image, "r+b") as file:
            at = file.read().find(blocks[5])
            self.assertGreater(at, 0)
            file.seek(at + 1000)
            file.write(bytes([blocks[5][1000] ^ 1]))
        with self.server() as server:
            client = server.client("v")
            for number, block in enumerate(blocks):
                if number != 5:
                    self.assertEqual(client.read(number * 4096, 4096), block)
            for begin, size in ((5 * 4096, 4096), (5 * 4096 + 512, 512), (0, 8 * 4096)):
                with self.assertRaises(NbdError) as caught:
                    client.read(begin, size)
                self.assertEqual(caught.exception.code, 5)
            self.assertIn("CORRUPT", server.text())
            client.write(5 * 4096, blocks[5])
            self.assertEqual(client.read(0, 8 * 4096), b"".join(blocks))

    def test_random_requests_against_an_array(self):
        self.random_requests("v")

    def test_random_requests_to_a_compressed_volume(self):
        self.create("packed", "8M", "--compress", "zstd:3")
        self.random_requests("packed")

    def random_requests(self, name):
        rng = random.Random(int(os.environ.get("VDE_TEST_SEED", "1")))
        size = 4 * MIB
        oracle = bytearray(size)
        for _ in range(3):
            with self.server() as server:
                client = server.client(name)
                self.assertEqual(client.read(0, size), oracle)
                for _ in range(1500):
                    length = rng.choice([512, 1024, 3584, 4096, 8192, 20480, 262144])
                    begin = rng.randrange((size - length) // 512 + 1) * 512
                    self.one_request(rng, client, oracle, begin, length)
                self.assertEqual(client.read(0, size), oracle)
                client.flush()
        self.check()

    def one_request(self, rng, client, oracle, begin, length):
        kind = rng.choices(["write", "zero", "trim", "read"], [60, 10, 10, 20])[0]
        end = begin + length
        if kind == "write":
            # Half of it can be compressed.
            oracle[begin:end] = rng.choice([rng.randbytes(length), rng.randbytes(8) * (length // 8)])
            client.write(begin, bytes(oracle[begin:end]), flags=rng.choice([0, 0, 0, FUA]))
        elif kind == "zero":
            oracle[begin:end] = bytes(length)
            client.zero(begin, length)
        elif kind == "trim":
            first, last = (begin + 4095) // 4096 * 4096, end // 4096 * 4096
            if first < last:
                oracle[first:last] = bytes(last - first)
            client.trim(begin, length)
        else:
            self.assertEqual(client.read(begin, length), oracle[begin:end])

    def test_zeroes_with_space_set_aside_are_no_holes(self):
        self.create("kept", "8M", "--prealloc")
        with self.server() as server:
            client = server.client("kept")
            client.write(MIB, b"x" * 65536)
            client.trim(MIB, 32768)
            extents = json.loads(self.run_ok("nbdinfo", "--map", "--json", server.uri("kept")))
        self.assertEqual({extent["type"] for extent in extents}, {0, 2})
        data = [(extent["offset"], extent["length"]) for extent in extents if extent["type"] == 0]
        self.assertEqual(data, [(MIB + 32768, 32768)])

    def test_the_map_is_what_was_written(self):
        with self.server() as server:
            client = server.client("v")
            client.write(0, b"x" * 65536)
            client.write(MIB, b"y" * 8192)
            client.write(MIB + 16384, b"y" * 4096)
            client.write(2 * MIB + 512, b"z" * 512)
            client.write(4 * MIB, b"w" * 4 * MIB)
            client.trim(5 * MIB, MIB)
            client.zero(7 * MIB, 65536)
            want = [(0, 65536), (MIB, 8192), (MIB + 16384, 4096), (2 * MIB, 4096), (4 * MIB, MIB), (6 * MIB, MIB),
                    (7 * MIB + 65536, MIB - 65536)]
            extents = json.loads(self.run_ok("nbdinfo", "--map", "--json", server.uri("v")))
        place, data = 0, []
        for extent in extents:
            self.assertEqual(extent["offset"], place)
            place += extent["length"]
            self.assertIn(extent["type"], (0, 3))
            if extent["type"] == 0:
                begin = extent["offset"]
                # Neighbours may come in pieces.
                if data and sum(data[-1]) == begin:
                    begin = data.pop()[0]
                data.append((begin, place - begin))
        self.assertEqual(place, 64 * MIB)
        self.assertEqual(data, want)


class Copies(NbdCase):
    image_size = "512M"

    def setUp(self):
        super().setUp()
        self.create("v", "96M")

    def test_qemu_img_both_ways_against_qcow2(self):
        source, raw, back = self.path("source.qcow2"), self.path("source.raw"), self.path("back.qcow2")
        write_random(raw, 96 * MIB, 300, 1)
        self.run_ok("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, source)
        with self.server() as server:
            self.run_ok("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", source, server.uri("v"))
            self.run_ok("qemu-img", "compare", "-f", "qcow2", "-F", "raw", source, server.uri("v"))
        with self.server() as server:
            self.run_ok("qemu-img", "compare", "-f", "qcow2", "-F", "raw", source, server.uri("v"))
            self.run_ok("qemu-img", "convert", "-f", "raw", "-O", "qcow2", server.uri("v"), back)
            self.run_ok("qemu-img", "compare", "-s", "-f", "qcow2", "-F", "qcow2", source, back)
            # An image that was not empty: its old data is replaced by zeroes where the source has holes.
            write_random(raw, 96 * MIB, 200, 2)
            self.run_ok("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", raw, server.uri("v"))
            self.run_ok("qemu-img", "compare", "-f", "raw", "-F", "raw", raw, server.uri("v"))
        self.check()

    def test_nbdcopy_round_trip(self):
        raw, back = self.path("source.raw"), self.path("back.raw")
        write_random(raw, 96 * MIB, 300, 3)
        with self.server() as server:
            self.run_ok("nbdcopy", "--flush", "--connections=4", raw, server.uri("v"))
            self.run_ok("nbdcopy", "--connections=4", server.uri("v"), back)
        self.assertEqual(sha256(raw), sha256(back))
        self.create("w", "96M")
        with self.server() as server:
            self.run_ok("nbdcopy", "--flush", "--destination-is-zero", server.uri("v"), server.uri("w"))
            self.run_ok("nbdcopy", server.uri("w"), back)
        self.assertEqual(sha256(raw), sha256(back))
        self.check()


if __name__ == "__main__":
    unittest.main()

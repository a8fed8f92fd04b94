# SPDX-License-Identifier: Apache-2.0
"""A load of writes, trims and flushes that knows what must be on a volume after its server was killed.

Every request has a serial number, in the order of submission; a block that was written says which request wrote it. A
block must show a request at least as new as the newest that is durable for it: answered with FUA, or answered before a
flush was sent that was answered. What is lost besides must be the newest: when a request that was answered is gone, no
request that was sent after that answer is there. And a request of at most 128 KiB is there as a whole or not at all."""

import random
import struct
import threading

from nbd_client import FLUSH, FUA, TRIM, WRITE, ZEROES

BLOCK = 4096
BLOCKS_MAX = 32  # 128 KiB
DEPTH = 24
STAMP = struct.Struct("<QQQQ")
MAGIC = 0x656C626172756476


class Request:
    """One write, or a trim or zeroing, which writes zeroes."""

    def __init__(self, serial, first, count, zeroes, fua):
        self.serial, self.first, self.count, self.zeroes, self.fua = serial, first, count, zeroes, fua
        self.sent = self.answered = None

    def blocks(self):
        return range(self.first, self.first + self.count)


class Load:
    def __init__(self, mebibytes, seed):
        self.rng = random.Random(seed)
        self.blocks = mebibytes * 256
        self.history = [[] for _ in range(self.blocks)]  # of each block: what may be there, oldest first
        self.durable = [0] * self.blocks                 # serial that must at least be there
        self.clock = self.serial = 0
        self.requests = self.flushed = self.killed_in_flight = self.lost = 0

    def summary(self):
        return (f"{self.requests} requests and {self.flushed} flushes answered, {self.killed_in_flight} in flight at a kill, "
                f"{self.lost} answered and not flushed ones lost")

    def tick(self):
        self.clock += 1
        return self.clock

    # --- load

    def content(self, request):
        return b"".join(STAMP.pack(MAGIC, request.serial, block, request.serial ^ block) * (BLOCK // STAMP.size)
                        for block in request.blocks())

    def submit(self, client, busy):
        """Send a request to blocks that no other request is at work on; returns (handle, request)."""
        while True:
            count = self.rng.choice([1, 1, 1, 2, 3, 8, BLOCKS_MAX])
            first = self.rng.randrange(self.blocks - count + 1)
            if not any(block in busy for block in range(first, first + count)):
                break
        self.serial += 1
        kind = self.rng.choices([WRITE, TRIM, ZEROES], [90, 6, 4])[0]
        flags = FUA if self.rng.random() < 0.02 else 0
        request = Request(self.serial, first, count, kind != WRITE, bool(flags))
        for block in request.blocks():
            self.history[block].append(request)
        busy.update(request.blocks())
        request.sent = self.tick()
        if kind == WRITE:
            return client.submit(WRITE, first * BLOCK, data=self.content(request), flags=flags), request
        return client.submit(kind, first * BLOCK, count * BLOCK, flags=flags), request

    def settle(self, requests):
        for request in requests:
            for block in request.blocks():
                self.durable[block] = max(self.durable[block], request.serial)

    def drive(self, client):
        """Until the connection breaks."""
        pending, busy, unflushed = {}, set(), []
        try:
            while True:
                while len(pending) < DEPTH:
                    if self.rng.random() < 0.02:
                        # Covers what was answered before it is sent.
                        pending[client.submit(FLUSH)] = list(unflushed)
                    else:
                        handle, request = self.submit(client, busy)
                        pending[handle] = request
                handle, error, _ = client.complete()
                if error:
                    raise AssertionError(f"a request failed with {error}")
                what = pending.pop(handle)
                if isinstance(what, list):
                    self.settle(what)
                    self.flushed += 1
                    unflushed = [request for request in unflushed if request.answered > what[-1].answered] if what else unflushed
                    continue
                what.answered = self.tick()
                self.requests += 1
                busy.difference_update(what.blocks())
                unflushed.append(what)
                if what.fua:
                    self.settle([what])
        except OSError:
            self.killed_in_flight += sum(isinstance(what, Request) for what in pending.values())

    def run(self, server):
        killer = threading.Timer(self.rng.uniform(0.3, 2.0), server.kill)
        client = server.client("v")
        killer.start()
        self.drive(client)
        killer.join()

    # --- verification

    def look(self, client):
        """Of each block the serial that it shows, 0 for zeroes."""
        shown = []
        for first in range(0, self.blocks, 256):
            data = client.read(first * BLOCK, 256 * BLOCK)
            for index in range(256):
                piece = data[index * BLOCK:(index + 1) * BLOCK]
                if piece == bytes(BLOCK):
                    shown.append(0)
                    continue
                magic, serial, block, check = STAMP.unpack_from(piece)
                if (magic, block, check) != (MAGIC, first + index, serial ^ block) or piece != piece[:STAMP.size] * (BLOCK // 32):
                    raise AssertionError(f"block {first + index} holds what was never written to it: {piece[:64].hex()}")
                shown.append(serial)
        return shown

    def meaning(self, block, serial):
        """The request that a block shows. Zeroes say no serial: of those that fit they may be any, the newest is taken."""
        fitting = [request for request in self.history[block]
                   if (request.zeroes if serial == 0 else request.serial == serial)]
        return fitting[-1] if fitting else None

    def verify(self, client, when):
        shown = self.look(client)
        seen = [self.meaning(block, serial) for block, serial in enumerate(shown)]
        newest_sent, lost = 0, {}
        for block, request in enumerate(seen):
            at = request.serial if request else 0
            if shown[block] and not request:
                raise AssertionError(f"{when}: block {block} shows request {shown[block]}, which is not among its own")
            if at < self.durable[block]:
                raise AssertionError(f"{when}: block {block} shows request {at}, but {self.durable[block]} was flushed")
            if request and not request.zeroes:
                newest_sent = max(newest_sent, request.sent)
            for missing in self.history[block]:
                if missing.serial > at:
                    lost[missing.serial] = missing
        for missing in lost.values():
            if missing.answered and missing.answered < newest_sent:
                raise AssertionError(f"{when}: request {missing.serial} was answered and is gone, but one sent later is there")
        self.verify_whole(seen, lost, when)
        self.lost += sum(missing.answered is not None for missing in lost.values())
        # From here on this is what there is: a later kill must not undo what recovery has shown.
        for block, request in enumerate(seen):
            self.history[block] = [request] if request else []
            self.durable[block] = request.serial if request else 0

    @staticmethod
    def verify_whole(seen, lost, when):
        for missing in lost.values():
            if missing.zeroes:
                continue  # zeroes do not say whose they are
            for block in missing.blocks():
                if seen[block] and seen[block].serial == missing.serial:
                    raise AssertionError(f"{when}: request {missing.serial} is there in part: block {block}")

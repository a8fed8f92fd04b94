# SPDX-License-Identifier: Apache-2.0
"""An image that is smaller than its volumes fills up under load: writers are told ENOSPC, all that was answered stays,
trims give room, and writing goes on; so it does after a kill."""

import random
import time
import unittest

from nbd_case import MIB, NbdCase
from nbd_client import ENOSPC, NbdError

PIECE = 65536
WRITE = 1


class Full(NbdCase):
    image_size = "64M"

    def setUp(self):
        super().setUp()
        self.create("big", "256M")
        self.create("side", "8M")
        self.rng = random.Random(11)

    def content(self, place, generation=0):
        return f"{place:15d}{generation:17d}".encode() * (PIECE // 32)

    def fill(self, client, written):
        """Writes places nobody wrote to until there is no room for any of those in flight; returns how many were refused."""
        places = [place for place in range(256 * MIB // PIECE) if place not in written]
        self.rng.shuffle(places)
        pending, refused = {}, 0
        while places or pending:
            while places and len(pending) < 16 and not refused:
                place = places.pop()
                pending[client.submit(WRITE, place * PIECE, data=self.content(place))] = place
            if not pending:
                return refused
            handle, error, _ = client.complete()
            place = pending.pop(handle)
            if error:
                self.assertEqual(error, ENOSPC)
                refused += 1
            else:
                written.add(place)
        return refused

    def verify(self, client, written):
        for place in range(256 * MIB // PIECE):
            expected = self.content(place) if place in written else bytes(PIECE)
            self.assertEqual(client.read(place * PIECE, PIECE), expected, f"piece {place}")

    def insist(self, call):
        """What was trimmed is free after the next checkpoint: not at once."""
        for _ in range(100):
            try:
                return call()
            except NbdError as error:
                self.assertEqual(error.code, ENOSPC)
                time.sleep(0.1)
        self.fail("no room although half of the image was trimmed")

    def test_a_full_image_refuses_writes_and_nothing_else(self):
        written = set()
        with self.server(control=True) as server:
            big, side = server.client("big"), server.client("side")
            side.write(0, b"here" * 1024)
            self.assertGreater(self.fill(big, written), 0, "a quarter of a GiB went into 64 MiB")
            self.assertGreater(len(written), 32 * MIB // PIECE, "less than half of the image was usable")
            big.flush()
            self.verify(big, written)
            self.assertEqual(side.read(0, 4096), b"here" * 1024)
            half = set(self.rng.sample(sorted(written), len(written) // 2))
            for place in half:
                big.trim(place * PIECE, PIECE)
            written -= half
            big.flush()
            self.assertEqual(server.command("checkpoint"), "ok")
            again = sorted(half)[:len(half) // 2]
            for place in again:
                self.insist(lambda place=place: big.write(place * PIECE, self.content(place)))
            written.update(again)
            self.insist(lambda: side.write(4096, b"more" * 1024))
            big.flush()
            self.verify(big, written)
        self.check()
        with self.server() as server:
            self.verify(server.client("big"), written)
            self.assertEqual(server.client("side").read(0, 8192), b"here" * 1024 + b"more" * 1024)

    def test_a_full_image_whose_server_is_killed_opens_again(self):
        written = set()
        with self.server() as server:
            big = server.client("big")
            self.assertGreater(self.fill(big, written), 0)
            big.flush()
            server.kill()
            with self.server() as again:
                client = again.client("big")
                self.verify(client, written)
                for place in sorted(written)[::2]:
                    client.trim(place * PIECE, PIECE)
                    written.discard(place)
                client.flush()
                self.insist(lambda: client.write(0, self.content(0)))
                written.add(0)
                self.verify(client, written)
        self.check()


if __name__ == "__main__":
    unittest.main()

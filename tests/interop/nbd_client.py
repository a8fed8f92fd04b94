# SPDX-License-Identifier: Apache-2.0
"""A small NBD client over a unix socket: fixed newstyle, simple replies, any number of requests in flight."""

import contextlib
import socket
import struct

MAGIC, OPTION_MAGIC, REPLY_MAGIC = 0x4E42444D41474943, 0x49484156454F5054, 0x3E889045565A9
REQUEST, RESPONSE = 0x25609513, 0x67446698
READ, WRITE, DISCONNECT, FLUSH, TRIM, ZEROES = 0, 1, 2, 3, 4, 6
FUA = 1
ENOSPC = 28
OPT_GO, REP_ACK, REP_INFO = 7, 1, 3


class NbdError(Exception):
    """An error that the server answered; `code` is the errno on the wire."""

    def __init__(self, code):
        super().__init__(f"NBD error {code}")
        self.code = code


class NbdClient:
    """`submit` sends, `complete` waits for one answer; ConnectionError when the server is gone."""

    def __init__(self, path, export="", timeout=60):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.pending = {}
        self.next_handle = 1
        try:
            self.handshake(export.encode())
        except BaseException:
            self.socket.close()
            raise

    def receive(self, size):
        parts = []
        while size:
            part = self.socket.recv(min(size, 1 << 20))
            if not part:
                raise ConnectionResetError("the server hung up")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def handshake(self, export):
        magic, option_magic, flags = struct.unpack(">QQH", self.receive(18))
        if magic != MAGIC or option_magic != OPTION_MAGIC or not flags & 1:
            raise ConnectionError("not a newstyle NBD server")
        data = struct.pack(">I", len(export)) + export + struct.pack(">H", 0)
        self.socket.sendall(struct.pack(">I", flags & 3) + struct.pack(">QII", OPTION_MAGIC, OPT_GO, len(data)) + data)
        while True:
            magic, _, kind, length = struct.unpack(">QIII", self.receive(20))
            reply = self.receive(length)
            if magic != REPLY_MAGIC or kind & 0x80000000:
                raise ConnectionError(f"export {export!r} refused: {kind:#x} {reply!r}")
            if kind == REP_INFO and struct.unpack_from(">H", reply)[0] == 0:
                self.size, self.flags = struct.unpack_from(">QH", reply, 2)
            if kind == REP_ACK:
                return

    def submit(self, op, offset=0, size=0, data=b"", flags=0):
        """Send a request and return its handle."""
        handle, self.next_handle = self.next_handle, self.next_handle + 1
        header = struct.pack(">IHHQQI", REQUEST, flags, op, handle, offset, len(data) or size)
        self.pending[handle] = (op, size)
        self.socket.sendall(header + data)
        return handle

    def complete(self):
        """(handle, error, data) of the next answer."""
        magic, error, handle = struct.unpack(">IIQ", self.receive(16))
        if magic != RESPONSE or handle not in self.pending:
            raise ConnectionError("an answer that nobody asked for")
        op, size = self.pending.pop(handle)
        return handle, error, self.receive(size) if op == READ and not error else b""

    def call(self, op, offset=0, size=0, data=b"", flags=0):
        handle = self.submit(op, offset, size, data, flags)
        answered, error, answer = self.complete()
        if answered != handle:
            raise ConnectionError("requests of call() and of submit() are mixed")
        if error:
            raise NbdError(error)
        return answer

    def read(self, offset, size):
        return self.call(READ, offset, size)

    def write(self, offset, data, flags=0):
        self.call(WRITE, offset, data=data, flags=flags)

    def flush(self):
        self.call(FLUSH)

    def trim(self, offset, size, flags=0):
        self.call(TRIM, offset, size, flags=flags)

    def zero(self, offset, size, flags=0):
        self.call(ZEROES, offset, size, flags=flags)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.sendall(struct.pack(">IHHQQI", REQUEST, 0, DISCONNECT, 0, 0, 0))
        self.socket.close()

"""A virtual board behind rfc2217://: a serial port over TCP, control lines included, on the loopback address."""

from __future__ import annotations

import select
import socket
import time
from typing import Any

from serial import rfc2217

from edgewright.boards.virtual.wire import Reset, Unplugged
from edgewright.boards.virtual.wiring import Wiring

CHUNK = 1 << 16
PATIENCE_S = 1.0  # what a client does not read for so long is lost


class _Port:
    """What pyserial's server of RFC 2217 takes for a serial port: settings that it may change, lines that we look at."""

    def __init__(self) -> None:
        self.baudrate, self.bytesize, self.parity, self.stopbits = 115200, 8, "N", 1
        self.xonxoff = self.rtscts = self.break_condition = False
        self.dtr = self.rts = False
        self.cts = self.dsr = self.cd = True
        self.ri = False

    def reset_input_buffer(self) -> None:
        """Nothing is held back here."""

    def reset_output_buffer(self) -> None:
        """Nothing is held back here."""


class Telnet:
    """One client at a time; who comes second waits."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self._server: socket.socket | None = None
        self._number = 0
        self._client: socket.socket | None = None
        self._manager: Any = None
        self._lines = _Port()
        self._seen = (False, False)
        self.plug()

    @property
    def port(self) -> str:
        """What a client opens."""
        return f"rfc2217://127.0.0.1:{self._number}"

    def plug(self) -> None:
        """Listen, on the same port as before."""
        self._server = socket.create_server(("127.0.0.1", self._number), backlog=1)
        self._number = self._server.getsockname()[1]

    def unplug(self) -> None:
        """End the connection and stop listening."""
        self._hang_up()
        if self._server:
            self._server.close()
            self._server = None

    def receive(self, timeout_s: float) -> bytes:
        """Return what has come, or nothing after `timeout_s`; raise Reset where the control lines lead to one."""
        until = time.monotonic() + timeout_s
        while True:
            if self._server is None:
                raise Unplugged
            waited = select.select([self._client or self._server], [], [], max(until - time.monotonic(), 0))[0]
            if waited and self._client is None:
                self._answer()
            elif waited and (data := self._read()):
                return data
            if time.monotonic() >= until:
                return b""

    def send(self, data: bytes) -> None:
        """Send bytes to the client; without one they are lost."""
        if self._client and self._manager:
            self.write(b"".join(self._manager.escape(data)))

    def write(self, data: bytes) -> None:
        """Send bytes as they are; the protocol's own answers come this way."""
        try:
            if self._client:
                self._client.sendall(data)
        except OSError:
            self._hang_up()

    def _answer(self) -> None:
        assert self._server
        self._client, _ = self._server.accept()
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.settimeout(PATIENCE_S)
        self._lines, self._seen = _Port(), (False, False)
        self._manager = rfc2217.PortManager(self._lines, self)  # type: ignore[arg-type]  # neither is a Serial, nor need be

    def _read(self) -> bytes:
        """Read once; the lines may change several times in one packet, and each change counts."""
        assert self._client
        try:
            data = self._client.recv(CHUNK)
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            self._raise(self.wiring.closed())
            return b""
        found, reset = bytearray(), None
        for byte in self._manager.filter(data):
            found += byte
            reset = self._look() or reset
        reset = self._look() or reset
        self._raise(reset)
        return bytes(found)

    def _look(self) -> Reset | None:
        lines = (self._lines.dtr, self._lines.rts)
        if lines == self._seen:
            return None
        self._seen = lines
        return self.wiring.lines(dtr=lines[0], rts=lines[1])

    def _hang_up(self) -> None:
        if self._client:
            self._client.close()
        self._client = self._manager = None

    @staticmethod
    def _raise(reset: Reset | None) -> None:
        if reset:
            raise reset

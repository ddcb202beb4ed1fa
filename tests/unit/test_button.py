"""The RESET button of a virtual board: by a key of its own terminal, or a line on its port, and by nothing else."""

from __future__ import annotations

import os
import pty
import select
import socket
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.boards.virtual import button as module
from edgewright.boards.virtual.button import Button
from edgewright.boards.virtual.line import Line
from edgewright.boards.virtual.wire import Reset
from tests.conftest import ROOT

WAIT_S = 5.0


class Presses:
    """How often it was pressed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def presses() -> Presses:
    return Presses()


@pytest.fixture
def button(presses: Presses, monkeypatch: pytest.MonkeyPatch) -> Iterator[Button]:
    monkeypatch.setattr(module, "LINE_S", 0.1)
    monkeypatch.setattr(module, "SLICE_S", 0.02)
    with Button(presses) as button:
        yield button


def say(button: Button, *parts: bytes) -> bytes:
    """Send these, and return all that is answered."""
    with socket.create_connection(("127.0.0.1", button.port), timeout=WAIT_S) as client:
        for part in parts:
            client.sendall(part)
        answer = b""
        while data := client.recv(100):
            answer += data
        return answer


@pytest.mark.parametrize("parts", [(b"reset\n",), (b"re", b"set\r\n"), (b"  reset  \n",)])
def test_the_line_presses_it_once_and_is_answered(button: Button, presses: Presses, parts: tuple[bytes, ...]) -> None:
    assert say(button, *parts) == b"done\n"
    assert presses.count == 1
    assert say(button, b"reset\n") == b"done\n"
    assert presses.count == 2


@pytest.mark.parametrize(
    "line",
    [
        b"resets\n",
        b"\n",
        b"x" * 1000,
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nreset\n",
        b"\xff\x1b[2J\n",
        b"RESET\n",
    ],
    ids=["more", "empty", "long", "http", "binary", "capitals"],
)
def test_nothing_else_does(button: Button, presses: Presses, line: bytes) -> None:
    """A page in a browser may send what it likes to any port of this machine; its first line is HTTP's."""
    try:
        assert say(button, line) == b"what?\n"
    except ConnectionResetError:
        assert len(line) > 64  # of which the rest was not read
    assert presses.count == 0


def test_who_connects_and_says_nothing_keeps_nobody_out(button: Button, presses: Presses) -> None:
    with socket.create_connection(("127.0.0.1", button.port)):
        assert say(button, b"reset\n") == b"done\n"
    assert presses.count == 1


def test_only_this_machine_reaches_it(button: Button) -> None:
    assert button._server.getsockname()[0] == "127.0.0.1"


def test_without_a_terminal_there_is_no_key(button: Button) -> None:
    assert not button.has_key


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from edgewright.boards.virtual.button import Button
with Button(lambda: print("pressed", flush=True)) as button:
    print("key" if button.has_key else "no key", flush=True)
    while True:
        time.sleep(0.1)
"""


class Typist:
    """A program in a terminal of its own, and who types there."""

    def __init__(self, *argv: str) -> None:
        self.child, self.terminal = pty.fork()
        if not self.child:
            os.execv(argv[0], argv)
        self.said = b""

    def hears(self, text: bytes) -> bool:
        until = time.monotonic() + WAIT_S
        while text not in self.said and time.monotonic() < until:
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    self.said += os.read(self.terminal, 1000)
                except OSError:
                    break
        found = text in self.said
        self.said = self.said.partition(text)[2]
        return found

    def ends(self) -> int:
        _, status = os.waitpid(self.child, 0)
        os.close(self.terminal)
        return status


def test_the_key_presses_it_and_ctrl_c_still_ends_the_program_and_gives_the_terminal_back() -> None:
    typist = Typist(sys.executable, "-c", SCRIPT, str(ROOT))
    before = termios.tcgetattr(typist.terminal)
    assert typist.hears(b"key\r\n")
    os.write(typist.terminal, b"x")
    os.write(typist.terminal, b"r")
    assert typist.hears(b"pressed")
    os.write(typist.terminal, b"\x03")
    assert typist.hears(b"KeyboardInterrupt")
    assert termios.tcgetattr(typist.terminal)[3] == before[3]
    assert typist.ends()


def test_a_program_in_the_background_takes_no_keys_and_is_not_stopped(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SCRIPT)
    shell = f"set -m; {sys.executable} {tmp_path}/program.py {ROOT} & read line; echo got $line; kill $!; wait $!; echo end $?"
    typist = Typist("/bin/bash", "-c", shell)
    assert typist.hears(b"no key")
    os.write(typist.terminal, b"r\n")
    assert typist.hears(b"got r")
    assert typist.hears(b"end 143"), "it ran until it was ended"
    assert b"pressed" not in typist.said
    typist.ends()


class Quiet:
    """A line on which nothing comes."""

    port = ""

    def receive(self, timeout_s: float) -> bytes:
        time.sleep(timeout_s)
        return b""

    def send(self, data: bytes) -> None: ...

    def unplug(self) -> None: ...

    def plug(self) -> None: ...


def test_a_program_that_waits_for_its_line_is_reset_at_once_and_what_was_put_back_is_lost() -> None:
    line = Line(Quiet())
    threading.Timer(0.05, line.reset).start()
    started = time.monotonic()
    with pytest.raises(Reset) as reset:
        line.read(WAIT_S)
    assert not reset.value.download
    assert time.monotonic() - started < 1
    line.unread(b"from before")
    line.reset()
    with pytest.raises(Reset):
        line.read(0)
    assert line.read(0) == b""

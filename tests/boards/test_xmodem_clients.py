"""Other people's XMODEM senders flash a virtual board through its boot menu, as they would a real one."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
import xmodem
from menu_board import FIRMWARE, MODEL, MenuBoard, menu_board
from sscma.flashers.core import HimaxFlasher

PREAMBLE = (b"\xc0\x5a" + struct.pack("<II", MODEL, 0) + b"\x5a\xc0").ljust(1024, b"\xff")
CONTENT = os.urandom(150_001)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[MenuBoard]:
    with menu_board(tmp_path) as board:
        yield board


@pytest.fixture
def port(board: MenuBoard) -> Iterator[serial.Serial]:
    """Return the port at the prompt, brought there as Himax's script does it."""
    with serial.Serial(board.port, 921600, timeout=2) as port:
        lines: list[bytes] = []
        while not any(b"Xmodem download and burn FW image" in line for line in lines):
            port.write(b"1\r")
            lines.append(port.readline())
        port.write(b"1\r")
        port.read_until(b"your terminal")
        yield port


def is_flashed(board: MenuBoard, content: bytes = CONTENT) -> bool:
    return board.memory.read(MODEL, len(content)) == content and board.memory.read(0, len(FIRMWARE)) == FIRMWARE


@pytest.mark.parametrize(("mode", "size"), [("xmodem", 128), ("xmodem1k", 1024)])
def test_the_xmodem_library_in_both_modes(board: MenuBoard, port: serial.Serial, mode: str, size: int) -> None:
    modem = xmodem.XMODEM(
        lambda count, timeout=2: port.read(count) or None, lambda data, timeout=2: port.write(data), mode
    )
    for content, answer in ((PREAMBLE[:size], b"n\r"), (CONTENT, b"y\r")):
        assert modem.send(io.BytesIO(content))
        port.read_until(b"(y)")
        port.write(answer)
        time.sleep(0.1)
    assert is_flashed(board)
    assert board.started.wait(2)


def test_python_sscma(board: MenuBoard) -> None:
    HimaxFlasher(board.port).write(CONTENT, MODEL)
    assert is_flashed(board)
    assert board.started.wait(2)


@pytest.mark.skipif(not shutil.which("sx"), reason="no sx: sudo apt-get install lrzsz")
def test_lrzsz_in_both_modes(board: MenuBoard, port: serial.Serial, tmp_path: Path) -> None:
    for content, flags, answer in ((PREAMBLE[:128], [], b"n"), (CONTENT, ["--1k"], b"y")):
        path = tmp_path / "file"
        path.write_bytes(content)
        # A descriptor of its own: pyserial's does not block.
        with open(board.port, "r+b", buffering=0) as line:
            subprocess.run(["sx", "--quiet", *flags, str(path)], stdin=line, stdout=line, check=True, timeout=20)
        port.read_until(b"(y)")
        port.write(answer)
    assert board.started.wait(2)
    assert is_flashed(board)

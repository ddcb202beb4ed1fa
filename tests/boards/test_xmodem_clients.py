"""Other people's XMODEM senders flash a virtual board through its boot menu, as they would a real one."""

from __future__ import annotations

import io
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
import xmodem
from menu_board import FIRMWARE, MODEL, MenuBoard, menu_board
from sscma.flashers.core import HimaxFlasher

from edgewright.boards.virtual.button import Button

PREAMBLE = (b"\xc0\x5a" + struct.pack("<II", MODEL, 0) + b"\x5a\xc0").ljust(1024, b"\xff")
CONTENT = os.urandom(150_001)
WAIT_S = 40.0
MENU = b"Send data using the xmodem protocol from your terminal"
QUESTION = b"Do you want to end file transmission and reboot system? (y)"
SCRIPT = "EDGEWRIGHT_XMODEM_SEND"


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


def press(button: Button) -> None:
    """Press RESET as `make board` says: a line on its port."""
    with socket.create_connection(("127.0.0.1", button.port), timeout=WAIT_S) as client:
        client.sendall(b"reset\n")
        assert client.recv(100) == b"done\n"


def line_with(port: serial.Serial, text: bytes, answer: bytes = b"") -> None:
    """Read lines until one has the text in it, and answer each, as Himax's script does."""
    until = time.monotonic() + WAIT_S
    while text not in (line := port.readline()):
        assert line, f"no {text!r}"
        assert time.monotonic() < until
        port.write(answer)
    port.write(answer)


def test_a_client_that_throws_the_banner_away_and_misses_the_menu_gets_through_with_a_reset(board: MenuBoard) -> None:
    """The timing of Himax's xmodem_send.py: its flush after opening eats the banner, and it sends a key only after a line."""
    assert board.started.wait(WAIT_S)
    board.started.clear()
    with Button(board.line.reset) as button, serial.Serial(board.port, 921600, timeout=1) as port:
        assert board.started.wait(WAIT_S), "opening it was a reset; the window is over, and the firmware runs"
        port.reset_input_buffer()
        assert port.readline() == b"", "nothing more comes by itself, however long it waits"
        press(button)
        line_with(port, MENU, b"1\r")
        time.sleep(1)
        port.reset_input_buffer()
        port.write(b"1\r")
        modem = xmodem.XMODEM(
            lambda count, timeout=1: port.read(count), lambda data, timeout=1: port.write(data), "xmodem"
        )
        for number, content in enumerate((PREAMBLE[:128], CONTENT)):
            if number:
                line_with(port, QUESTION)
            time.sleep(1)
            port.reset_input_buffer()
            port.write(b"n\r")
            assert modem.send(io.BytesIO(content))
        line_with(port, QUESTION)
        board.started.clear()
        port.write(b"y\r")
    assert is_flashed(board)
    assert board.started.wait(WAIT_S)


def test_himaxs_own_script_gets_through_with_a_reset(board: MenuBoard, tmp_path: Path) -> None:
    script = os.environ.get(SCRIPT, "")
    if not script:
        pytest.skip(
            f"{SCRIPT}= names no xmodem_send.py (HimaxWiseEyePlus/Seeed_Grove_Vision_AI_Module_V2, folder xmodem)"
        )
    model, heard = tmp_path / "model.tflite", tmp_path / "heard"
    model.write_bytes(CONTENT[:20_000])
    argv = [sys.executable, "-u", script, "--port", board.port, "--baudrate", "921600", "--protocol", "xmodem"]
    argv += [f"--model={model} {MODEL:#x} 0x00000"]
    with (
        Button(board.line.reset) as button,
        heard.open("wb") as log,
        subprocess.Popen(argv, stdout=log, stderr=log) as client,
    ):
        try:
            until, since, before = time.monotonic() + WAIT_S, time.monotonic(), b""
            while not is_flashed(board, CONTENT[:20_000]) and client.poll() is None and time.monotonic() < until:
                text = heard.read_bytes()
                since, before = since if text == before else time.monotonic(), text
                # A person presses where it says "Please press reset button!!", and then nothing for a while.
                if b"press reset" in text and MENU not in text and time.monotonic() > since + 2:
                    press(button)
                    since = time.monotonic()
                time.sleep(0.05)
        finally:
            client.kill()
    assert is_flashed(board, CONTENT[:20_000]), heard.read_text(errors="replace")[-2000:]

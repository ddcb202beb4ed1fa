"""`make board`: what it says of its port and of its RESET button, and that both work while it stands."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import serial

from edgewright.boards import actions, bundles
from edgewright.boards.virtual.board import VirtualBoard
from edgewright.boards.virtual.terminal import Terminal
from edgewright.config import load_project
from tests.conftest import ROOT

PROJECT = load_project(ROOT)
WAIT_S = 10.0


@pytest.fixture
def stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Stand a Grove up, without a network, as the command does; yield what it prints."""
    device, said, standing = PROJECT.devices["grove-vision-ai-v2"], list[str](), list[VirtualBoard]()

    @contextmanager
    def kept(walk: Any, firmware: Any, pictures: Any, connect: Any, **terms: Any) -> Iterator[VirtualBoard]:
        interpreter: Any = SimpleNamespace()
        board = bundles.board_of(device)
        standing.append(
            VirtualBoard(
                board, firmware, tmp_path, interpreter, lambda wiring: Terminal(tmp_path / "port", wiring), **terms
            )
        )
        yield standing[0]

    monkeypatch.setattr("edgewright.boards.rehearsal.kept", kept)
    monkeypatch.setattr("edgewright.log.say", lambda name, text, style="": said.append(text))
    plan = SimpleNamespace(firmware=PROJECT.firmwares[device.firmware], device=device)
    walk: Any = SimpleNamespace(plan=plan)
    (tmp_path / "picture.png").touch()
    thread = threading.Thread(target=actions.stand_up, args=(walk, None, str(tmp_path / "picture.png"), "", ""))
    thread.start()
    until = time.monotonic() + WAIT_S
    while not any(text.startswith("RESET") for text in said) and time.monotonic() < until:
        time.sleep(0.01)
    yield said
    standing[0].stop()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_it_says_how_to_press_reset_and_that_brings_the_boot_menu(stands: list[str], tmp_path: Path) -> None:
    (found,) = filter(None, (re.fullmatch(r"RESET: echo reset \| nc (\S+) (\d+)", text) for text in stands))
    with serial.Serial(str(tmp_path / "port"), timeout=WAIT_S) as client:
        assert client.read_until(b"INIT@STAT?"), "it has started, and nobody wanted the menu"
        time.sleep(0.2)
        client.reset_input_buffer()
        with socket.create_connection((found[1], int(found[2])), timeout=WAIT_S) as button:
            button.sendall(b"reset\n")
            assert button.recv(100) == b"done\n"
        assert client.read_until(b"waiting input key").endswith(b"waiting input key")
        client.write(b"1")
        assert client.read_until(b"burn FW image").endswith(b"burn FW image")
    assert "RESET is pressed" in stands

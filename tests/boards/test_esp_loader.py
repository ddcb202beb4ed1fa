"""The loader "esptool" and the library as they are, against a virtual board's ROM: over a terminal, and over RFC 2217."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import serial
from toy_board import PROJECT, Toy, model_of, standing

from edgewright.boards import bundles, esp
from edgewright.boards.esp import EspLoader
from edgewright.boards.flash import Target
from edgewright.boards.loader import Write, Written
from edgewright.boards.virtual.board import VirtualBoard, plugged_in
from edgewright.boards.virtual.line import Faults
from edgewright.boards.virtual.telnet import Telnet
from edgewright.errors import BoardFailed

DEVICE = next(d for d in PROJECT.devices.values() if d.board and d.board.loader == "esptool")
BOARD = bundles.board_of(DEVICE)
ADDRESS = PROJECT.firmwares[DEVICE.firmware].address
RANDOM = bytes(range(8)) + random.Random(0).randbytes(300_000)  # which nothing compresses

Standing = Callable[[Faults], tuple[VirtualBoard, Target]]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Standing]:
    began = []

    def start(faults: Faults) -> tuple[VirtualBoard, Target]:
        context = standing(DEVICE, tmp_path / "board", Toy(), faults)
        began.append(context)
        return context.__enter__()

    yield start
    for context in began:
        context.__exit__(None, None, None)


def flash(folder: Path, port: str, content: bytes, watch: Callable[[int, int, str], None] = lambda *_: None) -> Written:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return EspLoader().write(port, BOARD, [Write(path, ADDRESS)], watch)


@pytest.mark.parametrize("content", [model_of(100_001), RANDOM], ids=["compresses", "does not"])
def test_every_byte_arrives_and_nothing_beside_it_changes(
    stand: Standing, tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    board, target = stand(Faults())
    board.memory.program(ADDRESS - 4, b"mine")
    before = board.memory.read(0, ADDRESS)
    dones: list[int] = []
    written = flash(tmp_path, target.port, content, lambda done, total, _: dones.append(done))
    assert (written.chip, written.bytes) == (BOARD.chip, len(content))
    assert board.memory.read(ADDRESS, len(content)) == content
    assert board.memory.read(0, ADDRESS) == before
    assert dones == sorted(dones)
    assert dones[-1] == len(content)
    assert capfd.readouterr() == ("", "")


def test_control_lines_over_a_network_lead_into_the_loader_and_out_of_it(tmp_path: Path) -> None:
    said: list[str] = []
    virtual = VirtualBoard(
        BOARD, PROJECT.firmwares[DEVICE.firmware], tmp_path / "board", Toy(), Telnet, say=said.append
    )
    with plugged_in(virtual) as port:
        flash(tmp_path, port, RANDOM)
        assert virtual.memory.read(ADDRESS, len(RANDOM)) == RANDOM
    assert said[-1].startswith("runs ")
    assert said.count("runs its loader") == 1


@pytest.mark.parametrize("after", [1, 40, 10_000, 60_000, 305_000])
def test_a_board_that_is_unplugged_at_any_byte_takes_the_next_flash(
    stand: Standing, tmp_path: Path, after: int
) -> None:
    board, target = stand(Faults(unplug=after))
    with pytest.raises(BoardFailed, match=r"^unplugged"):
        flash(tmp_path, target.port, RANDOM)
    while not Path(target.port).exists():
        pass
    flash(tmp_path, target.port, RANDOM)
    assert board.memory.read(ADDRESS, len(RANDOM)) == RANDOM


def test_after_ctrl_c_in_the_middle_the_port_is_free_and_the_next_flash_works(stand: Standing, tmp_path: Path) -> None:
    board, target = stand(Faults())

    def interrupt(done: int, *_: object) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(
        KeyboardInterrupt, match=r"^interrupted after 1\d\d,\d\d\d of 300,008 bytes: .*model is incomplete"
    ):
        flash(tmp_path, target.port, RANDOM, interrupt)
    serial.Serial(target.port, exclusive=True).close()
    flash(tmp_path, target.port, RANDOM)
    assert board.memory.read(ADDRESS, len(RANDOM)) == RANDOM


def test_another_chip_is_not_written_to(stand: Standing, tmp_path: Path) -> None:
    board, target = stand(Faults(wrong_chip=True))
    before = board.memory.read(0, BOARD.flash_bytes)
    with pytest.raises(BoardFailed, match=r"this is an ESP32-C3, not an ESP32-S3; nothing was written$"):
        flash(tmp_path, target.port, RANDOM)
    assert board.memory.read(0, BOARD.flash_bytes) == before


@pytest.mark.parametrize("faults", [Faults(flip=1e-3), Faults(drop=1e-3)], ids=["flipped", "dropped"])
def test_a_bad_line_ends_in_an_error_or_in_the_right_bytes(
    stand: Standing, tmp_path: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(esp, "ATTEMPTS", 2)
    board, target = stand(faults)
    with suppress(BoardFailed):
        flash(tmp_path, target.port, RANDOM)
        assert board.memory.read(ADDRESS, len(RANDOM)) == RANDOM


def test_a_port_at_which_nothing_answers_says_how_to_get_into_the_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(esp, "ATTEMPTS", 1)
    master, slave = os.openpty()
    try:
        with pytest.raises(BoardFailed, match=r"^no loader answers on .*; nothing was written$") as problem:
            flash(tmp_path, os.ttyname(slave), RANDOM)
    finally:
        os.close(slave)
        os.close(master)
    assert problem.value.hint == BOARD.download

"""What belongs to one virtual board and one firmware of it, and what goes when the board goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from firmware_talk import Script, Toy, messages

from edgewright.boards.bundles import board_of
from edgewright.boards.virtual.board import MAGIC, OTHER_MODELS_EVERY, VirtualBoard
from edgewright.boards.virtual.line import NONE, Faults
from edgewright.boards.virtual.models import scan
from edgewright.boards.virtual.wire import Reset, Unplugged
from edgewright.config import load_project

PROJECT = load_project(Path(__file__).resolve().parents[2])
XIAO, GROVE = PROJECT.devices["esp32s3"], PROJECT.devices["grove-vision-ai-v2"]


class Nowhere:
    """A transport that nobody is at the other end of."""

    port = "nowhere"

    def receive(self, timeout_s: float) -> bytes:
        raise Unplugged

    def send(self, data: bytes) -> None:
        pass

    def plug(self) -> None:
        pass

    def unplug(self) -> None:
        pass


def made(folder: Path, firmware: str, faults: Faults = NONE) -> VirtualBoard:
    known = PROJECT.firmwares[firmware]
    board = board_of(PROJECT.devices[known.device])
    return VirtualBoard(board, known, folder, Toy(), lambda _: Nowhere(), faults=faults)


def talk(folder: Path, firmware: str, *chunks: bytes) -> list[dict[str, Any]]:
    """Let a board's firmware run, and say what it answered after it had started."""
    board, wire = made(folder, firmware), Script(chunks)
    with pytest.raises(Unplugged):
        board._firmware().run(wire)
    board.stop()
    board.run()
    return [one for one in messages(wire.said) if "INIT@" not in one["name"]]


def test_what_one_firmware_was_told_another_does_not_know(tmp_path: Path) -> None:
    second, first = "esp32s3-sscma-2.x", "esp32s3-sscma-1.x"
    assert talk(tmp_path, second, b"AT+ALGO=-1\r")[0]["code"] == 0
    assert talk(tmp_path, first, b"AT+ALGO?\r")[0]["data"]["type"] == 0
    assert talk(tmp_path, second, b"AT+ALGO?\r")[0]["data"] == {"algorithm": 4294967295}


def test_two_boards_have_two_ids_and_each_keeps_its_own(tmp_path: Path) -> None:
    for firmware in ("grove-vision-ai-v2-sscma-1.x", "grove-vision-ai-v2-sscma-2.x", "esp32s3-sscma-1.x"):
        one, other, again = (talk(tmp_path / name, firmware, b"AT+ID?\r")[0]["data"] for name in ("a", "b", "a"))
        assert one == again != other, firmware


def test_the_models_of_a_full_slot_go_when_the_board_goes_and_what_lay_there_comes_back(tmp_path: Path) -> None:
    firmware = PROJECT.firmwares[XIAO.firmware]
    model = b"\x1c\0\0\0TFL3 a model"
    before = made(tmp_path, XIAO.firmware)
    before.memory.program(firmware.address, model)
    before.stop()
    before.run()
    full = made(tmp_path, XIAO.firmware, Faults(full_slot=True))
    assert len(scan(full.memory, firmware, 1024, packed=True)) == 15
    # One is flashed over: that stays.
    flashed = firmware.address + OTHER_MODELS_EVERY
    full.memory.erase(flashed, 4096)
    full.memory.program(flashed, model + b" of another size")
    full.stop()
    full.run()
    after = made(tmp_path, XIAO.firmware)
    assert [one.address for one in scan(after.memory, firmware, 1024, packed=True)] == [firmware.address, flashed]
    assert after.memory.read(firmware.address, len(model)) == model
    after.stop()
    after.run()


def test_the_models_of_a_full_slot_that_was_killed_are_gone_at_the_next_start(tmp_path: Path) -> None:
    firmware = PROJECT.firmwares[XIAO.firmware]
    made(tmp_path, XIAO.firmware, Faults(full_slot=True)).memory.close()
    again = made(tmp_path, XIAO.firmware)
    assert MAGIC not in again.memory.read(firmware.address, firmware.slot_bytes)
    again.memory.close()


def test_settings_lie_beside_the_flash_under_the_firmwares_name(tmp_path: Path) -> None:
    talk(tmp_path, GROVE.firmware, b'AT+INFO="mine"\r')
    (path,) = tmp_path.glob("settings*")
    assert path.name == f"settings-{GROVE.firmware}.json"
    assert "mine" in json.loads(path.read_text()).values()
    with pytest.raises(Reset):
        talk(tmp_path, GROVE.firmware, b"AT+RST\r")

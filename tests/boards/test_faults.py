"""Every fault of a virtual board against our own flashing: what is told, what is left, and that the next flash succeeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import serial
from toy_board import BOX, POINTS, PROJECT, Toy, make_bundle, model_of, standing

from edgewright import board_report
from edgewright.boards import bundles, menu, questions
from edgewright.boards.flash import flash
from edgewright.boards.virtual.line import Faults
from edgewright.boards.virtual.wire import Memory
from edgewright.config import Device
from edgewright.errors import BoardFailed, DoesNotFit, EdgewrightError, WrongInput

SIZE = 12_000


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up sooner than with a person at the board."""
    monkeypatch.setattr(menu, "MENU_S", 4.0)
    monkeypatch.setattr(questions, "ANSWER_S", 1.0)
    monkeypatch.setattr(questions, "LOAD_S", 5.0)


def try_flash(
    device: Device, place: Path, faults: Faults, *, content: bytes | None = None, firmware: str = ""
) -> dict[str, object]:
    made = make_bundle(place / "dist", device, content or model_of(SIZE))
    toy = Toy()
    with standing(device, place / "board", toy, faults, firmware) as (_, target):
        writes = bundles.writes_of(made, target.firmware, target.board, "")
        found = flash(made, target, writes)
    # `make check` of a release takes what a flash has written into it.
    assert board_report.parse((made.folder / "board.json").read_bytes()).findings(made.manifest) == []
    return found


def told(device: Device, place: Path, faults: Faults, **given: object) -> EdgewrightError:
    with pytest.raises(EdgewrightError) as problem:
        try_flash(device, place, faults, **given)  # type: ignore[arg-type]
    assert problem.value.hint
    assert "\n" not in str(problem.value)
    return problem.value


def flash_of(device: Device, place: Path) -> bytes:
    board = bundles.board_of(device)
    memory = Memory(place / "board" / "flash.bin", board.flash_bytes, board.sector_bytes)
    content = memory.read(0, board.flash_bytes)
    memory.close()
    return content


def test_a_flash_ends_with_the_boards_own_word(device: Device, tmp_path: Path) -> None:
    found = try_flash(device, tmp_path, Faults())
    assert found["algorithm"] == 5
    assert found["detections"] == [[[BOX, POINTS]]]
    assert found["virtual"] is True
    address = PROJECT.firmwares[device.firmware].address
    assert flash_of(device, tmp_path)[address : address + SIZE] == model_of(SIZE)


@pytest.mark.parametrize(
    "faults",
    [Faults(drop=0.0005), Faults(flip=0.0003), Faults(ack=0.02), Faults(slow=460_800)],
    ids=["drop", "flip", "ack", "slow"],
)
def test_a_bad_line_gives_the_right_model_or_a_clear_error(device: Device, tmp_path: Path, faults: Faults) -> None:
    """What is lost on the way is sent again; what cannot be mended is told, and the next flash over a good line succeeds."""
    try:
        try_flash(device, tmp_path, faults)
    except BoardFailed:
        try_flash(device, tmp_path, Faults())
    address = PROJECT.firmwares[device.firmware].address
    assert flash_of(device, tmp_path)[address : address + SIZE] == model_of(SIZE)


@pytest.mark.parametrize("share", [0.02, 0.7])
def test_unplugging_at_any_byte_leaves_the_next_flash_to_succeed(device: Device, tmp_path: Path, share: float) -> None:
    """The firmware and what it keeps are as before."""
    try_flash(device, tmp_path, Faults())  # the board's settings are there
    before = flash_of(device, tmp_path)
    problem = told(device, tmp_path, Faults(unplug=int(SIZE * share)), content=model_of(SIZE + 1))
    assert isinstance(problem, BoardFailed)
    after = flash_of(device, tmp_path)
    firmware, board = PROJECT.firmwares[device.firmware], bundles.board_of(device)
    for region in (*firmware.keeps, *board.keeps):
        low, high = region.range
        assert after[low : high + 1] == before[low : high + 1], region.name
    found = try_flash(device, tmp_path, Faults(), content=model_of(SIZE + 1))
    assert found["algorithm"] == 5


def test_a_chip_of_another_kind_is_refused_before_a_byte_is_written(device: Device, tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "dist", device, model_of(SIZE))
    with standing(device, tmp_path / "board", Toy(), Faults(wrong_chip=True)) as (_, target):
        writes = bundles.writes_of(made, target.firmware, target.board, "")
        with pytest.raises(BoardFailed) as problem:
            flash(made, target, writes)
        assert problem.value.hint
        serial.Serial(target.port, exclusive=True).close()  # it is free
    address = PROJECT.firmwares[device.firmware].address
    assert set(flash_of(device, tmp_path)[address : address + SIZE]) == {0xFF}


def test_a_board_without_firmware_gets_the_model_and_the_person_the_way_to_a_firmware(
    device: Device, tmp_path: Path
) -> None:
    problem = told(device, tmp_path, Faults(no_firmware=True))
    assert "no firmware answers" in str(problem)
    assert "FIRMWARE_IMAGE=" in problem.hint
    image = tmp_path / "image.bin"
    image.write_bytes(b"\xe9" + b"firmware" * 20)
    made = make_bundle(tmp_path / "dist", device, model_of(SIZE))
    with standing(device, tmp_path / "board", Toy()) as (_, target):
        writes = bundles.writes_of(made, target.firmware, target.board, str(image))
        assert flash(made, target, writes)["algorithm"] == 5


def test_older_models_behind_the_new_one_do_not_disturb_it(device: Device, tmp_path: Path) -> None:
    assert try_flash(device, tmp_path, Faults(full_slot=True))["algorithm"] == 5


def test_a_model_that_the_firmware_does_not_take_is_told_as_such(device: Device, tmp_path: Path) -> None:
    problem = told(device, tmp_path, Faults(), content=model_of(SIZE, refused=True))
    assert isinstance(problem, DoesNotFit)
    assert "make verify" in problem.hint


def test_another_firmware_than_the_bundles_is_refused_before_a_byte_is_written(device: Device, tmp_path: Path) -> None:
    other = next(
        name
        for name, one in PROJECT.firmwares.items()
        if one.device == device.name and one.at and one.at.dialect == "2.x"
    )
    problem = told(device, tmp_path, Faults(), firmware=other)
    assert isinstance(problem, WrongInput)
    assert f"FIRMWARE={other}" in problem.hint
    address = PROJECT.firmwares[device.firmware].address
    assert set(flash_of(device, tmp_path)[address : address + SIZE]) == {0xFF}


def rehearse(device: Device, place: Path, width: int = 240, row: object = (BOX, POINTS)) -> dict[str, object]:
    """Flash a bundle whose proof has one frame with one detection."""
    rows = [{"name": "a.jpg", "width": width, "height": 240, "results": [row]}]
    made = make_bundle(place / "dist", device, model_of(SIZE), {"frames": rows})
    with standing(device, place / "board", Toy()) as (_, target):
        writes = bundles.writes_of(made, target.firmware, target.board, "")
        return flash(made, replace(target, frames=["a.jpg"]), writes)


def test_what_a_virtual_board_finds_is_what_was_proved_or_it_is_told_and_not_recorded(
    device: Device, tmp_path: Path
) -> None:
    assert rehearse(device, tmp_path)["agreement"] == {"frames": 1, "equal": 1}
    other = [[118, 131, 94, 180, 86, 0], POINTS]  # its score, by one percent
    with pytest.raises(BoardFailed, match="only 0 of 1 frames give what the proof says"):
        rehearse(device, tmp_path, row=other)
    assert not list(tmp_path.rglob("board.json"))  # the bundle was made anew
    assert rehearse(device, tmp_path, width=1280, row=other)["agreement"] is None  # scaled down: other pixels


def test_a_real_boards_word_is_not_replaced_by_a_virtual_ones(device: Device, tmp_path: Path) -> None:
    rehearse(device, tmp_path)
    (path,) = tmp_path.rglob("board.json")
    path.write_text('{"virtual": false}')
    rehearse(device, tmp_path)
    assert path.read_text() == '{"virtual": false}'

"""What may be written to a board is decided before the first byte is: the bundle's sums, its board, its place in flash."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from edgewright import bundle
from edgewright.boards import bundles, flash
from edgewright.boards.bundles import Bundle
from edgewright.boards.loader import Write
from edgewright.config import Device, load_project
from edgewright.errors import DoesNotFit, EdgewrightError, HashDiffers, WrongInput
from edgewright.firmware import Region

PROJECT = load_project(Path(__file__).resolve().parents[2])
XIAO, GROVE = PROJECT.devices["esp32s3"], PROJECT.devices["grove-vision-ai-v2"]


def make(dist: Path, device: Device = XIAO, *, name: str = "m", size: int = 5000, **changes: Any) -> Path:
    """Write a bundle as `make deploy` does; `changes` are made to its manifest or, as `state`, to its verdict."""
    firmware = PROJECT.firmwares[device.firmware]
    manifest = {
        "device": device.name,
        "firmware": {"name": firmware.name, "address": firmware.address},
        "model": {"sha256": "0", "bytes": size},
        **{key: value for key, value in changes.items() if key != "state"},
    }
    folder = dist / f"{name}-{device.name}-0.1.0"
    report = {"verdict": {"state": changes.get("state", "passes"), "summary": "arena of 2 MiB"}}
    files: dict[str, bundle.Kept | bytes] = {
        "model.tflite": b"\x18\x00\x00\x00TFL3" + bytes(size - 8),
        "manifest.json": json.dumps(manifest).encode(),
        "report.json": json.dumps(report).encode(),
        "labels.txt": b"person\ncar\n",
    }
    bundle.place(folder, files)
    return folder


def refused(made: Bundle, device: Device, image: str = "") -> str:
    try:
        firmware = bundles.firmware_of(PROJECT, made, device)
        bundles.writes_of(made, firmware, bundles.board_of(device), image)
    except EdgewrightError as problem:
        return f"{problem} {problem.hint}"
    pytest.fail("nothing was refused")


def test_what_is_read_of_a_bundle_is_what_was_hashed(tmp_path: Path) -> None:
    folder = make(tmp_path)
    made = bundles.open_bundle(folder)
    (folder / "report.json").write_text("{}")
    (folder / "labels.txt").write_text("other")
    found = made.document("verdict")
    assert found
    assert found["verdict"]["state"] == "passes"
    assert made.labels == ["person", "car"]


def test_a_bundle_of_links_pipes_and_garbage_is_refused_in_a_line(tmp_path: Path) -> None:
    folder = make(tmp_path)
    kept = (folder / "labels.txt").read_bytes()
    (folder / "labels.txt").unlink()
    for make_odd in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        make_odd(folder / "labels.txt")
        with pytest.raises(HashDiffers, match=r"labels\.txt: a (pipe|link), neither a plain file nor a folder"):
            bundles.open_bundle(folder)
        (folder / "labels.txt").unlink()
    (folder / "labels.txt").write_bytes(kept)
    for name, content in (("manifest.json", b"[]"), ("manifest.json", b"\xff"), ("report.json", b"[" * 100_000)):
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "SHA256SUMS"}
        bundle.place(tmp_path / "odd", {**files, name: content})
        with pytest.raises(WrongInput, match=f"{name}: not as Edgewright writes it"):
            bundles.open_bundle(tmp_path / "odd").document("verdict")


def test_a_bundle_goes_to_the_address_of_its_firmware(tmp_path: Path) -> None:
    made = bundles.open_bundle(make(tmp_path))
    firmware = bundles.firmware_of(PROJECT, made, XIAO)
    assert bundles.writes_of(made, firmware, bundles.board_of(XIAO), "") == [Write(made.model, 0x400000)]
    assert made.labels == ["person", "car"]


def test_the_newest_bundle_of_the_device_is_taken_or_the_one_that_is_named(tmp_path: Path) -> None:
    old, new = make(tmp_path, name="old"), make(tmp_path, name="new")
    make(tmp_path, GROVE, name="other")
    os.utime(old / "manifest.json", (1, 1))
    assert bundles.find(tmp_path, XIAO, "", "").folder == new
    assert bundles.find(tmp_path, XIAO, "old", "").folder == old
    assert bundles.find(tmp_path, XIAO, "", str(old)).folder == old
    second = make(tmp_path, name="second", firmware={"name": "esp32s3-sscma-2.x", "address": 0x400000})
    os.utime(second / "manifest.json", (2, 2))
    assert bundles.find(tmp_path, XIAO, firmware="esp32s3-sscma-2.x").folder == second
    for name, given, firmware, told in (
        ("none", "", "", "make deploy DEVICE=esp32s3 NAME=none"),
        ("old", "", "esp32s3-sscma-2.x", "make deploy DEVICE=esp32s3 FIRMWARE=esp32s3-sscma-2.x"),
        ("", str(tmp_path), "", "no bundle"),
        ("", str(tmp_path / "x"), "", "no bundle"),
    ):
        with pytest.raises(WrongInput) as problem:
            bundles.find(tmp_path, XIAO, name, given, firmware)
        assert told in f"{problem.value} {problem.value.hint}"


def test_where_no_bundle_is_asked_for_by_its_name_there_need_be_none(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "manifest.json").write_text("[" * 100_000)
    assert bundles.find_any(tmp_path, XIAO, "", "") is None
    with pytest.raises(WrongInput, match="NAME=m: nothing like that"):
        bundles.find_any(tmp_path, XIAO, "m", "")
    folder = make(tmp_path)
    for name, firmware in (("", ""), ("m", ""), ("", XIAO.firmware)):
        found = bundles.find_any(tmp_path, XIAO, name, firmware)
        assert found
        assert found.folder == folder
    (folder / "labels.txt").write_text("other")
    with pytest.raises(HashDiffers):
        bundles.find_any(tmp_path, XIAO, "", "")


@pytest.mark.parametrize("name", ["model.tflite", "manifest.json", "report.json", "SHA256SUMS"])
def test_a_bundle_of_which_one_bit_is_not_as_listed_is_refused(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[-9] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(HashDiffers):
        bundles.open_bundle(folder)


def test_a_missing_file_and_one_too_many_are_refused_but_not_what_a_board_has_left(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "board.json").write_text("{}")
    bundles.open_bundle(folder)
    (folder / "odd.txt").touch()
    with pytest.raises(HashDiffers, match=r"odd\.txt: not in SHA256SUMS"):
        bundles.open_bundle(folder)
    (folder / "odd.txt").unlink()
    (folder / "labels.txt").unlink()
    with pytest.raises(HashDiffers, match=r"labels\.txt: missing"):
        bundles.open_bundle(folder)


def test_a_bundle_that_is_written_again_unchanged_keeps_what_the_board_said(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "board.json").write_text("{}")
    make(tmp_path)
    assert (folder / "board.json").exists()
    make(tmp_path, size=6000)
    assert not (folder / "board.json").exists()


def test_another_boards_bundle_is_refused(tmp_path: Path) -> None:
    made = bundles.open_bundle(make(tmp_path, GROVE))
    assert "was made for grove-vision-ai-v2, not esp32s3 DEVICE=grove-vision-ai-v2" in refused(made, XIAO)


def test_another_address_is_refused(tmp_path: Path) -> None:
    wrong = {"name": GROVE.firmware, "address": 0x3BB000}
    made = bundles.open_bundle(make(tmp_path, GROVE, firmware=wrong))
    assert "address 0x3bb000, but grove-vision-ai-v2-sscma-1.x reads its model at 0x400000" in refused(made, GROVE)


def test_a_firmware_that_answers_nobody_is_refused(tmp_path: Path) -> None:
    silent = {"name": "grove-vision-ai-v2-himax-pose", "address": 0x3BB000}
    made = bundles.open_bundle(make(tmp_path, GROVE, firmware=silent))
    assert "answers no command" in refused(made, GROVE)


def test_what_failed_its_proof_is_refused(tmp_path: Path) -> None:
    made = bundles.open_bundle(make(tmp_path, state="fails"))
    assert "arena of 2 MiB" in refused(made, XIAO)


def test_a_model_too_large_for_its_slot_is_refused(tmp_path: Path) -> None:
    made = bundles.open_bundle(make(tmp_path, size=0x400001))
    assert "4,194,305 bytes, and the slot at 0x400000 has 4,194,304" in refused(made, XIAO)


@pytest.mark.parametrize(
    "region", [Region(name="x", range=(0x400FFF, 0x400FFF)), Region(name="x", range=(0x401FFF, 0x500000))]
)
def test_what_a_board_keeps_in_flash_is_not_touched_not_even_by_erasing_a_sector(
    tmp_path: Path, region: Region
) -> None:
    made = bundles.open_bundle(make(tmp_path))
    firmware = bundles.firmware_of(PROJECT, made, XIAO)
    keeping = firmware.model_copy(update={"keeps": (region,)})
    with pytest.raises(DoesNotFit, match="would overwrite x"):
        bundles.writes_of(made, keeping, bundles.board_of(XIAO), "")
    behind = firmware.model_copy(update={"keeps": (Region(name="x", range=(0x402000, 0x402000)),)})
    bundles.writes_of(made, behind, bundles.board_of(XIAO), "")


@pytest.mark.parametrize("device", [XIAO, GROVE], ids=lambda device: device.name)
def test_no_firmware_with_commands_reads_its_model_from_what_is_kept(device: Device) -> None:
    board = bundles.board_of(device)
    for firmware in PROJECT.firmwares.values():
        if firmware.device != device.name or not firmware.at:
            continue
        last = firmware.address + firmware.slot_bytes - 1
        assert last < board.flash_bytes, firmware.name
        for region in (*firmware.keeps, *board.keeps):
            assert region.range[1] < firmware.address or region.range[0] > last, (firmware.name, region.name)


def test_a_vendors_firmware_goes_first_and_only_if_it_is_one(tmp_path: Path) -> None:
    made = bundles.open_bundle(make(tmp_path))
    image = tmp_path / "merged.bin"
    image.write_bytes(b"\xe9" + bytes(99))
    firmware = bundles.firmware_of(PROJECT, made, XIAO)
    writes = bundles.writes_of(made, firmware, bundles.board_of(XIAO), str(image))
    assert writes == [Write(image, 0), Write(made.model, 0x400000)]
    for content, told in (
        (b"\x00" * 99, "no firmware for this chip: it begins with 00000000"),
        (b"", "no firmware for this chip"),
        (b"\xe9" + bytes(0x400000), "a firmware has at most 4,194,304"),
    ):
        image.write_bytes(content)
        assert told in refused(made, XIAO, str(image))
    assert "no such file get it from github.com/" in refused(made, XIAO, str(tmp_path / "none.bin"))
    grove = bundles.open_bundle(make(tmp_path, GROVE))
    assert "this is a model MODEL=" in refused(grove, GROVE, str(grove.model))


@pytest.mark.parametrize(
    "before",
    ["", "{", "[" * 100_000, '{"virtual": true}', '"virtual"'],
    ids=["empty", "torn", "deep", "virtual", "text"],
)
def test_what_is_no_real_boards_word_is_replaced_by_a_virtual_ones(tmp_path: Path, before: str) -> None:
    path = tmp_path / "board.json"
    path.write_text(before)
    flash._save(path, {"virtual": True, "id": "new"})
    assert json.loads(path.read_text())["id"] == "new"


def test_a_real_boards_word_is_replaced_by_a_real_ones_only(tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    flash._save(path, {"virtual": False, "id": "old"})
    flash._save(path, {"virtual": True, "id": "new"})
    assert json.loads(path.read_text())["id"] == "old"
    flash._save(path, {"virtual": False, "id": "new"})
    assert json.loads(path.read_text())["id"] == "new"

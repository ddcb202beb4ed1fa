"""What 1.x and 2.x answer is read into the same values; which firmware it was is told by the version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from at_board import MODEL, MODEL_2, PERSON, POINTS, POSE, RESULT, RESULT_2, STARTED, STARTED_2

from edgewright.boards import dialects
from edgewright.boards.dialects import Algorithm, Event, Model, Version
from edgewright.config import load_project

FIRMWARES = load_project(Path(__file__).resolve().parents[2]).firmwares
KNOWN = [
    ("2025.01.02", "1", ["esp32s3-sscma-1.0-head", "esp32s3-sscma-1.x", "grove-vision-ai-v2-sscma-1.x"]),
    ("v2024.02.01", "0", ["esp32s3-sscma-1.x", "grove-vision-ai-v2-sscma-2024-01"]),
    ("2024.11.25", "XIAO(ESP32S3)", ["esp32s3-sscma-2.x"]),
    ("2024.11.13", "HX6539", ["grove-vision-ai-v2-sscma-2.x"]),
    ("2024.11.13", "HX65390", []),
    ("someone's own", "3", ["esp32s3-sscma-1.x"]),
]


@pytest.mark.parametrize(("software", "hardware", "names"), KNOWN)
def test_a_version_tells_which_firmwares_can_have_given_it(software: str, hardware: str, names: list[str]) -> None:
    fits = dialects.which_firmware(Version(software, hardware), FIRMWARES.values())
    assert [firmware.name for firmware in fits] == names


def test_every_build_that_a_firmware_file_names_is_told_to_be_it() -> None:
    hardware = {"XIAO\\(ESP32S3\\)": "XIAO(ESP32S3)", "HX653[89]": "HX6538", "\\d+": "1"}
    for firmware in FIRMWARES.values():
        if at := firmware.at:
            version = Version(at.built, hardware[at.hardware])
            assert firmware in dialects.which_firmware(version, [firmware]), firmware.name
            assert dialects.detect(version).name == at.dialect


def test_the_dates_of_a_firmware_are_both_its_own() -> None:
    may = FIRMWARES["grove-vision-ai-v2-sscma-2024-05"]
    dates = ("2024.05.21", "2024.05.22", "v2024.10.14", "2024.10.15")
    assert [bool(dialects.which_firmware(Version(date, "1"), [may])) for date in dates] == [False, True, True, False]


def test_a_model_is_known_by_its_address_where_that_is_one_in_flash_and_else_by_its_id() -> None:
    first, second = dialects.detect(Version("2025.01.02", "1")), dialects.detect(Version("2024.11.13", "HX6538"))
    seen = dialects.read_models([{**MODEL, "id": 2, "address": 0x600000}, MODEL])
    mapped = dialects.read_models({"models": [MODEL_2]})
    assert first.find(seen, 0x400000) == Model(1, 0x400000)
    assert first.find(seen, 0x500000) is None
    assert second.find(mapped, 0x400000) == Model(1, 1010827264)
    assert second.find(dialects.read_models({"models": []}), 0x400000) is None


def test_an_invoke_has_the_arguments_that_each_dialect_takes() -> None:
    first, second = (dialects.detect(Version("", hardware)) for hardware in ("1", "HX6538"))
    assert first.invoke.format(frames=4, bare=1) == "4,0,1"
    assert second.invoke.format(frames=-1, bare=0) == "-1,0"


def test_both_dialects_results_are_read_into_the_same_event() -> None:
    person: Any = tuple(PERSON)
    points: Any = tuple(map(tuple, POINTS))
    common: dict[str, Any] = {"perf": (8, 62, 1), "width": 240, "height": 240}
    assert dialects.read_event(RESULT) == Event("keypoints", keypoints=((person, points),), **common)
    assert dialects.read_event(RESULT_2) == Event("boxes", boxes=(person,), **common)
    empty = {"count": 1, "perf": [8, 62, 1], "boxes": [], "image": "/9j/"}
    assert dialects.read_event(empty) == Event("boxes", perf=(8, 62, 1), image="/9j/")
    assert dialects.read_event({"count": 1, "perf": [8, 62, 1]}).kind == "none"


def test_the_chosen_algorithm_is_read_with_its_limits_if_it_has_any() -> None:
    assert dialects.read_algorithm(STARTED) == Algorithm(5, 50, 45)
    assert dialects.read_algorithm(STARTED_2) == Algorithm(8, 25, 45)
    assert dialects.read_algorithm({"algorithm": {"type": 4, "categroy": 3, "input_from": 1}}) == Algorithm(4)


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (dialects.read_version, {"software": "2025.01.02"}),
        (dialects.read_version, "2025.01.02"),
        (dialects.read_version, None),
        (dialects.read_models, {"model": []}),
        (dialects.read_models, [{"id": 1}]),
        (dialects.read_models, None),
        (dialects.read_algorithm, {"algorithm": 5}),
        (dialects.read_algorithm, {"algorithm": {**POSE, "config": 50}}),
        (dialects.read_algorithm, None),
        (dialects.read_event, {"boxes": [PERSON]}),  # no perf
        (dialects.read_event, {**RESULT, "perf": [8, 62]}),
        (dialects.read_event, {**RESULT, "resolution": 240}),
        (dialects.read_event, {**RESULT, "resolution": [240]}),
        (dialects.read_event, {**RESULT, "keypoints": [[PERSON[:5], POINTS]]}),
        (dialects.read_event, {**RESULT_2, "boxes": [[*PERSON[:5], None]]}),
        (dialects.read_event, None),
    ],
)
def test_what_is_left_of_an_answer_that_lost_bytes_is_none(read: Any, data: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # pydantic's own, or ours
        read(data)

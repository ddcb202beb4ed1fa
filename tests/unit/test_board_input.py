"""Whatever a board says, by mistake or on purpose: an answer or a refusal, in bounded time and on one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest
from at_board import BOOTED, FIRST, POINTS, POSE, RESULT, RESULT_2, SECOND, STARTED, STARTED_2, FakePort, frame
from hypothesis import given
from hypothesis import strategies as some

from edgewright.boards import dialects, questions
from edgewright.boards.at import Client
from edgewright.boards.dialects import Event, read_event
from edgewright.boards.frames import CODES, DEEPEST, TEXT, Frames
from edgewright.boards.monitor import watch
from edgewright.config import load_project
from edgewright.errors import BoardFailed, DoesNotFit, WrongInput
from tests.conftest import ROOT

FIRMWARES = load_project(ROOT).firmwares
READERS: list[Callable[[Any], Any]] = [
    dialects.read_version,
    dialects.read_name,
    dialects.read_models,
    dialects.read_algorithm,
    dialects.read_event,
]
SEEDS = [RESULT, RESULT_2, STARTED, STARTED_2, [STARTED["model"]], {"software": "2025.01.02", "hardware": "1"}, "id"]
WIDEST = 320  # letters of a line of `make monitor`

numbers = some.integers(-(10**400), 10**400) | some.integers(-5, 300) | some.floats() | some.booleans() | some.none()
texts = some.text(max_size=20)
values = some.recursive(
    numbers | texts, lambda inner: some.lists(inner, max_size=4) | some.dictionaries(texts, inner, max_size=4)
)


@some.composite
def changed(draw: some.DrawFn, seed: Any) -> Any:
    """Return a value like `seed`, in which some part is another one, missing, or there twice."""
    if draw(some.integers(0, 5)) == 0:
        return draw(values)
    if isinstance(seed, dict):
        found = {key: draw(changed(value)) for key, value in seed.items()}
        return {key: value for key, value in found.items() if draw(some.integers(0, 12))}
    if isinstance(seed, list | tuple):
        return [draw(changed(value)) for value in seed for _ in range(draw(some.sampled_from([0, 1, 1, 1, 1, 2])))]
    return seed


@some.composite
def damaged(draw: some.DrawFn, seed: bytes) -> bytes:
    """Return bytes like `seed`, of which some were lost, turned, or came in between."""
    content = bytearray(seed)
    for _ in range(draw(some.integers(0, 4))):
        at = draw(some.integers(0, len(content)))
        content[at : at + draw(some.integers(0, 8))] = draw(
            some.binary(max_size=6) | some.sampled_from([b"9" * 500, b"[" * 2000])
        )
    return bytes(content)


def is_short(value: Any) -> bool:
    """Whether every number in it can be shown."""
    return all(len(word) <= 200 for word in json.dumps(value).replace("[", " ").replace(",", " ").split())


@given(some.sampled_from(SEEDS).flatmap(changed) | values)
def test_an_answer_is_read_or_refused(data: Any) -> None:
    for read in READERS:
        try:
            found = read(data)
        except ValueError:
            continue
        assert not isinstance(found, Event) or is_short(
            [found.perf, found.boxes, found.keypoints, found.width, found.height]
        )


@given(some.lists(some.sampled_from([RESULT, RESULT_2]).flatmap(changed), max_size=3))
def test_a_frame_is_one_line_of_text_whatever_is_in_it(contents: list[Any]) -> None:
    events = []
    for content in contents:
        try:
            events.append(read_event(content))
        except ValueError:
            continue
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgewright.log.say", lambda name, text, style="": printed.append(name + text))
        watch(events, ["person"], close=lambda: None)
    assert len(printed) == len(events) + 1
    assert all(len(line) < WIDEST for line in printed)


@pytest.mark.parametrize("score", [10**400, 10**300, 1e300, -(10**400), float("nan"), 2**32])
def test_a_number_that_no_firmware_has_is_a_result_that_came_broken(score: Any) -> None:
    for result in (
        {**RESULT, "keypoints": [[[118, 131, 94, 180, score, 0], POINTS]]},
        {**RESULT, "keypoints": [[[118, 131, 94, 180, 87, 0], [[score, 60, 95, 0]]]]},
        {**RESULT_2, "boxes": [[score, 131, 94, 180, 87, 0]]},
        {**RESULT, "perf": [8, score, 1]},
        {**RESULT, "resolution": [score, 240]},
        {**RESULT_2, "width": score},
    ):
        client = Client(FakePort(waiting=frame(1, "INVOKE", 0, result) + frame(1, "INVOKE", 0, RESULT)))
        assert client.event(0.1) is None
        assert client.event(0.1) == read_event(RESULT)


def test_no_more_detections_are_taken_than_any_decoder_finds() -> None:
    with pytest.raises(ValueError, match="at most 10000"):
        read_event({**RESULT_2, "boxes": [[1, 1, 1, 1, 1, 1]] * 10_001})


def test_numbers_of_the_answers_are_bounded_as_well() -> None:
    for reader, content in (
        (dialects.read_algorithm, {"algorithm": {**POSE, "type": 10**300}}),
        (dialects.read_algorithm, {"algorithm": {**POSE, "config": {"tscore": 10**300}}}),
        (dialects.read_models, [{"id": 1, "address": 10**300}]),
        (dialects.read_version, {"software": "1" * 10_000, "hardware": "1"}),
        (dialects.read_name, "1" * 10_000),
    ):
        with pytest.raises(ValueError, match="validation error"):
            reader(content)


@given(
    some.lists(
        some.sampled_from([*map(str.encode, ["\r", "boot: ok\r\n", "AT+"]), BOOTED, frame(1, "INVOKE", 0, RESULT)])
    )
    .map(b"".join)
    .flatmap(damaged),
    some.integers(1, 400),
)
def test_bytes_are_cut_into_messages_and_nothing_is_kept_for_ever(content: bytes, chunk: int) -> None:
    frames = Frames()
    for at in range(0, len(content), chunk):
        for message in frames.feed(content[at : at + chunk]):
            assert message.code is None or message.code in CODES
            assert not isinstance(message.data, str) or message.type != 2 or message.name or len(message.data) <= TEXT
    assert len(frames._buffer) <= len(content)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_what_is_nested_without_end_is_a_broken_frame(opening: str) -> None:
    for depth in (DEEPEST, 400, 5000, 100_000):
        nested = opening * depth + "1" + ("]" if opening == "[" else "}") * depth
        content = b'\r{"type": 0, "name": "VER?", "code": 0, "data": ' + nested.encode() + b"}\n"
        (message,) = Frames().feed(content)
        assert (message.name, message.code, message.data) == ("VER?", None, None)


@given(
    some.sampled_from(sorted({*FIRST, *SECOND})).flatmap(lambda command: some.tuples(some.just(command), some.data()))
)
def test_a_command_gets_a_reply_or_a_failure(case: tuple[str, some.DataObject]) -> None:
    command, data = case
    answer = FIRST.get(command) or SECOND[command]
    assert callable(answer)
    content = answer(f"A@{command.partition('=')[0]}")
    port = FakePort({command: data.draw(damaged(content))})
    said, code = "", 0
    try:
        code = Client(port).ask(command, timeout_s=0.003).code
    except BoardFailed as problem:
        said = str(problem)
    assert code in CODES
    assert len(said) < WIDEST


@given(some.sampled_from([FIRST, SECOND]), some.data())
def test_an_interrogation_ends_with_answers_or_one_error(board: Any, data: some.DataObject) -> None:
    name = data.draw(some.sampled_from(sorted({*board} - {"EDGEWRIGHT?"})))
    content = board[name](f"X@{name.partition('=')[0]}")
    seed = json.loads(content[: content.index(b"\n")])["data"]
    # How often it is asked is a matter of time, so what it says is drawn before.
    says = cycle(data.draw(some.lists(changed(seed), min_size=1, max_size=4), label=name))
    answers = {**board, name: lambda tagged: frame(0, tagged, 0, next(says))}
    firmware = FIRMWARES["esp32s3-sscma-1.x"]
    assert firmware.at
    firmware = firmware.model_copy(update={"at": firmware.at.model_copy(update={"boot_s": 0})})
    said, found = "", None
    with pytest.MonkeyPatch.context() as patch:
        for wait in ("ANSWER_S", "QUIET_S", "LOAD_S"):
            patch.setattr(questions, wait, 0.002)
        client, known = Client(FakePort(answers)), FIRMWARES.values()
        terms: dict[str, Any] = {"address": 0x400000, "expected_algorithm": 5, "wait_boot": False}
        try:
            found = questions.interrogate(client, firmware, known, **terms, frame_timeout_s=0.002)
        except (BoardFailed, DoesNotFit, WrongInput) as problem:
            said = str(problem)
    assert bool(said) != bool(found)
    assert len(said) < 4 * WIDEST
    assert not found or json.dumps(found.as_json(), ensure_ascii=False).encode()

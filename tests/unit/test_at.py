"""The AT client: it finds frames in whatever comes, asks again where that is safe, and never waits for ever."""

from __future__ import annotations

import time
from itertools import islice

import pytest
from at_board import BOOTED, RESULT, FakePort, frame, says
from serial import SerialTimeoutException

from edgewright.boards.at import Client, NoAnswer, Restarted, ResultFailed
from edgewright.boards.frames import Frames, Message
from edgewright.errors import BoardFailed

ROM = b"ESP-ROM:esp32s3-20210327\r\nrst:0x1 (POWERON),boot:0x8\r\n\x1b[0;32mI (53) boot: ok\x1b[0m\r\n"
VERSION = {"software": "2025.01.02", "hardware": "1"}


def named(data: bytes, chunk: int = 1 << 20) -> list[tuple[str, int | None]]:
    """Return name and code of each frame in what comes `chunk` bytes at a time."""
    frames, found = Frames(), list[Message]()
    for start in range(0, len(data), chunk):
        found += frames.feed(data[start : start + chunk])
    return [(message.name, message.code) for message in found if message.name]


@pytest.mark.parametrize("chunk", [1, 3, 17, 1 << 20])
def test_frames_are_found_between_boot_logs_half_lines_and_control_bytes(chunk: int) -> None:
    half = frame(0, "ID?", 0, "1a2b3c4d")[:30]
    himax = b"\xff\xfe\xfd\x00" + frame(1, "INVOKE", 0, {"count": 0}) + b"\x00\xff"
    data = ROM + b"\x00\x00" + BOOTED + half + frame(0, "VER?", 0, {}, compact=True) + himax + b"}\n{}\n" + BOOTED
    assert named(data, chunk) == [("INIT@STAT?", 0), ("ID?", None), ("VER?", 0), ("INVOKE", 0), ("INIT@STAT?", 0)]


def test_tables_inside_a_frame_do_not_begin_one() -> None:
    algorithms = frame(0, "ALGOS?", 0, [{"type": 5, "categroy": 2}, {"type": 8, "categroy": 1}])
    assert named(algorithms + BOOTED) == [("ALGOS?", 0), ("INIT@STAT?", 0)]


def test_whichever_byte_is_lost_only_its_own_frame_suffers() -> None:
    first, second = frame(0, "ID?", 0, "1a2b3c4d"), frame(0, "NAME?", 0, "a board")
    for lost in range(len(first)):
        found = named(first[:lost] + first[lost + 1 :] + second)
        assert found[-1] == ("NAME?", 0)
        assert len(found) <= 2


def test_a_frame_of_a_megabyte_that_comes_in_small_pieces_is_read_in_time_that_grows_with_its_size() -> None:
    data = frame(1, "INVOKE", 0, {"image": "A" * (1 << 20)})
    started = time.monotonic()
    assert named(data, 64) == [("INVOKE", 0)]  # 64: a USB packet
    assert time.monotonic() - started < 1


def test_a_control_character_in_a_message_does_not_make_it_unreadable() -> None:
    assert named(frame(2, "AT", 5, "Unknown: ?").replace(b"?", b"\x1b[0m\n")) == [("AT", 5)]


def test_what_never_ends_is_no_frame_and_fills_no_memory() -> None:
    frames = Frames()
    endless = frame(1, "INVOKE", 0, "x")[:-3]
    for _ in range(5):
        frames.feed(endless + b"A" * (1 << 20))
        endless = b""
    assert len(frames._buffer) < 1 << 20
    assert frames.feed(b"\n" + BOOTED)[-1].name == "INIT@STAT?"


def test_lines_of_text_are_told_with_an_answer_that_they_come_before() -> None:
    def refused(name: str) -> bytes:
        log = frame(2, "TFLM", 0, "Failed to get registration from op code")
        return b"Didn't find op for builtin opcode 'EXP'\r\n" + log + frame(0, name, 2, {})

    reply = Client(FakePort({"MODEL=1": refused})).ask("MODEL=1", timeout_s=1)
    assert reply.code == 2
    assert reply.log == ("Didn't find op for builtin opcode 'EXP'", "Failed to get registration from op code")


def test_an_answer_to_another_question_is_none() -> None:
    port = FakePort({"VER?": lambda name: frame(0, "E77@VER?", 0, {}) + frame(0, "VER?", 0, {}) + frame(0, name, 0, 1)})
    assert Client(port).ask("VER?", timeout_s=1).data == 1


@pytest.mark.parametrize(
    "bad",
    [
        b"",  # nothing at all
        lambda name: frame(0, name, 0, VERSION)[:-20] + b"\n\r\n",  # its end is lost, and the next answer ends it
        lambda name: frame(0, name, 0, VERSION).replace(b'"code": 0', b'"cde": 0'),
        lambda name: frame(2, "AT", 5, f"Unknown command: AT+{name[:-2]}?"),  # a byte was lost on the way there
        lambda name: frame(1, "AT", 5, f"Uknown command: {name[:-2]}?", compact=True),
    ],
)
def test_a_question_is_asked_again_where_its_answer_is_lost_or_broken(bad: bytes) -> None:
    port = FakePort({"VER?": [bad, says(VERSION)]})
    reply = Client(port).ask("VER?", timeout_s=0.3)
    assert (reply.code, reply.data) == (0, VERSION)
    assert port.asked == ["VER?", "VER?"]


def test_what_changes_something_is_sent_once_only() -> None:
    port = FakePort({"MODEL=1": [b"", says({})]})
    with pytest.raises(NoAnswer, match=r"no answer to AT\+MODEL=1 in 0\.05 s"):
        Client(port).ask("MODEL=1", timeout_s=0.05)
    broken = FakePort({"MODEL=1": lambda name: frame(0, name, 0, {}).replace(b"code", b"ode")})
    with pytest.raises(BoardFailed, match=r"the answer to AT\+MODEL=1 came broken: the line loses bytes"):
        Client(broken).ask("MODEL=1", timeout_s=1)
    assert port.asked == broken.asked == ["MODEL=1"]


@pytest.mark.parametrize(
    "unknown",
    [
        lambda name: frame(2, "AT", 5, f"Unknown command: AT+{name}"),
        lambda name: frame(1, "AT", 5, f"Uknown command: {name}", compact=True),
    ],
    ids=["1.x", "2.x"],
)
def test_a_command_that_the_firmware_has_not_is_an_error_at_once(unknown: bytes) -> None:
    port = FakePort({"TSCORE?": unknown})
    reply = Client(port).ask("TSCORE?", timeout_s=1)
    assert reply.code == 5
    assert "known command" in reply.log[-1]
    assert port.asked == ["TSCORE?"]


def test_silence_ends_in_an_error_that_says_how_long_and_what_was_said_last() -> None:
    port = FakePort(waiting=ROM + b"waiting for download\r\n")
    with pytest.raises(
        NoAnswer, match=r"no answer to AT\+VER\? in 0\.06 s; the last it said: 'waiting for download'"
    ) as end:
        Client(port).ask("VER?", timeout_s=0.06)
    assert end.value.hint.startswith("press RESET")
    assert port.asked == ["VER?"] * 3
    with pytest.raises(NoAnswer, match="no result in 0"):
        Client(FakePort()).event(0.01)
    with pytest.raises(NoAnswer, match="no INIT@ in 0"):
        Client(FakePort()).wait_for("INIT@", 0.01)


def test_a_board_that_talks_without_answering_is_not_waited_for_for_ever() -> None:
    class Talker(FakePort):
        def read(self, size: int) -> bytes:
            return frame(1, "INVOKE", 0, RESULT) if size == 1 else b""

    started = time.monotonic()
    with pytest.raises(NoAnswer, match="no answer"):
        Client(Talker()).ask("VER?", timeout_s=0.1)
    assert time.monotonic() - started < 1


class Pulled(FakePort):
    """Goes in the moment that it has taken a command."""

    def write(self, data: bytes) -> int:
        self.gone = True
        return len(data)


def test_a_cable_that_is_pulled_says_when() -> None:
    with pytest.raises(BoardFailed, match=r"unplugged while waiting for the answer to AT\+VER\?") as problem:
        Client(Pulled()).ask("VER?", timeout_s=1)
    assert not isinstance(problem.value, NoAnswer)
    with pytest.raises(BoardFailed, match=r"unplugged while sending AT\+VER\?"):
        Client(FakePort(gone=True)).ask("VER?", timeout_s=1)
    with pytest.raises(BoardFailed, match="unplugged while waiting for a result"):
        Client(FakePort(gone=True)).event(1)
    with pytest.raises(NoAnswer, match=r"takes no bytes: AT\+VER\? could not be sent"):
        Client(FakePort({"VER?": SerialTimeoutException("Write timeout")})).ask("VER?", timeout_s=1)


def test_a_firmware_that_starts_anew_has_crashed_except_where_a_question_comes_early() -> None:
    client = Client(FakePort({"INVOKE=1,1": BOOTED, "VER?": lambda name: BOOTED + frame(0, name, 0, 1)}))
    assert client.ask("VER?", timeout_s=1).data == 1
    with pytest.raises(Restarted, match=r"the firmware crashed and restarted during AT\+INVOKE=1,1"):
        client.ask("INVOKE=1,1", timeout_s=1)
    with pytest.raises(Restarted, match="while it ran the model"):
        Client(FakePort(waiting=BOOTED)).event(1)


def test_results_come_one_by_one_and_broken_ones_are_left_out() -> None:
    whole = [frame(1, "E3@INVOKE", 0, {**RESULT, "perf": [1, time_ms, 1]}) for time_ms in (10, 30)]
    broken = [frame(1, "INVOKE", 0, RESULT).replace(b'"code"', b'"cod'), frame(1, "INVOKE", 0, {"perf": [1]})]
    port = FakePort(waiting=whole[0] + b"".join(broken) + frame(1, "SAMPLE", 0, {}) + whole[1])
    assert [event.perf[1] for event in islice(Client(port).events(1), 2)] == [10, 30]
    client = Client(FakePort(waiting=broken[0]))
    assert client.event(1) is None


def test_a_result_with_a_code_is_a_failure_that_says_why() -> None:
    log = frame(2, "LOG", 0, "no NPU on this machine")
    port = FakePort({"INVOKE=1,0,1": lambda name: frame(0, name, 0, {}) + log + frame(1, name, 10, {"count": 1})})
    client = Client(port)
    client.ask("INVOKE=1,0,1", timeout_s=1)
    with pytest.raises(ResultFailed, match=r"\(code 10\); the last it said: 'no NPU on this machine'") as failed:
        client.event(1)
    assert failed.value.code == 10


def test_results_that_come_with_the_answer_wait_for_who_asks_for_them() -> None:
    port = FakePort({"INVOKE=1,0,1": lambda name: frame(0, name, 0, {}) + frame(1, name, 0, RESULT)})
    client = Client(port)
    assert client.ask("INVOKE=1,0,1", timeout_s=1).code == 0
    event = client.event(0)
    assert event
    assert event.kind == "keypoints"


def test_closing_the_client_closes_the_port_whose_time_out_it_has_set() -> None:
    port = FakePort()
    Client(port).close()
    assert port.closed
    assert port.timeout

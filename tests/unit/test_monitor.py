"""What the board sees, as text: a line a frame, and a summary however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from edgewright.boards.dialects import Event
from edgewright.boards.monitor import OWN, Frame, Timing, watch
from edgewright.errors import BoardFailed

PERSON = (118, 131, 180, 87, 94, 0)
POINTS = tuple((10 * i, 5 * i, 90, i) for i in range(17))
POSE = Event("keypoints", keypoints=((PERSON, POINTS),), perf=(8, 62, 1), width=240, height=240)
NOTHING = Event("keypoints", perf=(8, 60, 1), width=240, height=240)


class Board:
    """A board that sends a frame each 71 ms; `sends` may be an error as well, raised in its turn."""

    def __init__(self, *sends: Event | BaseException) -> None:
        self.sends, self.now, self.stopped = sends, 100.0, 0

    def __iter__(self) -> Iterator[Event]:
        for sent in self.sends:
            if isinstance(sent, BaseException):
                raise sent
            yield sent
            self.now += 0.071

    def stop(self) -> None:
        self.stopped += 1

    def watch(
        self, names: Iterable[str] = ("person",), show: Callable[[Frame], None] | None = None, timing: Timing = OWN
    ) -> None:
        watch(self, list(names), timing, close=self.stop, show=show, clock=lambda: self.now)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_frame_is_a_line_with_what_was_found_the_times_and_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    Board(POSE, POSE).watch()
    first, second, _ = lines(capsys)
    text = "person 0.94 at 118,131 (180×87)  17 points             8 + 62 + 1 ms"
    assert first == f"1        {text}"
    assert second == f"2        {text}   14.1 fps"


def test_nothing_seen_is_a_dash_and_the_times_stay_in_their_column(capsys: pytest.CaptureFixture[str]) -> None:
    Board(POSE, NOTHING).watch()
    seen, nothing, _ = lines(capsys)
    assert nothing.split()[:2] == ["2", "–"]
    assert nothing.index("8 + 60") == seen.index("8 + 62")


def test_the_best_detection_is_told_and_the_others_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    boxes = ((1, 2, 3, 4, 51, 0), (5, 6, 7, 8, 87, 1), (9, 9, 9, 9, 60, 7))
    Board(Event("boxes", boxes=boxes)).watch(["cat", "dog"])
    assert "dog 0.87 at 5,6 (7×8)  +2" in lines(capsys)[0]


def test_a_class_without_a_name_is_told_by_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    Board(Event("boxes", boxes=((1, 2, 3, 4, 51, 7),))).watch(["cat"])
    assert "class 7 0.51" in lines(capsys)[0]


def test_keypoints_that_are_probably_hidden_are_not_counted_as_seen(capsys: pytest.CaptureFixture[str]) -> None:
    points = tuple((0, 0, score, i) for i, score in enumerate((49, 50, 90)))
    Board(Event("keypoints", keypoints=((PERSON, points),))).watch()
    assert "2 of 3 points" in lines(capsys)[0]


def test_ctrl_c_stops_the_board_and_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    board = Board(POSE, NOTHING, POSE, KeyboardInterrupt())
    board.watch()
    assert board.stopped == 1
    summary = lines(capsys)[-1]
    assert summary == "monitor  3 frames, something seen in 2; on average 8 + 61 + 1 ms 14.1 fps"


def test_a_count_that_is_reached_stops_the_board_too(capsys: pytest.CaptureFixture[str]) -> None:
    board = Board(POSE)
    board.watch()
    assert board.stopped == 1
    assert lines(capsys)[-1] == "monitor  1 frame, something seen in 1; on average 8 + 62 + 1 ms"


def test_a_board_that_goes_away_is_an_error_after_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    board = Board(POSE, BoardFailed("unplugged while it sent results"))
    with pytest.raises(BoardFailed, match="unplugged"):
        board.watch()
    assert board.stopped == 0, "nobody is there to be stopped"
    assert lines(capsys)[-1].startswith("monitor  1 frame")


def test_a_board_that_sends_nothing_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    Board(KeyboardInterrupt()).watch()
    assert lines(capsys)[-1] == "monitor  no frame came"


def test_the_rate_is_that_of_the_last_frames_and_slow_boards_have_one_too() -> None:
    frames: list[Frame] = []
    board = Board(*[POSE] * 40)

    def show(frame: Frame) -> None:
        frames.append(frame)
        board.now += 0.929 * (frame.number > 20)

    board.watch(show=show)
    assert frames[0].fps == 0
    assert frames[19].fps == pytest.approx(1 / 0.071)
    assert frames[-1].fps == pytest.approx(1.0)


def test_a_rate_below_one_keeps_two_digits(capsys: pytest.CaptureFixture[str]) -> None:
    board = Board(POSE, POSE)
    board.watch(show=lambda frame: setattr(board, "now", board.now + 6.929))
    assert lines(capsys)[1].endswith("   0.14 fps")


def test_the_time_of_a_virtual_board_is_said_to_be_this_machines_beside_the_estimate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Board(POSE, POSE).watch(timing=Timing(True, (608.4, 2608.0)))
    said = lines(capsys)
    assert said[:2] == [
        "monitor  a virtual board: milliseconds and fps are this machine's",
        "         estimated for the network on the board: 608 to 2,608 ms",
    ]
    assert said[-1].endswith("on average 8 + 62 + 1 ms 14.1 fps of this machine's time")


@pytest.mark.parametrize(
    ("estimate", "text"), [(None, ""), ((), ""), ((67.4, 67.4), "67 ms"), ((2608.0, 608.0), "608 to 2,608 ms")]
)
def test_an_estimate_is_a_time_or_a_span(estimate: tuple[float, ...] | None, text: str) -> None:
    assert Timing(False, estimate).estimate == text


def test_a_real_boards_time_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    Board(POSE).watch(timing=Timing(False, None))
    assert "machine" not in "".join(lines(capsys))


def test_a_class_name_that_would_move_the_cursor_is_shown_as_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Board(POSE).watch(["\x1b[2Jper\u202eson"])
    assert "\\x1b[2Jper\\u202eson 0.94" in lines(capsys)[0]

"""What is drawn into an image: boxes, limbs and points where they belong, hollow where they are not seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from stage_modules import imported

NAN = float("nan")


@dataclass(frozen=True)
class Found:
    """A detection as the decoder gives it."""

    box: tuple[float, float, float, float] = (96, 96, 80, 120)
    score: float = 0.83
    points: Sequence[tuple[float, float, float]] = ()
    label: int = 0


@pytest.fixture(scope="module")
def overlay() -> Iterator[SimpleNamespace]:
    """The module under test."""
    with imported(("overlay",), "verify") as modules:
        yield modules.overlay


def grey(width: int = 192, height: int = 192) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def seventeen(**at: tuple[float, float, float]) -> list[tuple[float, float, float]]:
    """Keypoints that are nowhere, but for those given as p<number>."""
    return [at.get(f"p{i}", (NAN, NAN, 0)) for i in range(17)]


def holds(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((image == np.array(colour)).all(-1).any())


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((192, 192), (384, 384)),
        ((320, 240), (320, 240)),
        ((32, 64), (320, 640)),
        ((319, 10), (638, 20)),
        ((640, 480), (640, 480)),
    ],
)
def test_an_image_is_enlarged_by_a_whole_number(
    overlay: SimpleNamespace, size: tuple[int, int], drawn: tuple[int, int]
) -> None:
    result = overlay.draw(grey(*size), [])
    assert result.shape == (drawn[1], drawn[0], 3)
    assert result.dtype == np.uint8
    assert (result == 120).all()


@pytest.mark.parametrize(("size", "drawn"), [((4000, 1000), (960, 240)), ((10, 2000), (5, 960)), ((2000, 1), (960, 1))])
def test_a_large_image_is_made_smaller(overlay: SimpleNamespace, size: tuple[int, int], drawn: tuple[int, int]) -> None:
    result = overlay.draw(grey(*size), [Found(box=(size[0] / 2, size[1] / 2, size[0], size[1]))])
    assert result.shape == (drawn[1], drawn[0], 3)


def test_the_image_that_was_given_stays_as_it_is(overlay: SimpleNamespace) -> None:
    image = grey(320, 320)
    assert (overlay.draw(image, [Found()]) != 120).any()
    assert (image == 120).all()


def test_a_box_is_drawn_around_its_centre(overlay: SimpleNamespace) -> None:
    drawn = overlay.draw(grey(), [Found(box=(100, 90, 40, 60))])
    for x, y in ((160, 180), (240, 180), (200, 120), (200, 240)):  # the middle of each side, at twice the size
        assert (drawn[y - 2 : y + 3, x - 2 : x + 3] > 240).any(), (x, y)
    assert (drawn[170:190, 190:210] == 120).all()


def test_left_limbs_are_blue_right_ones_orange_and_others_white(overlay: SimpleNamespace) -> None:
    for pair, colour in (((5, 7), overlay.LEFT), ((6, 8), overlay.RIGHT), ((5, 6), overlay.MIDDLE)):
        points = seventeen(**{f"p{i}": (60.0 + 60 * n, 60.0, 0.9) for n, i in enumerate(pair)})
        drawn = overlay.draw(grey(), [Found(points=points)])
        assert tuple(drawn[120, 180]) == colour


def test_points_that_are_not_seen_are_hollow(overlay: SimpleNamespace) -> None:
    for visibility, inside in ((0.5, overlay.LEFT), (0.49, overlay.EDGE)):
        drawn = overlay.draw(grey(), [Found(points=seventeen(p9=(50, 60, visibility)))])
        assert tuple(drawn[120, 100]) == inside
        assert holds(drawn[110:130, 90:110], overlay.LEFT)


def test_only_seventeen_keypoints_have_a_skeleton_of_their_own(overlay: SimpleNamespace) -> None:
    points = [(60.0, 60.0, 0.9), (120.0, 60.0, 0.9)]
    assert tuple(overlay.draw(grey(), [Found(points=points)])[120, 180]) == (120, 120, 120)
    assert tuple(overlay.draw(grey(), [Found(points=points)], [(0, 1)])[120, 180]) == overlay.MIDDLE


@pytest.mark.parametrize("number", [NAN, float("inf"), -1e30, 1e30])
def test_what_is_no_number_or_far_away_is_left_out(overlay: SimpleNamespace, number: float) -> None:
    points = seventeen(p5=(number, 50, 0.9), p7=(60, 60, 0.9))
    assert (overlay.draw(grey(), [Found(points=points)]) != 120).any()
    assert (overlay.draw(grey(), [Found(box=(number, 50, 10, 10))]) == 120).all()


@pytest.mark.parametrize(
    "box", [(5, 5, 8, 8), (190, 4, 20, 20), (96, 96, 400, 400), (96, 96, -5, 0), (180, 190, 10, 10)]
)
def test_a_label_is_never_cut_off(overlay: SimpleNamespace, box: tuple[float, float, float, float]) -> None:
    drawn = overlay.draw(grey(), [Found(box=box)], names=("person", "dog"))
    plate = (drawn == np.array(overlay.EDGE)).all(-1)
    rows = plate.sum(1)
    assert (rows >= 40).sum() >= 10  # the plate, whole but for the letters on it


def test_the_best_detection_is_drawn_last(overlay: SimpleNamespace) -> None:
    weak, strong = (
        Found(score=score, points=seventeen(**{point: (50, 60, 1)})) for score, point in ((0.5, "p9"), (0.9, "p10"))
    )
    for order in ([weak, strong], [strong, weak]):
        assert tuple(overlay.draw(grey(), order)[120, 100]) == overlay.RIGHT


def test_a_label_names_the_class_or_its_number(overlay: SimpleNamespace) -> None:
    cases = ((1, ("cat", "dog")), (0, ("dog", "cat")), (1, ()), (2, ("cat", "dog")), (0, ("cat",)), (0, ("dog",)))
    drawn = [overlay.draw(grey(), [Found(label=label)], names=names) for label, names in cases]
    same = [[(one == other).all() for other in drawn] for one in drawn]
    assert same[0] == [True, True, False, False, False, False]
    assert same[4] == [False, False, False, False, True, True]  # of a single class only the score


def test_a_name_is_drawn_as_people_may_see_it_and_hides_no_picture(overlay: SimpleNamespace) -> None:
    def drawn(name: str) -> np.ndarray:
        return overlay.draw(grey(640, 640), [Found(box=(300, 300, 80, 120))], names=(name, "dog"))

    assert (drawn("a\u202eb") == drawn(r"a\u202eb")).all()
    assert (drawn("a\nb\x1b[2J") == drawn(r"a\nb\x1b[2J")).all()
    assert (drawn("x" * 24) != drawn("x" * 25)).any()
    assert (drawn("x" * 25) == drawn("x" * 2_000_000)).all()


def test_the_best_detection_has_the_first_choice_of_place(overlay: SimpleNamespace) -> None:
    names = ("person",)
    alone = overlay.draw(grey(), [Found(score=0.9)], names=names)
    both = overlay.draw(grey(), [Found(score=0.4), Found(score=0.9)], names=names)
    above = slice(40, 69), slice(0, 192)  # the box begins at row 72; on the right there is room for the other one
    assert (alone[above] != 120).any()
    assert (alone[above] == both[above]).all()


def test_labels_of_neighbours_do_not_hide_each_other(overlay: SimpleNamespace) -> None:
    near = [Found(box=(96 + i, 96, 60, 100), score=0.9 - i / 100) for i in range(4)]
    plates = [
        (overlay.draw(grey(), near[:count], names=("person",)) == np.array(overlay.EDGE)).all(-1).sum()
        for count in (1, 2, 3, 4)
    ]
    assert np.diff(plates).min() > 400  # pixels: each has a plate of its own


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_other_images_are_refused(overlay: SimpleNamespace, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not uint8"):
        overlay.draw(image, [])

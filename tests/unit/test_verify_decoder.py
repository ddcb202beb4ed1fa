"""The decoders: what the firmware's own C++ prints for the same integers, its flaws included, and what it would be without them.

Numbers without a reckoning beside them were printed by SSCMA-Micro ff48a1c, compiled for this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stage_modules import imported

POSE, WORLD, DECODED = "sscma-pose", "sscma-yolo-world", "sscma-yolov8"
CLS, BOX, KPT = 0.1, 0.5, 0.25  # scales; zero points are 0
Place = tuple[int, int, int]  # stride, column, row
# Logits in steps; distances to left, top, right and bottom in units of the stride.
Object = tuple[Sequence[int], tuple[float, float, float, float]]
STRETCHED = [  # width, height, size; what the first row's columns and the first column's rows add up to
    (240, 240, 192, 22848, 22848),
    (640, 480, 192, 21586, 22897),
    (640, 480, 224, 25049, 26642),
    (480, 480, 256, 30466, 30481),
    (33, 500, 96, 1521, 11169),
    (1920, 1080, 320, 38674, 36196),
    (50, 20, 64, 1544, 600),
]


@pytest.fixture(scope="module")
def verify() -> Iterator[SimpleNamespace]:
    """The modules under test."""
    with imported(("heads", "decoder", "pictures"), "verify") as modules:
        yield modules


def box_steps(distances: Sequence[float]) -> np.ndarray:
    """The 64 steps of a raw box that lies at these distances: of whole ones one bin, of halves two bins, have all the weight."""
    steps = np.full((4, 16), -128)
    for side, distance in enumerate(distances):
        steps[side, [int(distance), int(distance + 0.5)]] = 127
    return steps.reshape(64)


def raw(
    verify: SimpleNamespace,
    objects: Mapping[Place, Object],
    *,
    size: tuple[int, int] = (64, 64),
    imgsz: int = 32,
    points: Mapping[Place, Sequence[int]] | None = None,
    keypoints: int = 1,
) -> Any:
    """A frame whose raw outputs show these objects and no other."""
    classes = max((len(logits) for logits, _ in objects.values()), default=1)
    steps, start, at = {}, 0, {}
    for stride in verify.heads.STRIDES:
        count = (imgsz // stride) ** 2
        steps[f"cls{stride}"] = np.full((1, count, classes), -128)
        steps[f"box{stride}"] = np.full((1, count, 64), -128)
        at[stride], start = start, start + count
    steps["kpt"] = np.zeros((1, start, 3 * keypoints), int)
    for (stride, column, row), (logits, distances) in objects.items():
        index = column + row * (imgsz // stride)
        steps[f"cls{stride}"][0, index] = logits
        steps[f"box{stride}"][0, index] = box_steps(distances)
    for (stride, column, row), values in (points or {}).items():
        steps["kpt"][0, at[stride] + column + row * (imgsz // stride)] = values
    return framed(verify, steps, {"cls": CLS, "box": BOX, "kpt": KPT}, imgsz, size)


def framed(
    verify: SimpleNamespace,
    steps: Mapping[str, np.ndarray],
    scales: Mapping[str, float],
    imgsz: int,
    size: tuple[int, int],
) -> Any:
    """A frame of integers, less their zero points; `scales` by the roles' first three letters."""
    scale_of = {role: float(np.float32(scales[role[:3]])) for role in steps}
    values = {role: array.astype(np.float32) * np.float32(scale_of[role]) for role, array in steps.items()}
    return verify.decoder.Frame(values, imgsz, *size, scale_of)


def decoded(
    verify: SimpleNamespace, columns: Sequence[Sequence[int]], scale: float, *, size: tuple[int, int] = (64, 64)
) -> Any:
    """A frame of a decoded output for 32 px; each column has x, y, w, h and classes in steps; the other anchors have nothing."""
    steps = np.zeros((1, len(columns[0]) if columns else 5, 21), int)
    for index, column in enumerate(columns):
        steps[0, :, index] = column
    return framed(verify, {"decoded": steps}, {"dec": scale}, 32, size)


def shown(found: Sequence[Any]) -> list[tuple[int, ...]]:
    """What the firmware prints of each: x, y, w, h, score in percent, class."""
    rows = [(*one.box, round(one.score * 100, 3), one.label) for one in found]
    assert all(value == int(value) for row in rows for value in row)
    return [tuple(int(value) for value in row) for row in rows]


# --- boxes --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoder", [POSE, WORLD])
def test_a_box_lies_around_its_anchor_and_is_stretched_to_the_frame(verify: SimpleNamespace, decoder: str) -> None:
    # Anchor (1.5, 2.5) at stride 8: x from 0.5 to 3.5, y from 2 to 3.5; 4 to 28 px and 16 to 28 px of 32.
    # A frame of 64 x 48 is 2 and 1.5 times as large.
    frame = raw(verify, {(8, 1, 2): ([12], (1, 0.5, 2, 1))}, size=(64, 48))
    [found] = verify.decoder.decode(decoder, frame, 50, 45)
    assert found.box == (32, 33, 48, 18)


def test_every_stride_has_its_own_grid(verify: SimpleNamespace) -> None:
    objects = {place: ([12], (0.5, 0.5, 0.5, 0.5)) for place in [(8, 3, 0), (16, 1, 0), (32, 0, 0)]}
    found = verify.decoder.decode(POSE, raw(verify, objects), 50, 99)
    assert sorted(one.box for one in found) == [(32, 32, 64, 64), (48, 16, 32, 32), (56, 8, 16, 16)]


def test_pose_rounds_to_whole_pixels_and_detection_drops_the_fraction(verify: SimpleNamespace) -> None:
    # Centre 4 px, width 8, of a frame 53 px wide: 53/32 of it are 6.625 and 13.25; 61 px high: 7.625 and 15.25.
    frame = raw(verify, {(8, 0, 0): ([12], (0.5, 0.5, 0.5, 0.5))}, size=(53, 61))
    assert [verify.decoder.decode(name, frame, 50, 45)[0].box for name in (POSE, WORLD)] == [
        (7, 8, 13, 15),
        (6, 7, 13, 15),
    ]
    [exact] = verify.decoder.decode(WORLD, frame, 50, 45, exact=True)
    assert exact.box == (6.625, 7.625, 13.25, 15.25)


@pytest.mark.parametrize("decoder", [POSE, WORLD])
def test_a_centre_outside_the_frame_becomes_0(verify: SimpleNamespace, decoder: str) -> None:
    frame = raw(verify, {(8, 0, 0): ([12], (3, 0.5, 0, 4))})  # x from -2.5 to 0.5, y from 0 to 4.5
    assert verify.decoder.decode(decoder, frame, 50, 45)[0].box == (0, 36, 48, 72)
    assert verify.decoder.decode(decoder, frame, 50, 45, exact=True)[0].box == (-16, 36, 48, 72)


@pytest.mark.parametrize("decoder", [POSE, WORLD, DECODED])
@pytest.mark.parametrize("exact", [False, True])
def test_nothing_is_found_where_nothing_is(verify: SimpleNamespace, decoder: str, exact: bool) -> None:
    frame = decoded(verify, [], 0.005) if decoder == DECODED else raw(verify, {})
    assert verify.decoder.decode(decoder, frame, 1, 45, exact=exact) == []


def drawn(verify: SimpleNamespace, seed: int, classes: int, keypoints: int) -> Any:
    """Outputs of all values for so large a frame that a last bit of float32 moves a pixel."""
    dice = np.random.Generator(np.random.PCG64(seed))
    steps = {}
    for stride in verify.heads.STRIDES:
        count = (64 // stride) ** 2
        steps[f"cls{stride}"] = dice.integers(-128, 128, (1, count, classes))
        steps[f"box{stride}"] = dice.integers(-128, 128, (1, count, 64))
    steps["kpt"] = dice.integers(-128, 128, (1, 84, 3 * keypoints))
    return framed(verify, steps, {"cls": 0.03, "box": 0.0371, "kpt": 0.05}, 64, (1999, 2003))


def test_sums_are_rounded_in_the_firmwares_order(verify: SimpleNamespace) -> None:
    found = verify.decoder.decode(WORLD, drawn(verify, 17, 3, 1), 1, 100)
    assert len(found) == 84
    assert tuple(np.sum(shown(found), axis=0)) == (93886, 88195, 418696, 428356, 6682, 88)


def test_keypoints_and_visibilities_are_those_of_the_kept_anchors(verify: SimpleNamespace) -> None:
    found = verify.decoder.decode(POSE, drawn(verify, 139, 1, 4), 40, 60)
    points = np.concatenate([one.points for one in found]) * (1, 1, 100)
    assert len(found) == 20
    assert tuple(np.sum(shown(found), axis=0)) == (20033, 23317, 122113, 126948, 1771, 0)
    assert tuple(np.rint(points).sum(axis=0).astype(int)) == (170340, 117953, 4536)


# --- scores and classes -------------------------------------------------------------------------------------------------------


def test_pose_rounds_the_score_and_yolo_world_drops_its_fraction(verify: SimpleNamespace) -> None:
    frame = raw(verify, {(8, 1, 1): ([12], (1, 1, 1, 1))})  # sigmoid(1.2) = 0.7685
    assert [verify.decoder.decode(name, frame, 50, 45)[0].score for name in (POSE, WORLD)] == pytest.approx(
        [0.77, 0.76]
    )
    [exact] = verify.decoder.decode(WORLD, frame, 50, 45, exact=True)
    assert exact.score == pytest.approx(0.768525)


def test_yolo_worlds_sigmoid_is_an_approximation(verify: SimpleNamespace) -> None:
    objects = {(8, i % 4, i // 4): ([8 * i - 60], (0, 0, 0.5, 0.5)) for i in range(16)}
    found = verify.decoder.decode(WORLD, raw(verify, objects), 1, 100)
    assert [round(one.score * 100) for one in found] == [99, 99, 98, 97, 94, 88, 76, 59, 39, 22, 11, 5, 2, 1]
    exact = verify.decoder.decode(WORLD, raw(verify, objects), 1, 100, exact=True)
    assert [one.score for one in exact] == pytest.approx(
        [1 / (1 + np.exp(-v / 10)) for v in range(60, -46, -8)], abs=1e-6
    )


def test_yolo_worlds_logarithm_is_an_approximation(verify: SimpleNamespace) -> None:
    # -1.49278 + 2.11263 - 0.729104 + 0.10969, and ln(2) for each doubling.
    for x, logarithm in ((1, 0.000436), (4, 1.386730), (0.5, -0.692711)):
        assert verify.decoder.fast_ln(np.float32(x)) == pytest.approx(logarithm, abs=2e-6)


def test_pose_keeps_what_equals_the_threshold(verify: SimpleNamespace) -> None:
    objects = {(8, 0, 0): ([0], (0, 0, 1, 1)), (8, 2, 2): ([-1], (0, 0, 1, 1))}
    assert [one.score for one in verify.decoder.decode(POSE, raw(verify, objects), 50, 45)] == [0.5]


def test_yolo_worlds_threshold_is_a_whole_number_of_steps_rounded_down(verify: SimpleNamespace) -> None:
    # Its ln(1) is 0.0004: at 50 % the least logit is -0.0004, rounded down to one step below 0.
    objects = {(8, i, 0): ([-i], (0, 0, 0.5, 0.5)) for i in range(3)}
    found = verify.decoder.decode(WORLD, raw(verify, objects), 50, 100)
    assert [round(one.score * 100) for one in found] == [50, 47]
    assert len(verify.decoder.decode(WORLD, raw(verify, objects), 50, 100, exact=True)) == 1


@pytest.mark.parametrize(("score", "least"), [(1, -45), (10, -22), (25, -11), (50, -1), (75, 10), (90, 21), (99, 45)])
def test_thresholds_of_yolo_world(verify: SimpleNamespace, score: int, least: int) -> None:
    # At 1 % one step less would pass, but its score is 0, which NMS drops.
    for step, passes in ((least - 1, 0), (least, 1)):
        frame = raw(verify, {(8, 0, 0): ([step], (0, 0, 1, 1))})
        assert len(verify.decoder.decode(WORLD, frame, score, 45)) == passes


def test_of_equal_classes_yolo_world_takes_the_last_and_yolov8_the_first(verify: SimpleNamespace) -> None:
    world = raw(verify, {(8, 1, 1): ([5, 12, 12, 3], (1, 1, 1, 1))})
    assert verify.decoder.decode(WORLD, world, 50, 45)[0].label == 2
    assert (
        verify.decoder.decode(DECODED, decoded(verify, [(90, 90, 40, 40, 5, 150, 150, 3)], 0.005), 50, 45)[0].label == 1
    )


def test_a_threshold_of_yolov8_must_be_passed(verify: SimpleNamespace) -> None:
    columns = [(20, 20, 20, 20, 50), (40, 40, 20, 20, 51)]
    assert [one.score for one in verify.decoder.decode(DECODED, decoded(verify, columns, 1.0), 50, 45)] == [0.51]


def test_a_decoded_score_is_rounded(verify: SimpleNamespace) -> None:
    columns = [(2 * i, 3 * i, 9, 9, 41 + 8 * i) for i in range(20)]  # 20.5 and 4 more each
    found = verify.decoder.decode(DECODED, decoded(verify, columns, 0.5), 1, 100)
    assert sorted(round(one.score * 100) for one in found) == [21 + 4 * i for i in range(20)]
    columns = [(90, 90, 40, 40, 101)]  # 0.505
    assert verify.decoder.decode(DECODED, decoded(verify, columns, 0.005), 1, 45)[0].score == pytest.approx(0.51)
    [exact] = verify.decoder.decode(DECODED, decoded(verify, columns, 0.005), 1, 45, exact=True)
    assert exact.score == pytest.approx(0.505)


def test_a_score_is_a_byte(verify: SimpleNamespace) -> None:
    columns = [(4, 4, 5, 5, 250), (13, 13, 5, 5, 213), (22, 4, 5, 5, 100)]  # 300, 255.6 and 120 percent
    found = verify.decoder.decode(DECODED, decoded(verify, columns, 1.2), 50, 45)
    assert [round(one.score * 100) for one in found] == [120, 44]  # 256 is 0, which NMS drops


# --- non-maximum suppression --------------------------------------------------------------------------------------------------


def test_of_equal_scores_the_last_anchor_wins(verify: SimpleNamespace) -> None:
    objects = {(8, 1, 1): ([12], (1, 1, 2, 1)), (8, 2, 1): ([12], (2, 1, 1, 1))}  # both from 0.5 to 3.5
    for decoder in (POSE, WORLD):
        frame = raw(verify, objects, points={(8, 1, 1): (0, 0, 1), (8, 2, 1): (0, 0, 2)})
        assert len(verify.decoder.decode(decoder, frame, 50, 50)) == 1
    assert verify.decoder.decode(POSE, frame, 50, 50)[0].points[0].tolist() == pytest.approx([32, 16, 0.62])
    columns = [(80, 80, 40, 40, 150), (81, 80, 40, 40, 150)]
    assert shown(verify.decoder.decode(DECODED, decoded(verify, columns, 0.005), 50, 45)) == [(25, 25, 12, 12, 75, 0)]


def test_the_best_comes_first_and_of_equals_the_last(verify: SimpleNamespace) -> None:
    objects = {
        (8, 0, 0): ([11], (0, 0, 0.5, 0.5)),
        (8, 3, 0): ([14], (0, 0, 0.5, 0.5)),
        (16, 1, 1): ([11], (0, 0, 0.5, 0.5)),
        (8, 0, 3): ([12], (0, 0, 0.5, 0.5)),
    }
    found = verify.decoder.decode(POSE, raw(verify, objects), 50, 45)
    assert [(one.box[0], one.box[1]) for one in found] == [(60, 12), (12, 60), (56, 56), (12, 12)]


def test_pose_suppresses_across_strides(verify: SimpleNamespace) -> None:
    objects = {(8, 1, 1): ([14], (1.5, 1.5, 2.5, 2.5)), (16, 0, 0): ([12], (0.5, 0.5, 1.5, 1.5))}  # 0 to 32 px, both
    assert len(verify.decoder.decode(POSE, raw(verify, objects), 50, 45)) == 1


def test_detections_of_different_classes_do_not_suppress_each_other(verify: SimpleNamespace) -> None:
    objects = {
        (8, 1, 1): ([14, 0], (1, 1, 2, 1)),
        (8, 2, 1): ([0, 12], (2, 1, 1, 1)),
        (8, 1, 2): ([13, 0], (1, 2, 2, 0)),
    }
    found = verify.decoder.decode(WORLD, raw(verify, objects), 50, 45)
    assert [one.label for one in found] == [0, 1]
    columns = [(80, 80, 40, 40, 150, 0), (80, 80, 40, 40, 0, 150), (80, 80, 40, 40, 0, 140)]
    assert len(verify.decoder.decode(DECODED, decoded(verify, columns, 0.005), 50, 45)) == 2


@pytest.mark.parametrize(("iou", "kept"), [(49, 1), (50, 2)])
def test_an_overlap_that_equals_the_limit_is_kept(verify: SimpleNamespace, iou: int, kept: int) -> None:
    objects = {(8, 1, 1): ([14], (1, 1, 1, 1)), (8, 1, 2): ([12], (1, 1, 1, 0))}  # 2 x 2, and its lower half
    assert len(verify.decoder.decode(POSE, raw(verify, objects), 50, iou)) == kept


@pytest.mark.parametrize(("iou", "kept", "exact"), [(44, 1, 1), (45, 2, 1), (46, 2, 2)])
def test_el_nms_compares_whole_percents(verify: SimpleNamespace, iou: int, kept: int, exact: int) -> None:
    frame = decoded(verify, [(15, 15, 22, 10, 80), (15, 15, 10, 10, 70)], 1.0, size=(32, 32))  # 100 / 220 = 45.45 %
    assert len(verify.decoder.decode(DECODED, frame, 50, iou)) == kept
    assert len(verify.decoder.decode(DECODED, frame, 50, iou, exact=True)) == exact


def test_el_nms_takes_centres_for_corners(verify: SimpleNamespace) -> None:
    # Centres 14 and 20, sides 12 and 6: from 8 to 20 and 17 to 23, 5 %; taken for corners, from 14 to 26 and 20 to 26: 25 %.
    frame = decoded(verify, [(14, 14, 12, 12, 80), (20, 20, 6, 6, 70)], 1.0)
    assert len(verify.decoder.decode(DECODED, frame, 50, 20)) == 1
    assert len(verify.decoder.decode(DECODED, frame, 50, 20, exact=True)) == 2
    objects = {(8, 1, 1): ([14], (1, 1, 1, 1)), (8, 2, 2): ([12], (0.5, 0.5, 0.5, 0.5))}  # 0.5 to 2.5 and 2 to 3
    assert len(verify.decoder.decode(WORLD, raw(verify, objects), 50, 20)) == 1
    assert len(verify.decoder.decode(WORLD, raw(verify, objects), 50, 20, exact=True)) == 2
    assert len(verify.decoder.decode(POSE, raw(verify, objects), 50, 20)) == 2


def test_boxes_without_area_overlap_nothing(verify: SimpleNamespace) -> None:
    frame = decoded(verify, [(15, 15, 0, 0, 80), (15, 15, 0, 9, 70)], 1.0)
    assert len(verify.decoder.decode(DECODED, frame, 50, 1)) == 2


# --- decoded outputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "column", "box"),
    [
        (1.0, (8, 4, 10, 6, 80), (32, 8, 40, 12)),
        (0.4, (20, 10, 25, 15, 200), (32, 8, 40, 12)),
        (0.005, (50, 25, 62, 37, 160), (32, 8, 39, 11)),  # 62 and 37 steps: 39.68 of 128 px, 11.84 of 64
    ],
)
def test_the_scale_says_whether_values_are_pixels_or_shares(
    verify: SimpleNamespace, scale: float, column: tuple[int, ...], box: tuple[int, ...]
) -> None:
    [found] = verify.decoder.decode(DECODED, decoded(verify, [column], scale, size=(128, 64)), 50, 45)
    assert found.score == pytest.approx(0.8)
    assert found.box == box


def test_a_scale_of_a_tenth_is_one_of_pixels(verify: SimpleNamespace) -> None:
    tenth = np.float32(0.1)
    column = (20, 20, 20, 20, 9)
    assert not verify.decoder.decode(DECODED, decoded(verify, [column], float(tenth)), 50, 45)  # 0.9 percent
    below = float(np.nextafter(tenth, np.float32(0)))
    assert verify.decoder.decode(DECODED, decoded(verify, [column], below), 50, 45)[0].score == pytest.approx(0.9)


def test_decoded_boxes_are_clipped_to_the_input_before_they_are_stretched(verify: SimpleNamespace) -> None:
    frame = decoded(verify, [(-5, 40, 33, 31, 80)], 1.0, size=(100, 50))
    assert verify.decoder.decode(DECODED, frame, 50, 45)[0].box == (0, 50, 100, 48)  # 31 · 50 / 32 = 48.4


# --- keypoints ----------------------------------------------------------------------------------------------------------------


def test_a_keypoint_is_twice_its_value_from_the_anchors_corner(verify: SimpleNamespace) -> None:
    # (2 · 0.25 · 3 + 1) · 8 = 20 px and (2 · 0.25 · -2 + 2) · 8 = 8 px; of a frame of 60 x 40: 37.5 and 10.
    place = (8, 1, 2)
    frame = raw(
        verify, {place: ([12], (1, 1, 1, 1))}, size=(60, 40), points={place: (3, -2, 4, -3, -9, 0)}, keypoints=2
    )
    [found] = verify.decoder.decode(POSE, frame, 50, 45)
    # The second: (2 · 0.25 · -3 + 1) · 8 = -4 px and (2 · 0.25 · -9 + 2) · 8 = -20 px, which an unsigned integer cannot hold.
    np.testing.assert_allclose(found.points, [[38, 10, 0.73], [0, 0, 0.5]], atol=1e-6)
    [exact] = verify.decoder.decode(POSE, frame, 50, 45, exact=True)
    np.testing.assert_allclose(exact.points, [[37.5, 10, 0.731059], [-7.5, -25, 0.5]], atol=1e-6)


# --- the image ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height", "size", "columns", "rows"), STRETCHED)
def test_an_image_is_stretched_in_fixed_point_steps(
    verify: SimpleNamespace, width: int, height: int, size: int, columns: int, rows: int
) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(width) % 251, np.arange(height)[:, None] % 241
    fitted = verify.pictures.stretch(pixels, size)
    assert fitted.shape == (size, size, 3)
    assert (fitted == fitted[:1, :, :] * [1, 0, 0] + fitted[:, :1, :] * [0, 1, 0]).all()
    assert (int(fitted[0, :, 0].sum()), int(fitted[:, 0, 1].sum())) == (columns, rows)

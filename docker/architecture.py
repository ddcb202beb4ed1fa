"""Which networks may be rebuilt: YOLOv8 detect and pose at strides 8, 16 and 32. Everything else is refused by its name.

The `yaml` in a checkpoint is not only data: ultralytics' parse_model() looks its strings up and calls eval() on one of
them. So it is checked against a short list of layers and arguments, and copied, before ultralytics gets to see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stage import Refused, shown

ROWS_MAX, CELLS_MAX = 64, 8  # layers of a network, and numbers in one list of a layer; YOLOv8 has 23 and 3
LEVELS = 3  # strides 8, 16, 32: the decoders of the boards know no other
HEADS = {"Detect": "detect", "Pose": "pose"}
LAYERS = frozenset({"Conv", "C2f", "SPPF", "nn.Upsample", "Concat", *HEADS})
WORDS = frozenset({"nc", "kpt_shape", "None", "nearest", "True", "False"})  # the strings that arguments may be
ACTIVATIONS = frozenset({"SiLU", "ReLU", "ReLU6", "LeakyReLU", "Hardswish", "Identity"})  # classes of torch.nn

# The first row with a layer that the network has gives its name: newer designs reuse layers of older ones.
FOREIGN = (
    ("RT-DETR", {"RTDETRDecoder", "HGStem", "HGBlock", "AIFI"}),
    ("YOLO-World", {"WorldDetect", "C2fAttn", "ImagePoolingAttn"}),
    ("YOLOE", {"YOLOEDetect", "YOLOESegment", "YOLOESegment26"}),
    ("YOLO26", {"Pose26", "Segment26", "OBB26"}),
    ("YOLOv10", {"v10Detect", "SCDown", "PSA", "C2fCIB"}),
    ("YOLO12", {"A2C2f"}),
    ("YOLO11", {"C3k2", "C2PSA"}),
    ("YOLOv9", {"RepNCSPELAN4", "ELAN1", "ADown", "AConv", "SPPELAN", "CBFuse", "CBLinear"}),
    ("YOLOv6", {"nn.ConvTranspose2d"}),
    ("YOLOv8-ghost", {"GhostConv", "C3Ghost"}),
    ("YOLOv5 or YOLOv3", {"C3", "Focus", "Bottleneck", "SPP"}),
)
OTHER_HEADS = {"Segment": "segmentation", "Classify": "classification", "OBB": "oriented boxes"}
# What is read of a yaml beside its layers, and the kinds of value that it may be.
READ = (
    "nc", "ch", "channels", "activation", "kpt_shape", "end2end", "reg_max", "scales", "scale", "depth_multiple", "width_multiple",
)  # fmt: skip
PLAIN = (int, float, str, list, tuple, Mapping, type(None))
SCALE_MAX = 20  # characters of a scale's name; YOLOv8's have 1
HINT = "give the best.pt of a YOLOv8 detect or pose model that 'yolo train' wrote"


def check_yaml(path: Path, yaml: Any) -> dict[str, Any]:
    """A checked copy of a checkpoint's `yaml` with only what parse_model() needs.

    In: anything. Out: nc, ch, kpt_shape (of pose), activation, backbone, head, and depth_multiple, width_multiple or
    scales and scale.
    """
    if (
        not isinstance(yaml, Mapping)
        or not isinstance(yaml.get("backbone"), list)
        or not isinstance(yaml.get("head"), list)
    ):
        raise Refused(f"{path}: no model of ultralytics: it has no yaml of its layers", HINT)
    # Anything else, such as an array, has no truth and no equal; what is asked of the values below is asked of plain ones.
    if odd := next((key for key in READ if not isinstance(yaml.get(key), PLAIN)), ""):
        raise Refused(f"{path}: its yaml says {odd}: {shown(yaml[odd])}", HINT)
    rows = [*yaml["backbone"], *yaml["head"]]
    if not 0 < len(rows) <= ROWS_MAX or not all(
        isinstance(row, list) and len(row) == 4 and isinstance(row[2], str) for row in rows
    ):
        raise Refused(f"{path}: its yaml does not list layers as [from, repeats, layer, arguments]", HINT)
    refuse_foreign(path, yaml, rows)
    for row in rows:
        check_row(path, row)
    checked: dict[str, Any] = {"backbone": copy_rows(yaml["backbone"]), "head": copy_rows(yaml["head"])}
    checked |= {"nc": whole(path, "nc", yaml.get("nc")), "activation": activation(path, yaml.get("activation"))}
    checked |= {"ch": whole(path, "ch", yaml.get("ch", yaml.get("channels", 3)))} | scaling(path, yaml)
    if checked["ch"] != 3:
        raise Refused(f"{path}: takes images of {checked['ch']} channels, not 3", "train with colour images")
    return checked | pose_keys(path, yaml, checked)


def pose_keys(path: Path, yaml: Mapping[str, Any], checked: Mapping[str, Any]) -> dict[str, Any]:
    """What only a pose model has: its kpt_shape, (keypoints, 3); the firmware decodes one class of x, y, visibility."""
    if checked["head"][-1][2] != "Pose":
        return {}
    shape = yaml.get("kpt_shape")
    if not isinstance(shape, (list, tuple)) or len(shape) != 2:
        raise Refused(f"{path}: a pose model whose kpt_shape is {shown(shape)}", HINT)
    if checked["nc"] != 1:
        raise Refused(
            f"{path}: a pose model of {checked['nc']} classes; the boards decode exactly 1", "train with nc: 1"
        )
    count, dimensions = (whole(path, "kpt_shape", number) for number in shape)
    if dimensions != 3:
        raise Refused(
            f"{path}: keypoints of {dimensions} dimensions, without visibility; the boards decode x, y, visibility",
            f"train with kpt_shape: [{count}, 3]",
        )
    return {"kpt_shape": [count, 3]}


def refuse_foreign(path: Path, yaml: Mapping[str, Any], rows: list[list[Any]]) -> None:
    """Name the design or the task that this project does not do."""
    layers = {row[2].split(".")[-1] if not row[2].startswith("nn.") else row[2] for row in rows}
    if yaml.get("end2end") or yaml.get("reg_max", 16) != 16:
        raise Refused(f"{path}: a YOLO26 model (end2end or reg_max), not YOLOv8", HINT)
    for design, marks in FOREIGN:
        if layers & marks:
            raise Refused(f"{path}: layers of {design}, not of YOLOv8", HINT)
    head = rows[-1][2]
    if head in OTHER_HEADS:
        raise Refused(f"{path}: a model for {OTHER_HEADS[head]}; only detect and pose run on the boards", HINT)
    if head not in HEADS or [row[2] for row in rows].count(head) != 1:
        raise Refused(f"{path}: ends in {shown(head)}, not in one Detect or Pose", HINT)
    inputs = rows[-1][0]
    if not isinstance(inputs, list) or len(inputs) != LEVELS:
        raise Refused(
            f"{path}: predicts at {len(inputs) if isinstance(inputs, list) else 1} levels (a P2 or P6 model?); "
            "the boards decode three: strides 8, 16, 32",
            HINT,
        )


def check_row(path: Path, row: list[Any]) -> None:
    """One layer: [from, repeats, layer, arguments], each of the kind that YOLOv8's own files have."""
    source, repeats, layer, arguments = row
    sources = source if isinstance(source, list) else [source]
    if layer not in LAYERS:
        raise Refused(f"{path}: has a layer {shown(layer)}, which YOLOv8 has not", HINT)
    if not (
        isinstance(arguments, list)
        and all(len(cells) <= CELLS_MAX for cells in (sources, arguments, *arguments) if isinstance(cells, list))
        and all(map(is_argument, arguments))
        and all(type(number) is int and abs(number) <= ROWS_MAX for number in [*sources, repeats])
        and within_bounds(repeats, arguments)
    ):
        raise Refused(f"{path}: layer '{layer}' has arguments that YOLOv8 has not: {shown(row)}", HINT)


def is_argument(value: Any) -> bool:
    """Whether an argument is of a kind that YOLOv8's own files have: a number, a flag, one of a few words, a list, nothing."""
    return value is None or type(value) in (int, bool, list) or (type(value) is str and value in WORDS)


def within_bounds(repeats: int, arguments: list[Any]) -> bool:
    """Whether a layer is of a size that YOLOv8 has: at most 1024 channels, kernels of 16, 24 repeats."""
    channels, rest = arguments[:1], arguments[1:]
    small = [argument for argument in rest if type(argument) is int]
    lists = [number for argument in arguments if type(argument) is list for number in argument]
    return (
        1 <= repeats <= 24
        and all(1 <= number <= 1024 for number in channels if type(number) is int)
        and all(0 <= number <= 16 for number in small)
        and all(type(number) is int and 1 <= number <= 1024 for number in lists)
    )


def copy_rows(rows: list[list[Any]]) -> list[list[Any]]:
    """Rows that parse_model() may change."""
    return [[list(cell) if isinstance(cell, list) else cell for cell in row] for row in rows]


def whole(path: Path, key: str, number: Any) -> int:
    """A whole number from 1 to 1024."""
    if type(number) is not int or not 1 <= number <= 1024:
        raise Refused(f"{path}: its yaml says {key}: {shown(number)}", HINT)
    return number


def activation(path: Path, text: Any) -> str:
    """A call like 'nn.ReLU6()' of a class of ACTIVATIONS: parse_model() gives it to eval(). SiLU is the default."""
    if text is None:
        return "nn.SiLU()"
    name = text.removeprefix("torch.").removeprefix("nn.").removesuffix("()") if isinstance(text, str) else ""
    if name not in ACTIVATIONS:
        raise Refused(f"{path}: its yaml says activation: {shown(text)}", f"one of {', '.join(sorted(ACTIVATIONS))}")
    return f"nn.{name}()"


def scaling(path: Path, yaml: Mapping[str, Any]) -> dict[str, Any]:
    """The scale's letter with its [depth, width, channels at most], or the two factors that 8.0's first files had."""
    table = yaml.get("scales")
    if not table:
        factors = {key: yaml.get(key, 1.0) for key in ("depth_multiple", "width_multiple")}
        if all(type(factor) in (int, float) and 0 < factor <= 2 for factor in factors.values()):
            return factors
        raise Refused(f"{path}: its yaml says {shown(factors)}", HINT)
    scale = (yaml.get("scale") or next(iter(table), "")) if isinstance(table, Mapping) else ""
    row = table.get(scale) if isinstance(scale, str) and 0 < len(scale) <= SCALE_MAX else None
    numbers = row if isinstance(row, (list, tuple)) and all(type(number) in (int, float) for number in row) else []
    if len(numbers) != 3 or not (0 < numbers[0] <= 2 and 0 < numbers[1] <= 2 and 0 < numbers[2] <= 4096):
        raise Refused(f"{path}: its yaml has no usable scale {shown(scale)}", HINT)
    return {"scales": {scale: list(numbers)}, "scale": scale}


def least_parameters(yaml: Mapping[str, Any]) -> int:
    """How many weights of convolutions a checked yaml asks for at least, heads not counted, without building any of it.

    Source: ultralytics 8.2.24, nn/tasks.py parse_model() and nn/modules (Conv, C2f, SPPF).
    """
    depth, width, most = _scale_of(yaml)
    outputs, total = list[int](), 0
    for source, repeats, layer, arguments in (*yaml["backbone"], *yaml["head"]):
        given = outputs or [yaml["ch"]]
        sources = [given[at] if -len(given) <= at < len(given) else 1 for at in _as_list(source)]
        before = sum(sources)
        count = max(round(repeats * depth), 1) if repeats > 1 else repeats
        numbers = [argument if type(argument) is int else 0 for argument in arguments]
        after = before
        if layer in ("Conv", "C2f", "SPPF") and numbers:
            # Channels as many as classes are taken as they are.
            scaled = -(-min(numbers[0], most) * width // 8) * 8
            after = max(int(numbers[0] if numbers[0] == yaml["nc"] else scaled), 1)
        if layer == "Conv":
            groups = numbers[4] if len(numbers) > 4 else 0
            total += count * before * after * (numbers[1] if len(numbers) > 1 else 1) ** 2 // max(groups, 1)
        elif layer == "C2f":
            hidden, groups = after // 2, numbers[2] if len(numbers) > 2 else 0
            total += 2 * before * hidden + (2 + count) * hidden * after + count * 18 * hidden**2 // max(groups, 1)
        elif layer == "SPPF":
            total += before * (before // 2) + 4 * (before // 2) * after
        outputs.append(after)
    return total


def _scale_of(yaml: Mapping[str, Any]) -> tuple[float, float, float]:
    """Factors of depth and width, and the most channels before the second."""
    if "scales" in yaml:
        depth, width, most = yaml["scales"][yaml["scale"]]
        return depth, width, most
    return yaml["depth_multiple"], yaml["width_multiple"], float("inf")


def _as_list(source: int | list[int]) -> list[int]:
    return source if isinstance(source, list) else [source]

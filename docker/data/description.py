"""What a user's data set says of itself: its data.yaml, or the layout of its folders, read with distrust."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stage
import yaml
from labels import KEYPOINTS_MAX
from pictures import Unreadable
from reading import PATH_MAX, YAML_BYTES_MAX, read, refuse_unwritable, stays_inside

SPLITS = ("train", "val")
# What both ultralytics 8.2 (data/utils.py IMG_FORMATS) and Pillow's safe decoders read.
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"})
# What a data.yaml may hold. The parser's time grows with the square of the depth, and a number may have as many digits as a line.
NODES_MAX, DEPTH_MAX, WORD_MAX = 20_000, 16, 1_000  # values, collections in each other, characters of a word or number
PLACES_MAX = 1_000  # folders and lists of a split
CLASSES_MAX = 1_024  # as many as architecture.py takes of a network; COCO has 80, Open Images 601
NAME_MAX = 200  # characters of a class; ImageNet's longest has 121
_USUAL_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
# Folders of the two splits in a set without a yaml: as ultralytics lays them out, then as Roboflow does.
_LAYOUTS = (
    {"train": "images/train", "val": "images/val"},
    {"train": "train/images", "val": "val/images"},
    {"train": "train/images", "val": "valid/images"},
)
_OUTSIDE_HINT = "put data.yaml into the data set's folder and make it `path: .`"
_SPLIT_HINT = (
    "move about one image in ten, with its labels, from images/train to images/val (labels/train to labels/val)"
)


@dataclass(frozen=True)
class Description:
    """A data set as it describes itself; paths are relative to `root`, names and kpt_shape None where nothing tells."""

    root: Path
    source: str  # the yaml's name, or "folders"
    places: dict[str, tuple[str, ...]]  # split → folders or .txt lists
    names: tuple[str, ...] | None = None
    kpt_shape: tuple[int, int] | None = None
    flip_idx: tuple[int, ...] | None = None


def describe(root: Path, yaml_name: str) -> Description:
    """Find and read the description of the data set in the folder `root`."""
    if not root.is_dir():
        raise stage.Refused("DATA is no folder", "DATA= names a data.yaml or the folder of a data set")
    name = yaml_name or _find_yaml(root)
    if not name:
        return Description(root, "folders", _find_layout(root))
    if Path(name).name != name or not (root / name).is_file():
        raise stage.Refused(f"{name}: no such file in the data set's folder", "DATA= names a data.yaml or a folder")
    refuse_unwritable(name)
    return _from_yaml(root, name, _read_yaml(root, name))


def _find_yaml(root: Path) -> str:
    found = sorted(path.name for path in root.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())
    usual = [name for name in _USUAL_NAMES if name in found]
    if usual or len(found) == 1:
        return (usual or found)[0]
    if found:
        raise stage.Refused(f"several descriptions: {', '.join(found)}", f"say which one: DATA=<folder>/{found[0]}")
    return ""


def _find_layout(root: Path) -> dict[str, tuple[str, ...]]:
    for layout in _LAYOUTS:
        if all((root / folder).is_dir() for folder in layout.values()):
            return {split: (folder,) for split, folder in layout.items()}
    if any(path.suffix.lower() in SUFFIXES for path in root.iterdir()):
        return dict.fromkeys(SPLITS, (".",))  # a folder of images serves as both
    if not any(root.iterdir()):
        raise stage.Refused("the data set's folder is empty", "DATA= names a data.yaml or the folder of a data set")
    for layout in _LAYOUTS:
        if (root / layout["train"]).is_dir():
            raise stage.Refused(f"{layout['val']}: no validation images", _SPLIT_HINT)
    raise stage.Refused(
        "the data set has neither a data.yaml nor the folders images/train and images/val",
        "see docs.ultralytics.com/datasets for the layout",
    )


def read_text(root: Path, place: str, limit_bytes: int, hint: str) -> str:
    """The text of a file of the data set."""
    try:
        return read(root, place, limit_bytes).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise stage.Refused(f"{place}: no text", hint) from None
    except Unreadable as error:
        raise stage.Refused(f"{place}: {error}", hint) from None


def _read_yaml(root: Path, name: str) -> dict[Any, Any]:
    text = read_text(root, name, YAML_BYTES_MAX, "DATA= names a data.yaml or a folder")
    try:
        _check_events(text, name)
        content = yaml.safe_load(text)
    except stage.Refused:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise stage.Refused(f"{name}:{line}: {error.problem or 'no valid YAML'}", "mend that line") from None
    except Exception:  # PyYAML raises KeyError, IndexError and others for values that are not what their tag says
        raise stage.Refused(f"{name}: no YAML text", "DATA= names a data.yaml or a folder") from None
    if not isinstance(content, dict):
        raise stage.Refused(f"{name}: holds no keys", "it needs train, val and names")
    return content


def _check_events(text: str, name: str) -> None:
    """Go through a YAML text once, without making values of it, and refuse what would be costly to make."""
    paid, depth = stage.Budget(name, NODES_MAX, "values", "list many images in a .txt file"), 0
    for event in yaml.parse(text, yaml.SafeLoader):
        # A few lines of references to references make a value larger than any memory as soon as it is printed.
        if isinstance(event, yaml.AliasEvent):
            raise stage.Refused(f"{name}: a reference (*name), which no data set needs", "write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise stage.Refused(f"{name}: lists in lists, more than {DEPTH_MAX} deep", "it needs train, val and names")
        is_word = isinstance(event, yaml.ScalarEvent) and (event.style is None or event.tag)
        if is_word and len(event.value) > WORD_MAX:
            raise stage.Refused(f"{name}: a word of {len(event.value):,} characters", "it needs train, val and names")
        paid.spend(isinstance(event, yaml.NodeEvent))


def _from_yaml(root: Path, name: str, content: dict[Any, Any]) -> Description:
    if content.get("download"):
        raise stage.Refused(
            f"{name}: 'download' asks to run a program or to fetch files, which no stage does",
            "download the data set yourself and remove that line",
        )
    if "val" not in content and "validation" in content:  # ultralytics reads it so as well
        content["val"] = content["validation"]
    start = _inside(root, root, content.get("path") or ".", f"{name}: path")
    places = {split: _places(root, start, content.get(split), f"{name}: {split}") for split in SPLITS}
    names, shape = _names(content, name), _kpt_shape(content.get("kpt_shape"), name)
    return Description(root, name, places, names, shape, _flip_idx(content.get("flip_idx"), shape, name))


def _places(root: Path, start: Path, value: Any, where: str) -> tuple[str, ...]:
    """The folders or lists of one split, relative to the root."""
    if not value:
        raise stage.Refused(
            f"{where} is missing", _SPLIT_HINT if where.endswith("val") else "name the images' folder there"
        )
    found = []
    texts = value if isinstance(value, list) else [value]
    if len(texts) > PLACES_MAX:
        raise stage.Refused(
            f"{where} names {len(texts):,} folders; {PLACES_MAX:,} are read", "list the images in a .txt file"
        )
    for text in texts:
        # Roboflow writes ../train/images and means train/images; ultralytics strips the dots where that helps.
        is_path = isinstance(text, str) and len(text) <= PATH_MAX
        if is_path and text.startswith("../") and not _leads_inside(root, start / text):
            text = text[3:] if _exists(start / text[3:]) else text
        found.append(_inside(root, start, text, where).relative_to(root).as_posix())
    return tuple(found)


def _leads_inside(root: Path, path: Path) -> bool:
    normal = Path(os.path.normpath(path))
    return normal.is_relative_to(os.path.normpath(root)) and _exists(normal)


def _exists(path: Path) -> bool:
    """Whether there is such a file or folder; there is none of a name that is too long for one."""
    try:
        return path.exists()
    except OSError:
        return False


def _inside(root: Path, start: Path, text: Any, where: str) -> Path:
    """The path that `text` means, which must exist in the data set's folder, links resolved."""
    if not isinstance(text, str):
        raise stage.Refused(f"{where} is {stage.shown(text)}, not a path", "write a folder's path")
    if len(text) > PATH_MAX:
        raise stage.Refused(f"{where} is a path of {len(text):,} characters", "write a folder's path")
    path = Path(os.path.normpath(start / text))
    if Path(text).is_absolute() or not path.is_relative_to(os.path.normpath(root)):
        raise stage.Refused(f"{where} leads outside the data set's folder: {text}", _OUTSIDE_HINT)
    if not _exists(path):
        raise stage.Refused(f"{where}: no such folder: {text}", _OUTSIDE_HINT)
    if not stays_inside(root, path.relative_to(root).as_posix()):
        raise stage.Refused(f"{where} is a link that leads outside the data set's folder: {text}", _OUTSIDE_HINT)
    return path


def _names(content: dict[Any, Any], where: str) -> tuple[str, ...]:
    """The class names in order, from a list, a table of numbers, or only a count."""
    names, count = content.get("names"), content.get("nc")
    if count is not None and not (type(count) is int and 1 <= count <= CLASSES_MAX):
        raise stage.Refused(
            f"{where}: nc is {stage.shown(count)}", f"nc is the number of classes, at most {CLASSES_MAX:,}"
        )
    if isinstance(names, list | dict) and len(names) > CLASSES_MAX:
        raise stage.Refused(
            f"{where}: {len(names):,} classes; {CLASSES_MAX:,} are read", "keep those that the board shall see"
        )
    if names is None:
        if count is None:
            raise stage.Refused(f"{where}: names is missing", "names: {0: person}")
        return tuple(f"class{number}" for number in range(count))
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise stage.Refused(
                f"{where}: names has the numbers {stage.shown(list(names))}",
                "number the classes 0, 1, 2 … without a gap",
            )
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise stage.Refused(f"{where}: names is {stage.shown(names)}", "names: {0: person}")
    for number, name in enumerate(names):
        if (
            isinstance(name, bool)
            or not isinstance(name, str | int)
            or not str(name).strip().isprintable()
            or name == ""
            or len(str(name)) > NAME_MAX
        ):
            raise stage.Refused(
                f"{where}: names: class {number} is {stage.shown(name)}", 'put a name between quotes, such as "no"'
            )
        if name in names[:number]:
            raise stage.Refused(
                f"{where}: names: {stage.shown(name)} stands there twice", "give each class its own name"
            )
    if count is not None and count != len(names):
        raise stage.Refused(f"{where}: nc is {count}, but names has {len(names)}", "remove the line nc")
    return tuple(str(name) for name in names)


def _kpt_shape(value: Any, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    numbers = value if isinstance(value, list) else []
    if len(numbers) != 2 or not all(type(number) is int and 1 <= number <= KEYPOINTS_MAX for number in numbers):
        raise stage.Refused(
            f"{where}: kpt_shape is {stage.shown(value)}", "kpt_shape: [17, 3] for 17 keypoints with x, y, visibility"
        )
    return numbers[0], numbers[1]


def _flip_idx(value: Any, shape: tuple[int, int] | None, where: str) -> tuple[int, ...] | None:
    """Which keypoint each one becomes in a mirrored image: a permutation that undoes itself."""
    if value is None or shape is None:
        return None
    numbers = value if isinstance(value, list) else []
    if not all(type(number) is int for number in numbers) or sorted(numbers) != list(range(shape[0])):
        raise stage.Refused(
            f"{where}: flip_idx does not name each of 0 … {shape[0] - 1} once", "or remove the line flip_idx"
        )
    for index, other in enumerate(numbers):
        if numbers[other] != index:
            raise stage.Refused(
                f"{where}: flip_idx takes {index} to {other}, but not back", "or remove the line flip_idx"
            )
    return tuple(numbers)

"""The check of a data set: every image decoded, every label row read, splits compared; nothing copied or changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import stage
from cores import map_on_cores
from description import SPLITS, Description, describe
from labels import Form, guess_form, read_rows
from listing import labels_of, list_images
from pictures import Unreadable, decode
from problems import Problem, refuse
from reading import IMAGE_BYTES_MAX, LABELS_BYTES_MAX, READER_DIED, read
from skeleton import FLIP_IDX


@dataclass(frozen=True)
class Rules:
    """What a task and a board's firmware ask of the labels (parameters of the request)."""

    task: str  # pose, detect, or nothing: whatever the set is labelled for
    max_pose_classes: int
    keypoint_values: int


@dataclass(frozen=True)
class Item:
    """One image of the set, as checked; paths relative to the set's root."""

    image: str
    sha256: str = ""
    width: int = 0
    height: int = 0
    labels: str | None = None
    labels_sha256: str | None = None
    rows: int = 0
    keypoints: int = 0  # labelled ones
    repeated: int = 0  # rows that stand there twice; training drops them
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Checked:
    """A data set that can be used."""

    task: str
    root: Path
    source: str
    places: dict[str, tuple[str, ...]]
    names: tuple[str, ...]
    kpt_shape: tuple[int, int] | None
    flip_idx: tuple[int, ...] | None
    items: dict[str, list[Item]]


def check(root: Path, yaml_name: str, rules: Rules) -> Checked:
    """Read a whole data set and refuse it with what is wrong, or return what is in it."""
    description = describe(root, yaml_name)
    images = list_images(description)
    description = _complete(description, images, rules)
    rules = replace(rules, task=rules.task or ("pose" if description.kpt_shape else "detect"))
    names = description.names or ()
    shape = description.kpt_shape if rules.task == "pose" else None
    items = _inspect_all(root, images, Form(len(names), shape))
    refuse(problem for split in SPLITS for item in items[split] for problem in item.problems)
    for split in SPLITS:
        _tell(split, items[split])
        _refuse_hidden(split, items[split], rules.task)
    _compare(items)
    flip_idx = description.flip_idx if shape else None
    if shape and not flip_idx:
        print("no flip_idx: training will not mirror images", flush=True)
    return Checked(rules.task, root, description.source, description.places, names, shape, flip_idx, items)


def _complete(description: Description, images: dict[str, list[str]], rules: Rules) -> Description:
    """Fill in what only the labels tell, and refuse what the task or the firmware cannot have."""
    where = description.source
    if description.names is None:
        where, description = "labels", _guess(description, images, rules)
    names, shape = description.names or (), description.kpt_shape
    if rules.task == "detect" or not (rules.task or shape):
        if shape and where == "labels":
            raise stage.Refused(
                "labels: rows hold more than boxes, and the task is detect", "a pose recipe takes keypoints"
            )
        return description
    if not shape and where == "labels" and not any(_label_texts(description.root, images)):
        return description
    if not shape:
        raise stage.Refused(
            f"{where}: {'no keypoints' if where == 'labels' else 'kpt_shape is missing'}, and the task is pose",
            "kpt_shape: [17, 3] for 17 keypoints; for boxes only, take a detect recipe: RECIPE=yolov8n-detect",
        )
    if shape[1] != rules.keypoint_values:
        raise stage.Refused(
            f"{where}: {shape[1]} numbers for a keypoint; the firmware reads {rules.keypoint_values}",
            f"write x y 2 for each keypoint (x y 0 where there is none) and kpt_shape: [{shape[0]}, 3]",
        )
    if len(names) > rules.max_pose_classes:
        raise stage.Refused(
            f"{where}: {len(names)} classes; pose firmware knows {rules.max_pose_classes}",
            "keep the class that has keypoints, and its rows",
        )
    return description


def _guess(description: Description, images: dict[str, list[str]], rules: Rules) -> Description:
    """What the labels of a set without a yaml tell of it."""
    form = guess_form(_label_texts(description.root, images), rules.keypoint_values)
    if not form:  # images alone serve to calibrate, and to compare a model's forms with each other
        return replace(description, names=("person" if rules.task == "pose" else "object",))
    names = ("person",) if form.classes == 1 else tuple(f"class{number}" for number in range(form.classes))
    flips = FLIP_IDX if form.kpt_shape == (len(FLIP_IDX), 3) else None  # 17 keypoints are COCO's
    return replace(description, names=names, kpt_shape=form.kpt_shape, flip_idx=flips)


def _label_texts(root: Path, images: dict[str, list[str]]) -> Iterator[str]:
    for split in SPLITS:
        for image in images[split]:
            try:
                yield read(root, labels_of(image), LABELS_BYTES_MAX).decode("utf-8-sig", errors="replace")
            except Unreadable:
                continue  # there are none, or `_inspect` says what is wrong with them


def _inspect_all(root: Path, images: dict[str, list[str]], form: Form) -> dict[str, list[Item]]:
    """Inspect all images on all cores, in order."""
    jobs = [(root, image, form) for split in SPLITS for image in images[split]]
    items = []
    step = max(1, len(jobs) // 100)
    for done, item in enumerate(map_on_cores(_inspect, jobs, READER_DIED), 1):
        items.append(item)
        if done % step == 0 or done == len(jobs):
            stage.progress(done, len(jobs), "checking")
    count = len(images["train"])
    return {"train": items[:count], "val": items[count:]}


def _inspect(job: tuple[Path, str, Form]) -> Item:
    """One image and its labels; whatever is wrong goes into the item, for an exception would hide the other faults."""
    root, image, form = job
    try:
        content = read(root, image, IMAGE_BYTES_MAX)
        picture = decode(content)
    except Unreadable as error:
        return Item(image, problems=(Problem(image, str(error), "replace the file, or remove it and its labels"),))
    item = Item(image, hashlib.sha256(content).hexdigest(), picture.width, picture.height)
    place = labels_of(image)
    if not (root / place).exists() and not (root / place).is_symlink():
        return item
    try:
        content = read(root, place, LABELS_BYTES_MAX)
        rows, problems = read_rows(content.decode("utf-8"), form, place)
    except UnicodeDecodeError:
        return replace(item, problems=(Problem(place, "no text"),))
    except Unreadable as error:
        return replace(item, problems=(Problem(place, str(error)),))
    return replace(
        item,
        labels=place,
        labels_sha256=hashlib.sha256(content).hexdigest(),
        rows=len(rows),
        keypoints=sum(flag > 0 for row in rows for _, _, flag in row.keypoints),
        repeated=len(rows) - len(set(rows)),
        problems=tuple(problems),
    )


def _tell(split: str, items: list[Item]) -> None:
    """Say what a split holds, and what training will pass over."""
    bare, repeated = sum(not item.rows for item in items), sum(item.repeated for item in items)
    boxes = sum(item.rows for item in items)
    print(f"{split}: {len(items):,} images, {boxes:,} boxes, {bare:,} images without labels", flush=True)
    if repeated:
        first = next(item.labels for item in items if item.repeated)
        print(f"{split}: {repeated:,} label rows stand there twice; training drops them ({first})", flush=True)


def _refuse_hidden(split: str, items: list[Item], task: str) -> None:
    rows = sum(item.rows for item in items)
    if not rows:
        print(
            f"{split}: no image has labels; those of {items[0].image} would be in {labels_of(items[0].image)}",
            flush=True,
        )
    if rows and task == "pose" and not any(item.keypoints for item in items):
        raise stage.Refused(f"{split}: all keypoints have visibility 0", "visibility 2 is visible, 1 hidden")


def _compare(items: dict[str, list[Item]]) -> None:
    """Say how many validation images are training images too."""
    trained = {item.sha256: item.image for item in items["train"]}
    shared = [item for item in items["val"] if item.sha256 in trained]
    if shared:
        first = shared[0]
        print(
            f"warning: {len(shared):,} of {len(items['val']):,} validation images are in train as well, such as"
            f" {first.image} = {trained[first.sha256]}: the measured AP will be too good",
            flush=True,
        )

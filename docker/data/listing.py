"""Which images a data set holds: its folders walked, its lists read; always in the same order."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import stage
from description import SPLITS, SUFFIXES, Description, read_text
from reading import stays_inside

_UNREAD = frozenset({".avif", ".dng", ".gif", ".heic", ".heif", ".jxl", ".pfm"})  # images, but not for training


def list_images(description: Description) -> dict[str, list[str]]:
    """The images of each split, sorted, as paths relative to the data set's root."""
    found = {}
    for split in SPLITS:
        images: set[str] = set()
        for place in description.places[split]:
            path = description.root / place
            images.update(_walk(description.root, path) if path.is_dir() else _read_list(description.root, path))
        if not images:
            raise stage.Refused(
                f"{split}: no images in {', '.join(description.places[split])}",
                f"images end in {', '.join(sorted(SUFFIXES))}",
            )
        found[split] = sorted(images)
    _refuse_collisions(sorted({*found["train"], *found["val"]}))
    return found


def _refuse_collisions(images: Iterable[str]) -> None:
    """Two names that Windows and macOS take for one would be one image there, and other results."""
    seen: dict[str, str] = {}
    for image in images:
        other = seen.setdefault(unicodedata.normalize("NFC", image).casefold(), image)
        if other != image:
            raise stage.Refused(f"{other} and {image} are one name on other systems", "rename one, and its labels")


def labels_of(image: str) -> str:
    """Where ultralytics looks for an image's labels: the last folder `images` replaced by `labels`."""
    head, found, tail = ("/" + image).rpartition("/images/")
    path = f"{head}/labels/{tail}" if found else "/" + image
    return Path(path.removeprefix("/")).with_suffix(".txt").as_posix()


def _walk(root: Path, folder: Path) -> Iterator[str]:
    """All images below a folder; folders that are links are followed if they stay in the data set."""
    seen: set[str] = set()
    unread = []
    for directory, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(directory)
        place = Path(directory).relative_to(root).as_posix()
        if not stays_inside(root, place):
            raise stage.Refused(f"{place}: a link that leads outside the data set's folder", "copy what it leads to")
        if real in seen:  # a link back to where we have been
            folders.clear()
            continue
        seen.add(real)
        for name in files:
            suffix = Path(name).suffix.lower()
            if suffix in SUFFIXES:
                yield (Path(directory) / name).relative_to(root).as_posix()
            elif suffix in _UNREAD:
                unread.append(name)
    if unread:
        place = folder.relative_to(root).as_posix()
        print(f"{place}: {len(unread):,} files left out that training cannot read, such as {min(unread)}", flush=True)


def _read_list(root: Path, path: Path) -> Iterator[str]:
    """The images that a .txt file lists, one a line, relative to that file."""
    place = path.relative_to(root).as_posix()
    if path.suffix != ".txt":
        raise stage.Refused(
            f"{place}: neither a folder nor a .txt list of images", "train and val name folders or lists"
        )
    lines = read_text(root, place, "a list has one image's path a line").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        image = Path(os.path.normpath(path.parent / line.strip()))
        if not image.is_relative_to(os.path.normpath(root)):
            raise stage.Refused(
                f"{place}:{number}: leads outside the data set's folder: {line.strip()}",
                "write the paths in a list relative to it: ./images/train/…",
            )
        if image.suffix.lower() not in SUFFIXES:
            raise stage.Refused(
                f"{place}:{number}: no image: {line.strip()}", f"images end in {', '.join(sorted(SUFFIXES))}"
            )
        yield image.relative_to(root).as_posix()

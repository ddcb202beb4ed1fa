"""Which images a data set holds: its folders walked, its lists read; always in the same order."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import stage
from description import SPLITS, SUFFIXES, Description, read_text
from reading import LIST_BYTES_MAX, PATH_MAX, refuse_unwritable, stays_inside

FILES_MAX = 5_000_000  # looked at for one split; Objects365 has 1.7 million images
FOLDERS_MAX = 64  # in each other; os.walk calls itself for each
_UNREAD = frozenset({".avif", ".dng", ".gif", ".heic", ".heif", ".jxl", ".pfm"})  # images, but not for training


def list_images(description: Description) -> dict[str, list[str]]:
    """The images of each split, sorted, as paths relative to the data set's root."""
    found = {}
    for split in SPLITS:
        images: set[str] = set()
        paid = stage.Budget(split, FILES_MAX, "files to look at", "name only the folders that hold images")
        for place in dict.fromkeys(description.places[split]):
            path = description.root / place
            reader = _walk if path.is_dir() else _read_list
            images.update(reader(description.root, path, paid))
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


def _walk(root: Path, folder: Path, paid: stage.Budget) -> Iterator[str]:
    """All images below a folder; folders that are links are followed if they stay in the data set."""
    seen: set[str] = set()
    unread = []
    for directory, folders, files in os.walk(folder, followlinks=True, onerror=_refuse_closed):
        paid.spend(1 + len(files))
        real = os.path.realpath(directory)
        place = Path(directory).relative_to(root).as_posix()
        if place.count("/") >= FOLDERS_MAX:
            raise stage.Refused(
                f"{place[:60]}…: folders in folders, more than {FOLDERS_MAX} deep", "move the images up"
            )
        if not stays_inside(root, place):
            raise stage.Refused(f"{place}: a link that leads outside the data set's folder", "copy what it leads to")
        if real in seen:  # a link back to where we have been
            folders.clear()
            continue
        seen.add(real)
        for name in files:
            suffix = Path(name).suffix.lower()
            if suffix in SUFFIXES:
                image = (Path(directory) / name).relative_to(root).as_posix()
                refuse_unwritable(image)
                yield image
            elif suffix in _UNREAD:
                unread.append(name)
    if unread:
        place = folder.relative_to(root).as_posix()
        print(f"{place}: {len(unread):,} files left out that training cannot read, such as {min(unread)}", flush=True)


def _refuse_closed(error: OSError) -> None:
    """What os.walk would pass over: a folder that cannot be read may hold half of the images."""
    raise stage.Refused(
        f"{Path(error.filename).name}: a folder that cannot be read: {error.strerror}", "chmod -R u+rX it"
    )


def _read_list(root: Path, path: Path, paid: stage.Budget) -> Iterator[str]:
    """The images that a .txt file lists, one a line, relative to that file."""
    place = path.relative_to(root).as_posix()
    if path.suffix != ".txt":
        raise stage.Refused(
            f"{place}: neither a folder nor a .txt list of images", "train and val name folders or lists"
        )
    lines = read_text(root, place, LIST_BYTES_MAX, "a list has one image's path a line").splitlines()
    paid.spend(len(lines))
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if len(line) > PATH_MAX:
            raise stage.Refused(
                f"{place}:{number}: a line of {len(line):,} characters", "a list has one image's path a line"
            )
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

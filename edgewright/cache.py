"""Finished steps, shared by all workspaces and boards of this user: an action cache over a content store, after Bazel's split.

    actions/<key>.json         what the step with this key gave: its record, and the sha256 of every file
    content/<ab>/<sha256>      these files, each once, read-only
    quarantine/                what was found damaged, put aside

An entry is written when all its content is in place, and everything appears under its name whole or not at all: wherever a run is
killed, what was finished before is still there. Nothing is believed: every file's hash is taken again when it is copied back, and
one that differs is put aside, which makes the step run again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgewright import digest, log
from edgewright.environments import CACHE
from edgewright.records import Record

SCHEMA = 1
BLOCK = 1 << 20
LOG = "log.txt"
WRITING_S = 3600  # longer than any step takes to be saved
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Entry:
    """What a finished step gave; `files` are all files of its outputs, and its log, by path in the step's folder."""

    record: Record
    files: Mapping[str, str]


@dataclass(frozen=True)
class Use:
    """What the store holds of one stage: steps, bytes of their files, and when the last one was made or taken (seconds, epoch)."""

    stage: str
    steps: int
    bytes: int
    last: float


@dataclass(frozen=True)
class Size:
    """What the store holds."""

    steps: int
    files: int
    bytes: int


class Store:
    """The cache in one folder. Callers hold the lock of a step's key while they save or restore it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.locks = folder / "locks"

    @classmethod
    def of_user(cls) -> Store:
        """Return the user's store: EDGEWRIGHT_STORE, or a folder of the user's cache."""
        return cls(Path(os.environ.get("EDGEWRIGHT_STORE") or CACHE / "store"))

    def _action(self, key: str) -> Path:
        return self.folder / "actions" / f"{key}.json"

    def _content(self, total: str) -> Path:
        return self.folder / "content" / total[:2] / total

    # --- in -----------------------------------------------------------------------------------------------------------------

    def save(self, record: Record, step: Path) -> None:
        """Keep a finished step from its folder. A full disk is no reason to fail what has just been finished."""
        try:
            files = {path: self._put(step / path) for path in _paths(record, step)}
            if _differing(record, files, step):
                return  # somebody has changed an output since it was hashed; the next run will find that, too
            raw = {"schema": SCHEMA, "record": asdict(record), "files": files}
            with self._writing(self._action(record.key)) as temporary:
                temporary.write_text(json.dumps(raw, sort_keys=True) + "\n")
        except OSError as problem:
            if problem.errno not in FULL:
                raise
            log.say("cache", f"{record.stage} was not kept: the disk is full", "yellow")

    def _put(self, path: Path) -> str:
        """Copy a file into the store under its sha256, unless it is there already; return that."""
        total = digest.of_file(path)
        target = self._content(total)
        if not target.exists() or target.stat().st_size != path.stat().st_size:
            with self._writing(target) as temporary:
                if _copy(path, temporary) != total:
                    raise OSError(errno.EIO, "changed while it was read", str(path))
                temporary.chmod(0o444)
        return total

    @contextmanager
    def _writing(self, target: Path) -> Iterator[Path]:
        """Give a file to write to; it takes its name when it is whole and on the disk."""
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    # --- out ----------------------------------------------------------------------------------------------------------------

    def find(self, key: str) -> Entry | None:
        """Return what is known of a step with this key; whether its files are whole, only `restore` can tell."""
        path = self._action(key)
        try:
            raw = json.loads(path.read_text())
            known = raw["record"]
            record = Record(known["stage"], known["key"], known["facts"], known["outputs"])
            entry = Entry(record, dict(raw["files"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            self._set_aside(path)
            return None
        return entry if record.key == key and raw["schema"] == SCHEMA else None

    def restore(self, entry: Entry, step: Path) -> bool:
        """Copy a step's files into its empty folder; False if one is missing or not what its name says."""
        for name, total in entry.files.items():
            source, target = self._content(total), step / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not source.exists():
                return False
            if _copy(source, target) != total:
                self._set_aside(source)
                return False
        with contextlib.suppress(OSError):  # when it was last of use; a store that others own serves as well
            os.utime(self._action(entry.record.key))
        return True

    def _set_aside(self, path: Path) -> None:
        quarantine = self.folder / "quarantine"
        quarantine.mkdir(parents=True, exist_ok=True)
        os.replace(path, quarantine / path.name)
        log.say("cache", f"{path.name[:16]}… is damaged, and put aside in {quarantine}", "yellow")

    # --- keeping house --------------------------------------------------------------------------------------------------------

    def size(self) -> Size:
        """Count what is there."""
        content = [path for path in (self.folder / "content").glob("*/*") if not path.name.startswith(".")]
        steps = sum(1 for _ in (self.folder / "actions").glob("[!.]*.json"))
        return Size(steps, len(content), sum(path.stat().st_size for path in content))

    def use(self) -> list[Use]:
        """Return what is held of each stage, the largest first. Files that several steps share count for each."""
        found: dict[str, Use] = {}
        for path in (self.folder / "actions").glob("[!.]*.json"):
            if entry := self.find(path.stem):
                paths = [self._content(total) for total in {*entry.files.values()}]
                total = sum(path.stat().st_size for path in paths if path.exists())
                stage = entry.record.stage
                before = found.get(stage, Use(stage, 0, 0, 0.0))
                last = max(before.last, path.stat().st_mtime)
                found[stage] = Use(stage, before.steps + 1, before.bytes + total, last)
        return sorted(found.values(), key=lambda use: -use.bytes)

    def sweep(self, days: float) -> Size:
        """Remove steps that were of no use for so many days, content that none refers to, and what killed runs have left."""
        before, oldest = self.size(), time.time() - days * 86400
        needed: set[str] = set()
        for path in (self.folder / "actions").glob("[!.]*.json"):
            entry = self.find(path.stem)
            if entry is None or path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
            else:
                needed |= set(entry.files.values())
        # Another run may be saving: what it writes has no name yet, or no entry.
        recent = time.time() - WRITING_S
        for path in (*(self.folder / "actions").glob(".*"), *(self.folder / "content").glob("*/*")):
            with contextlib.suppress(FileNotFoundError):
                if path.name not in needed and path.stat().st_ctime < recent:
                    path.unlink()
        shutil.rmtree(self.folder / "quarantine", ignore_errors=True)
        after = self.size()
        return Size(before.steps - after.steps, before.files - after.files, before.bytes - after.bytes)


def _paths(record: Record, step: Path) -> list[str]:
    """Return the paths of a step's outputs, and of its log, relative to its folder."""
    found = [LOG] if (step / LOG).exists() else []
    for output in record.outputs.values():
        path = step / output["path"]
        files = digest.files_in(path) if path.is_dir() else [path]
        found += [file.relative_to(step).as_posix() for file in files]
    return found


def _differing(record: Record, files: Mapping[str, str], step: Path) -> bool:
    """Whether some output is not what the record says."""
    for output in record.outputs.values():
        name = output["path"]
        total: Any = files.get(name)
        if (step / name).is_dir():
            below = sorted(
                (path.removeprefix(f"{name}/"), sha) for path, sha in files.items() if path.startswith(f"{name}/")
            )
            total = digest.of_value([list(pair) for pair in below])
        if total != output["sha256"]:
            return True
    return False


def _copy(source: Path, target: Path) -> str:
    """Copy a file's bytes, and return their sha256 as they were read."""
    state = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(BLOCK):
            state.update(block)
            writer.write(block)
    return state.hexdigest()

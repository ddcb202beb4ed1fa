"""Finished steps, shared by all workspaces and boards of this user: an action cache over a content store, after Bazel's split.

    actions/<key>.json         what the step with this key gave: its record, and the sha256 of every file
    content/<ab>/<sha256>      these files, each once, read-only
    quarantine/                what was found damaged, put aside
    venv/                      the same for the venv engine, whose steps are not isolated: never taken for a container's

An entry is written when all its content is in place, and everything appears under its name whole or not at all: wherever a run is
killed, what was finished before is still there. Nothing is believed: an entry counts if its key is the digest of its facts, its
names are plain ones below the outputs of its record, and the hashes of its files give those that the record says; each file's hash
is taken again when it is copied back, and one that differs is put aside, which makes the step run again.

Whatever is wrong with the store (read-only, full, somebody else's, damaged) is said once, and costs the cache, never the run.
Several users share one if its folder is their group's, with the set-group-id bit: `install -d -m 2775 -g GROUP FOLDER`. They trust
each other with it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from edgewright import files, foreign, log, outputs, records
from edgewright.config import LOG, Stage
from edgewright.environments import CACHE, exclusively
from edgewright.foreign import Foreign
from edgewright.records import SHA256, Record

SCHEMA = 2
WRITING_S = 3600  # longer than any step takes to be saved
ENTRY_BYTES = 256 << 20  # a step of a million files names each of them in its entry
FULL = (errno.ENOSPC, errno.EDQUOT)
VENV = "venv"


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
    """The cache in one folder. Callers hold the lock of a step in its volume while they save or restore it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = False  # that it is of no use, and why

    @classmethod
    def of_user(cls, hermetic: bool) -> Store:
        """Return the user's store, EDGEWRIGHT_STORE or a folder of the user's cache: one for isolated steps, one for all others."""
        folder = Path(os.environ.get("EDGEWRIGHT_STORE") or CACHE / "store")
        return cls(folder if hermetic else folder / VENV)

    def _action(self, key: str) -> Path:
        return self.folder / "actions" / f"{key}.json"

    def _content(self, total: str) -> Path:
        return self.folder / "content" / total[:2] / total

    @contextmanager
    def _tolerantly(self) -> Iterator[None]:
        """Whatever may be wrong with the store is said once, and is no reason to fail."""
        try:
            yield
        except (OSError, Foreign) as problem:
            if not self.said:
                full = isinstance(problem, OSError) and problem.errno in FULL
                reason = "the disk is full" if full else getattr(problem, "strerror", None) or str(problem)
                log.say("cache", f"{self.folder}: {reason}; this run goes on without it", "yellow")
            self.said = True

    def _open(self) -> bool:
        """Whether there is a store that may be believed; raise Foreign for one that others write to who were not asked to."""
        if self.said or not self.folder.is_dir():
            return False
        found = self.folder.stat()
        if found.st_mode & stat.S_IWOTH:
            raise Foreign("", "everybody may write to it")
        if found.st_uid not in (os.getuid(), 0) and not self._is_shared():
            raise Foreign("", f"belongs to the user {found.st_uid}, and is not shared by a group")
        return True

    def _is_shared(self) -> bool:
        mode = self.folder.stat().st_mode
        return bool(mode & stat.S_IWGRP and mode & stat.S_ISGID)

    @contextmanager
    def waiting(self, step: str, text: str) -> Iterator[None]:
        """Let only one workspace run a step at a time, so that the others find it here: where there is a store to wait at."""
        with contextlib.ExitStack() as stack:
            with self._tolerantly():
                self._make(self.folder)
                if self._open():
                    self._make(self.folder / "locks")
                    mode = 0o664 if self._is_shared() else 0o644
                    lock = exclusively(
                        step, self.folder / "locks", speaker=step.rpartition("-")[0], text=text, mode=mode
                    )
                    stack.enter_context(lock)
            yield

    # --- in -----------------------------------------------------------------------------------------------------------------

    def save(self, record: Record, step: Path, stage: Stage) -> None:
        """Keep a finished step from its folder."""
        with self._tolerantly():
            self._make(self.folder)
            if not self._open():
                return
            tree = outputs.look(step, stage)
            names = {output["path"] for output in record.outputs.values()} | {LOG}
            sums = tree.sums([path for path in tree.files if path.partition("/")[0] in names])
            if not _is_consistent(record, sums):
                return  # somebody has changed an output since it was hashed; the next run will find that, too
            for path, total in sums.items():
                self._put(tree, path, total)
            raw = {"schema": SCHEMA, "record": asdict(record), "files": sums}
            with self._writing(self._action(record.key)) as file:
                file.write(json.dumps(raw, sort_keys=True).encode() + b"\n")

    def _put(self, tree: foreign.Tree, path: str, total: str) -> None:
        """Copy a file into the store under its sha256, unless it is there already."""
        target = self._content(total)
        with contextlib.suppress(OSError):
            found = target.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_size == tree.files[path].bytes:
                return
        with self._writing(target) as file, tree.open(path) as source:
            if files.copy(source, file) != total:
                raise Foreign(path, foreign.GONE)

    @contextmanager
    def _writing(self, target: Path) -> Iterator[IO[bytes]]:
        """Give a file to write to; it takes its name when it is whole and on the disk, for others to read only."""
        self._make(target.parent)
        with files.replacing(target, 0o444) as file:
            yield file

    def _make(self, folder: Path) -> None:
        """Make a folder of the store, for the group to write to if the store is."""
        if folder.is_dir():
            return
        if folder != self.folder:
            self._make(folder.parent)
        folder.mkdir(parents=folder == self.folder, exist_ok=True)
        if folder != self.folder and self._is_shared():
            folder.chmod(0o2775)

    # --- out ----------------------------------------------------------------------------------------------------------------

    def find(self, key: str, stage: Stage | None = None) -> Entry | None:
        """Return what is known of a step with this key, and of this stage; whether its files are whole, only `restore` can tell."""
        found = None
        with self._tolerantly():
            if self._open():
                found = self._find(key)
        return found if found and (stage is None or found.record.is_of(stage)) else None

    def _find(self, key: str) -> Entry | None:
        path = self._action(key)
        try:
            raw = json.loads(foreign.read(self.folder, f"actions/{path.name}", ENTRY_BYTES))
            if raw["schema"] != SCHEMA:
                return None  # of another version
            record, found = records.parse(raw["record"]), raw["files"]
            if record.key != key or not _is_consistent(record, found):
                raise ValueError("not what its key and its hashes say")
        except FileNotFoundError:
            return None
        except (Foreign, ValueError, LookupError, TypeError, RecursionError):
            self._set_aside(path)
            return None
        return Entry(record, found)

    def restore(self, entry: Entry, step: Path) -> bool:
        """Copy a step's files into its empty folder; False if one is missing or not what its name says."""
        for name, total in entry.files.items():
            source, target = self._content(total), step / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with foreign.opened(self.folder, source.relative_to(self.folder).as_posix()) as file:
                    same = files.create(target, file) == total
            except FileNotFoundError:
                return False
            except Foreign:
                same = False
            except OSError as problem:
                if problem.errno != errno.EIO:
                    raise  # of the volume, not of the store
                same = False
            if not same:
                with self._tolerantly():
                    self._set_aside(source)
                return False
        with contextlib.suppress(OSError):  # when it was last of use; a store that others own serves as well
            os.utime(self._action(entry.record.key))
        return True

    def _set_aside(self, path: Path) -> None:
        quarantine = self.folder / "quarantine"
        self._make(quarantine)
        target = quarantine / path.name
        if target.is_dir():  # os.replace takes no file for a folder
            files.remove(target)
        os.replace(path, target)
        log.say("cache", f"{path.name[:16]}… is damaged, and put aside in {quarantine}", "yellow")

    # --- keeping house --------------------------------------------------------------------------------------------------------

    def size(self) -> Size:
        """Count what is there."""
        steps, sizes = 0, list[int]()
        with self._tolerantly():
            if self._open():
                steps = sum(1 for _ in self._actions())
                sizes = [path.lstat().st_size for path in self.folder.glob("content/*/[!.]*")]
        return Size(steps, len(sizes), sum(sizes))

    def use(self) -> list[Use]:
        """Return what is held of each stage, the largest first. Files that several steps share count for each."""
        found: dict[str, Use] = {}
        for path in self._actions():
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
        before = self.size()
        with self._tolerantly():
            if self._open():
                self._sweep(time.time() - days * 86400)
        after = self.size()
        return Size(before.steps - after.steps, before.files - after.files, before.bytes - after.bytes)

    def _sweep(self, oldest: float) -> None:
        needed: set[str] = set()
        for path in self._actions():
            # Not `find`: what is wrong with the store must not look like an entry that is of no use.
            entry = self._find(path.stem)
            if entry is None or path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
            else:
                needed |= set(entry.files.values())
        # Another run may be saving: what it writes has no name yet, or no entry.
        recent = time.time() - WRITING_S
        for path in (*self.folder.glob("actions/.*"), *self.folder.glob("content/*/*")):
            with contextlib.suppress(FileNotFoundError):
                if path.name not in needed and path.lstat().st_ctime < recent:
                    files.remove(path)
        files.remove(self.folder / "quarantine")

    def _actions(self) -> Iterator[Path]:
        yield from self.folder.glob("actions/[!.]*.json")


def _is_consistent(record: Record, sums: Any) -> bool:
    """Whether a list of files (path → sha256) is just what a record's outputs are made of, beside its log."""
    if not isinstance(sums, dict) or not all(
        isinstance(total, str) and SHA256.fullmatch(total) for total in sums.values()
    ):
        return False
    names = {output["path"] for output in record.outputs.values()}
    for path in sums:
        first, *rest = path.split("/")
        if not all(map(foreign.is_plain, (first, *rest))) or (first not in names and path != LOG):
            return False
        if any("/".join((first, *rest)[:depth]) in sums for depth in range(1, len(rest) + 1)):
            return False  # a file, and a folder of the same name
    return all(outputs.digest_of(output["path"], sums) == output["sha256"] for output in record.outputs.values())

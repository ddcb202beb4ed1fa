"""Digests of the user's files, remembered by what stat says of them: a data set that nobody has touched is not read again.

A file is taken to be unchanged if device, inode, size, mtime and ctime are; who cannot set the clock cannot set ctime back. A file
that was changed just before it was hashed may have been changed again within one tick of its file system's clock: it is not
remembered. That is git's rule (Documentation/technical/racy-git.txt). What is remembered is one file for each folder, in this
user's cache; one that is damaged, or not this user's, is as good as none.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from edgewright import digest, files, foreign
from edgewright.environments import CACHE

SCHEMA = 1
# The coarsest clock of a file system that is still in use, FAT's.
TICK_NS = 2_000_000_000
# What is hashed in a moment is not worth remembering.
FEW_FILES, FEW_BYTES = 100, 8 << 20
# Of one folder's index, at most: two million files.
INDEX_BYTES = 512 << 20
FOLDERS = 32
SHA256 = re.compile(r"[0-9a-f]{64}")

Stamp = list[int]  # device, inode, size, mtime and ctime in nanoseconds
Rows = Mapping[str, tuple[Stamp, str]]


class FileIndex:
    """What is remembered in one folder."""

    def __init__(self, folder: Path = CACHE / "digests") -> None:
        self.folder = folder

    def of_path(self, path: Path, *, trusting: bool = True) -> str:
        """Return the sha256 of a file or folder, as `digest.of_path` does; if not `trusting`, every byte is read."""
        if not path.is_dir():
            return self._sums(path.parent, {path.name: _stamp(path.stat())}, path, trusting)[path.name]
        found = _scan(path)
        sums = self._sums(path, found, path, trusting)
        return digest.of_value([[name, sums[name]] for name in sorted(sums)])

    def _sums(self, root: Path, found: Mapping[str, Stamp], place: Path, trusting: bool) -> dict[str, str]:
        """Return the sha256 of each file, and remember them if that was worth while."""
        begun = time.time_ns()
        worth = len(found) > FEW_FILES or sum(stamp[2] for stamp in found.values()) > FEW_BYTES
        known = self._read(place) if worth and trusting else {}
        sums = {name: known[name][1] for name, stamp in found.items() if name in known and known[name][0] == stamp}
        missing = [name for name in found if name not in sums]
        if not missing:
            return sums
        with ThreadPoolExecutor() as pool:  # hashlib lets go of the interpreter's lock
            read = dict(zip(missing, pool.map(lambda name: _read(root / name), missing), strict=True))
        sums |= {name: total for name, (_, total) in read.items()}
        if worth:
            # What was read is what was looked at, and not from a folder that has taken the place of another since.
            same = ((name, stamp) for name, stamp in found.items() if name not in read or read[name][0] == stamp)
            rows = {name: (stamp, sums[name]) for name, stamp in same if max(stamp[3:]) + TICK_NS <= begun}
            if rows != known:
                self._write(place, rows)
        return sums

    def _file(self, place: Path) -> str:
        return f"{digest.of_bytes(os.fsencode(place.resolve()))}.json"

    def _read(self, place: Path) -> Rows:
        try:
            raw = json.loads(foreign.read(self.folder, self._file(place), INDEX_BYTES, {os.getuid()}))
            if raw["schema"] != SCHEMA:
                return {}
            return {name: (stamp, total) for name, (stamp, total) in raw["files"].items() if SHA256.fullmatch(total)}
        except (OSError, foreign.Foreign, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {}

    def _write(self, place: Path, rows: Rows) -> None:
        """Write what is known of one folder, and forget those not written for longest. Where that cannot be, it costs time only."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write(self.folder / self._file(place), json.dumps({"schema": SCHEMA, "files": rows}))
            kept = sorted(self.folder.glob("[!.]*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            for path in kept[FOLDERS:]:
                path.unlink(missing_ok=True)


def _scan(folder: Path) -> dict[str, Stamp]:
    """Return the files that `digest.files_in` finds, by relative path, with what stat says of each: one look at each file."""
    found: dict[str, Stamp] = {}
    waiting = [(os.fspath(folder), "")]
    while waiting:
        place, above = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir():
                    if digest.descends(entry.name) and not entry.is_symlink():
                        waiting.append((entry.path, f"{above}{entry.name}/"))
                elif digest.counts(entry.name):
                    # Of a link what it leads to, as it is read.
                    found[above + entry.name] = _stamp(entry.stat())
    return found


def _stamp(found: os.stat_result) -> Stamp:
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _read(path: Path) -> tuple[Stamp, str]:
    """Return a file's stamp as it is opened, which it never has again if it changes while it is read, and its sha256."""
    with path.open("rb") as file:
        return _stamp(os.fstat(file.fileno())), files.copy(file, None)

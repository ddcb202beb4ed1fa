"""Where what a build needs comes from: the network, or a folder that `make vendor` has filled; OFFLINE=1 forbids the network.

What is taken from the folder is checked first. Wheels are offered to pip and uv as a page of links on the loopback interface, for
as long as a build runs: containers reach it without a mount, so that the Dockerfiles are the same with and without a network.
"""

from __future__ import annotations

import functools
import http.server
import json
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgewright import digest
from edgewright.config import Stage
from edgewright.errors import HashDiffers, StageFailed, WrongInput

SUMS, IMAGES = "SHA256SUMS", "images.json"  # images.json: an image's name → its archive, relative to the folder
FILL = "make vendor VENDOR=folder, where there is a network"
LOOPBACK = "127.0.0.1"
PIP, UV = "pip.conf", "uv.toml"


@dataclass(frozen=True)
class Supply:
    """A folder that `make vendor` has filled, if there is one, and whether the network may be used."""

    folder: Path | None = None
    offline: bool = False

    @property
    def assets(self) -> Path | None:
        """Return the folder of pinned downloads."""
        return self.folder and self.folder / "assets"

    def require_network(self, wanted: str) -> None:
        """Raise StageFailed if `wanted` is not there and must not be fetched."""
        if self.offline:
            missing = f"{self.folder} has none" if self.folder else "no VENDOR= is given"
            raise StageFailed(f"OFFLINE=1, {wanted} is not on this machine, and {missing}", FILL)

    def archive(self, image: str) -> Path | None:
        """Return the archive that holds an image, unless it was left out or removed; raise HashDiffers if it is damaged."""
        if not self.folder or not (self.folder / IMAGES).exists():
            return None
        found = json.loads(self._checked(IMAGES).read_text()).get(image)
        return self._checked(found) if found and (self.folder / found).exists() else None

    @contextmanager
    def links(self, stage: Stage, root: Path) -> Iterator[str]:
        """Offer the folder's wheels at the URL that is yielded, after a check of those that the stage's locks name.

        Without a folder "" is yielded, or StageFailed raised where the network is forbidden.
        """
        if not self.folder:
            self.require_network(f"the environment of {stage.name}")
            yield ""
            return
        names = [name for name in stage.files if name.endswith("requirements.txt")]
        self._check_wheels([*sorted(stage.folder.glob("*requirements.txt")), *(root / name for name in names)])
        handler = functools.partial(_Quiet, directory=str(self.folder / "wheels"))
        with http.server.ThreadingHTTPServer((LOOPBACK, 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield f"http://{LOOPBACK}:{server.server_port}/"
            finally:
                server.shutdown()
                thread.join()

    def _check_wheels(self, locks: Iterable[Path]) -> None:
        """Raise StageFailed for a package of which no file that a lock allows is there, HashDiffers for a damaged one."""
        assert self.folder
        names = {total: name for name, total in read_sums(self.folder).items()}
        for lock in locks:
            for pin, hashes in pins(lock).items():
                found = [names[total] for total in hashes if total in names]
                if not found:
                    raise StageFailed(f"{lock.parent.name}/{lock.name}: {pin} is not in {self.folder}", FILL)
                for name in found:
                    self._checked(name)

    def _checked(self, name: str) -> Path:
        assert self.folder
        path, recorded = self.folder / name, read_sums(self.folder).get(name)
        found = digest.of_file(path) if path.is_file() else "missing"
        if found != recorded:
            raise HashDiffers(f"{path}: sha256 {found}, {SUMS} says {recorded or 'nothing'}", FILL)
        return path


NETWORK = Supply()


def open_supply(folder: str, offline: bool) -> Supply:
    """Return what VENDOR= and OFFLINE= say; raise WrongInput if the folder was not, or not to the end, filled by `make vendor`."""
    if not folder:
        return Supply(None, offline)
    path = Path(folder).expanduser().resolve()
    if not (path / SUMS).is_file():
        raise WrongInput(f"VENDOR={folder}: no {SUMS} in it", FILL)
    return Supply(path, offline)


@contextmanager
def settings_for(links: str) -> Iterator[Path | None]:
    """Yield a folder with settings by which pip and uv know nothing but a page of links; none if there is no page."""
    if not links:
        yield None
        return
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, PIP).write_text(f"[global]\nno-index = true\nfind-links = {links}\n")
        Path(scratch, UV).write_text(f'no-index = true\nfind-links = ["{links}"]\n')
        yield Path(scratch)


def pins(lock: Path) -> Mapping[str, list[str]]:
    """Return the sha256 that a hashed lock allows for each `name==version`."""
    entries = re.split(r"^(?=\S)", lock.read_text(), flags=re.MULTILINE)
    return {entry.split()[0]: re.findall(r"--hash=sha256:(\w+)", entry) for entry in entries if "==" in entry}


def read_sums(folder: Path) -> dict[str, str]:
    """Return what SHA256SUMS says of each file of ours, by its path in the folder."""
    path = folder / SUMS
    # The folder may have come from anywhere: names that lead out of it count as not there.
    line = rf"^(\w{{64}})  ({re.escape(IMAGES)}|(?:wheels|assets|images)/[^./\n][^/\n]*)$"
    return {name: total for total, name in re.findall(line, path.read_text(), re.MULTILINE)} if path.exists() else {}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves one folder and prints nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

"""What an image contains, as one digest: of its files, without their times, which Docker 20.10 cannot fix.

sha256 over the sorted entries of the root file system: path, type, mode, owner, group, where a link leads, the sha256 of the bytes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from edgewright import digest, proc
from edgewright.errors import StageFailed

VERSION = 1  # of what is written down for an entry: a digest of another version says nothing

# What docker and podman put into every container, and would put there for any image.
NOT_OF_THE_IMAGE = frozenset(
    [".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "run/.containerenv"]
)
MOUNTED = ("dev/", "proc/", "sys/")
BLOCK = 1 << 20


@dataclass(frozen=True)
class Contents:
    """An image's files: a line for each entry, by path."""

    entries: dict[str, list[Any]]

    @property
    def digest(self) -> str:
        """Return the sha256 over all of them."""
        return digest.of_value(sorted(self.entries.items()))

    def differing(self, other: Contents) -> list[str]:
        """Return the paths whose entries are not the same, or not in both."""
        paths = {*self.entries, *other.entries}
        return sorted(path for path in paths if self.entries.get(path) != other.entries.get(path))


def read(program: str, image: str) -> Contents:
    """Return what an image contains, read from the tar that `docker export` or `podman export` gives of it."""
    # The command is never run; an image that names none of its own cannot be made a container without one.
    code, text = proc.capture([program, "create", "--network", "none", image, "true"], timeout_s=300)
    if code:
        raise StageFailed(f"{program} create {image}: {text}", "make environments")
    container = text.splitlines()[-1]
    argv = [program, *f"container export {container}".split()]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout
        contents = Contents(dict(entries(process.stdout)))
        if process.wait():
            raise StageFailed(f"{program} export {image} ended with {process.returncode}", "make doctor")
        return contents
    finally:
        process.kill()
        process.wait()
        proc.capture([program, "rm", "--force", container], timeout_s=120)


def entries(stream: IO[bytes]) -> Iterator[tuple[str, list[Any]]]:
    """Yield path and facts of each entry of a tar, read once from front to back."""
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            path = os.path.normpath(member.name).lstrip("/")
            if path in NOT_OF_THE_IMAGE or f"{path}/".startswith(MOUNTED):
                continue
            state = hashlib.sha256()
            if member.isreg():
                file = tar.extractfile(member)
                while file and (block := file.read(BLOCK)):
                    state.update(block)
            kind = "file" if member.isreg() else member.type.decode()
            yield path, [kind, member.mode, member.uid, member.gid, member.linkname, state.hexdigest()]

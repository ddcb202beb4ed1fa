"""Download one file; it gets its name when its sha256 has been found right, and not before."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from edgewright import digest
from edgewright.errors import HashDiffers, StageFailed

LIMIT_BYTES = 1 << 30  # of a file whose size is not recorded
TIMEOUT_S = 60
BLOCK_BYTES = 1 << 18
PART = ".part"  # what a half-downloaded file's name ends in; it begins with a dot


def fetch(
    url: str, target: Path, sha256: str, size: int | None, *, source: str, hint: str, on_bytes: Callable[[int], None]
) -> None:
    """Download `url` to `target`, telling `on_bytes` how much has come; `source` is the file that says sha256 and size.

    Raises HashDiffers for other bytes or more of them, StageFailed if the server cannot be reached.
    """
    limit, done = size or LIMIT_BYTES, 0
    context = ssl.create_default_context(cafile=os.environ.get("EDGEWRIGHT_CA"))
    part = target.with_name(f".{target.name}{PART}")
    try:
        with part.open("wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT_S, context=context) as answer:
            while block := answer.read(BLOCK_BYTES):
                done += len(block)
                if done > limit:
                    raise HashDiffers(f"{url}: longer than the {limit} bytes that are recorded", hint)
                file.write(block)
                on_bytes(done)
        check(part, sha256, url, source)
        os.replace(part, target)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as problem:
        raise StageFailed(f"{url} cannot be downloaded: {getattr(problem, 'reason', problem)}", hint) from None
    finally:
        part.unlink(missing_ok=True)


def check(path: Path, sha256: str, name: str, source: str) -> None:
    """Raise HashDiffers if a file is not what `source` says."""
    found = digest.of_file(path)
    if found != sha256:
        raise HashDiffers(f"{name}: sha256 {found}, {source} says {sha256}", "compare with the publisher's")

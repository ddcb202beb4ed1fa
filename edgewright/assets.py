"""Pinned downloads: by sha256, from a folder of one's own if there is one, kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from edgewright import digest, log
from edgewright.config import Asset
from edgewright.environments import CACHE, exclusively
from edgewright.errors import HashDiffers, StageFailed

LIMIT_BYTES = 1 << 30  # of an asset whose size is not recorded
TIMEOUT_S = 60
BLOCK_BYTES = 1 << 18


def obtain(asset: Asset, *, offline: bool = False) -> Path:
    """Return the asset's file: from the cache, from $EDGEWRIGHT_ASSETS, or downloaded; never one with another hash."""
    name = asset.url.rpartition("/")[2]
    kept = CACHE / "assets" / asset.sha256 / name
    with exclusively(f"asset-{asset.sha256[:12]}"):
        if kept.exists() and digest.of_file(kept) == asset.sha256:
            return kept
        kept.parent.mkdir(parents=True, exist_ok=True)
        own = Path(os.environ.get("EDGEWRIGHT_ASSETS", ""), name)
        if "EDGEWRIGHT_ASSETS" in os.environ and own.exists():
            _check(own, asset)
            shutil.copyfile(own, kept)
        elif offline:
            raise StageFailed(f"{name} is not in the cache, and OFFLINE=1", f"EDGEWRIGHT_ASSETS=folder-with-{name}")
        else:
            _download(asset, kept)
    return kept


def _download(asset: Asset, target: Path) -> None:
    """Download under another name; the right one is given after the hash has been checked."""
    name = target.name
    hint = f"download {asset.url} by other means, then EDGEWRIGHT_ASSETS=its-folder"
    ca = os.environ.get("EDGEWRIGHT_CA")
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=name)
    try:
        with (
            os.fdopen(handle, "wb") as file,
            log.bar("asset", f"downloading {name}") as on_line,
            urllib.request.urlopen(
                asset.url, timeout=TIMEOUT_S, context=ssl.create_default_context(cafile=ca)
            ) as answer,
        ):
            limit, done = asset.size or LIMIT_BYTES, 0
            while block := answer.read(BLOCK_BYTES):
                done += len(block)
                if done > limit:
                    raise HashDiffers(f"{asset.url}: longer than the {limit} bytes that are recorded", hint)
                file.write(block)
                on_line(f"{done}/{limit} downloading {name}")
        _check(Path(temporary), asset)
        os.replace(temporary, target)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as problem:
        raise StageFailed(f"{asset.url} cannot be downloaded: {getattr(problem, 'reason', problem)}", hint) from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _check(path: Path, asset: Asset) -> None:
    found = digest.of_file(path)
    if found != asset.sha256:
        raise HashDiffers(
            f"{asset.url}: sha256 {found}, configs/assets.toml says {asset.sha256}", "compare with the publisher's"
        )

"""Pinned downloads: by sha256, from a folder of one's own if there is one, kept in the user's cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edgewright import digest, log
from edgewright.config import Asset
from edgewright.environments import CACHE, exclusively
from edgewright.errors import StageFailed
from edgewright.fetch import LIMIT_BYTES, check, fetch

SOURCE = "configs/assets.toml"


def obtain(asset: Asset, *, offline: bool = False, folder: Path | None = None) -> Path:
    """Return the asset's file: from the cache, `folder` or $EDGEWRIGHT_ASSETS, or downloaded; never one with another hash."""
    name = name_of(asset)
    kept = CACHE / "assets" / asset.sha256 / name
    with exclusively(f"asset-{asset.sha256[:12]}"):
        if kept.exists() and digest.of_file(kept) == asset.sha256:
            return kept
        kept.parent.mkdir(parents=True, exist_ok=True)
        given = os.environ.get("EDGEWRIGHT_ASSETS")
        folders = [place for place in (folder, Path(given) if given else None) if place]
        own = next((place / name for place in folders if (place / name).exists()), None)
        if own:
            check(own, asset.sha256, asset.url, SOURCE)
            shutil.copyfile(own, kept)
        elif offline:
            raise StageFailed(
                f"{name} is not in the cache, and OFFLINE=1",
                f"EDGEWRIGHT_ASSETS=folder-with-{name}   or   VENDOR=folder",
            )
        else:
            _download(asset, kept)
    return kept


def name_of(asset: Asset) -> str:
    """Return the asset's file name, which is the one that its publisher gave it."""
    return asset.url.rpartition("/")[2]


def _download(asset: Asset, target: Path) -> None:
    hint = f"download {asset.url} by other means, then EDGEWRIGHT_ASSETS=its-folder"
    total = asset.size or LIMIT_BYTES
    with log.bar("asset", f"downloading {target.name}") as on_line:

        def told(done: int) -> None:
            on_line(f"{done}/{total} downloading {target.name}")

        fetch(asset.url, target, asset.sha256, asset.size, source=SOURCE, hint=hint, on_bytes=told)

"""What goes into a bundle is what was proved, byte for byte, whatever has become of the file since."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgewright import bundle, digest
from edgewright.bundle import Kept
from edgewright.errors import HashDiffers

CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "other bytes": lambda path, _: path.write_bytes(b"other"),
    "a link to the same": lambda path, same: (path.unlink(), path.symlink_to(same)),
    "a pipe": lambda path, _: (path.unlink(), os.mkfifo(path)),
    "nothing": lambda path, _: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_no_longer_what_was_proved_makes_no_bundle(tmp_path: Path, change: str) -> None:
    for name in ("model", "same"):
        (tmp_path / name).write_bytes(b"model")
    kept = Kept(tmp_path / "model", digest.of_bytes(b"model"))
    CHANGES[change](tmp_path / "model", tmp_path / "same")
    with pytest.raises(HashDiffers, match="model"):
        bundle.place(tmp_path / "dist" / "bundle", {"model.tflite": kept})
    with pytest.raises(HashDiffers, match="model"):
        kept.read()
    assert list((tmp_path / "dist").iterdir()) == []


def test_a_link_to_a_folder_in_a_bundle_is_found_and_mended(tmp_path: Path) -> None:
    folder, contents = tmp_path / "dist" / "bundle", {"labels.txt": b"person\n"}
    assert bundle.place(folder, contents)
    assert not bundle.place(folder, contents)
    (folder / "more").symlink_to(tmp_path)
    assert bundle.place(folder, contents)
    assert not (folder / "more").is_symlink()

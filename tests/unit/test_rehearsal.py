"""What a virtual board of a plan sees, and which network it runs for one that was compiled for an NPU."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from edgewright import digest, records
from edgewright.boards import rehearsal
from edgewright.errors import WrongInput


def test_the_test_card_is_a_picture_as_large_as_the_cameras_smallest_frame(tmp_path: Path) -> None:
    with Image.open(rehearsal.draw_test_card(tmp_path)) as card:
        assert (card.format, card.size, card.mode) == ("BMP", (240, 240), "RGB")
        colours = card.getcolors()
    assert colours
    assert len(colours) == 64  # steps that a network can tell apart, not one plain colour


def test_pictures_are_taken_from_a_file_or_a_folder_by_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "deep/c.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [path.name for path in rehearsal.pictures_in(str(tmp_path))]
    assert names == ["a.jpg", "b.PNG", "c.webp"]
    assert rehearsal.pictures_in(str(tmp_path / "notes.txt")) == [tmp_path / "notes.txt"]
    (tmp_path / "empty").mkdir()
    for given, told in (("empty", "no pictures in it"), ("none", "no such file or folder")):
        with pytest.raises(WrongInput, match=told):
            rehearsal.pictures_in(str(tmp_path / given))


def record(volume: Path, content: bytes, taken: str = "") -> str:
    """Write a step with a model, made from another one if its digest is given; return its own."""
    total = digest.of_bytes(content)
    facts: dict[str, Any] = {"stage": "s", "environment": "e", "isolation": "none", "variables": {}, "parameters": {}}
    facts["inputs"] = {"model": taken} if taken else {"weights": total}
    key = digest.of_value(facts)
    folder = volume / records.folder_of("s", key)
    folder.mkdir()
    (folder / "model.tflite").write_bytes(content)
    output = {"model": {"path": "model.tflite", "sha256": total, "bytes": len(content)}}
    records.write(folder, records.Record("s", key, facts, output))
    return total


def test_what_was_compiled_is_told_by_its_bytes_whatever_follows_them(tmp_path: Path) -> None:
    plain = record(tmp_path, b"TFL3 before")
    record(tmp_path, b"TFL3 after", plain)
    record(tmp_path, b"TFL3 other", "of the user's, of which nothing is known")
    (tmp_path / "s-broken").mkdir()
    (tmp_path / "s-broken" / "record.json").write_text("{")
    stage = SimpleNamespace(name="proof", outputs={"verdict": "report.json"})
    plan = SimpleNamespace(steps=[SimpleNamespace(stage=stage, inputs={})])
    walk: Any = SimpleNamespace(volume=tmp_path, plan=plan, done={})
    found = rehearsal.uncompiled(walk, b"TFL3 after" + b"\xff" * 50)
    assert found
    assert found.read_bytes() == b"TFL3 before"
    assert rehearsal.uncompiled(walk, b"TFL3 before") is None
    assert rehearsal.uncompiled(walk, b"TFL3 other") is None
    assert rehearsal.uncompiled(walk, b"TFL3 aft") is None


def test_what_killed_rehearsals_have_left_goes_with_the_next_one_and_that_of_one_that_runs_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    ours, theirs = f"board-{os.getpid()}", f"board-{os.getppid()}"
    for name in (ours, theirs, f"board-{ended.pid}", f"board-{'9' * 40}", "board-x"):
        (tmp_path / "run" / name / "network").mkdir(parents=True)
    before: list[set[str]] = []

    def stand(walk: Any, firmware: Any, folder: Path, *_: object, unscaled: bool = False) -> str:
        assert unscaled, "what it finds is compared with the proof's"
        before.append({path.name for path in folder.parent.iterdir()})
        folder.mkdir()
        return str(folder)

    monkeypatch.setattr(rehearsal, "stand", stand)
    monkeypatch.setattr(rehearsal, "plugged_in", nullcontext)
    walk: Any = SimpleNamespace(volume=tmp_path)
    firmware: Any = SimpleNamespace()
    with rehearsal.rehearsing(walk, firmware, []) as port:
        assert port == str(tmp_path / "run" / ours)
    assert before == [{theirs}]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {theirs}

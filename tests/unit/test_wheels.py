"""Which files of the package index are vendored: those that an installer would take, of those that the locks know."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewright import wheels


def artifact(name: str, total: str) -> str:
    return f'{{ url = "https://index.invalid/{name}", size = 3, hashes = {{ sha256 = "{total}" }} }}'


def test_the_files_chosen_are_those_that_an_installer_would_take_of_those_the_lock_knows(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = {letter: letter * 64 for letter in "abcdef"}
    known = " ".join(f"--hash=sha256:{totals[letter]}" for letter in "abcdf")
    for path in toy.glob("docker/*/requirements.txt"):
        path.write_text(f"lib==1 {known}\nold==2 {known}\n")
    built = [
        artifact("lib-1-cp311-cp311-manylinux_2_17_x86_64.whl", totals["a"]),
        artifact("lib-1-cp311-cp311-manylinux_2_5_x86_64.whl", totals["f"]),
        artifact("lib-1-cp311-cp311-manylinux_2_28_x86_64.whl", totals["e"]),  # better, but came after the lock
        artifact("lib-1-cp312-cp312-manylinux_2_28_x86_64.whl", totals["b"]),
        artifact("lib-1-cp311-cp311-manylinux_2_28_aarch64.whl", totals["c"]),
    ]
    text = f"""
lock-version = "1.0"
created-by = "uv"
packages = [
  {{ name = "lib", version = "1", wheels = [{", ".join(built)}] }},
  {{ name = "old", version = "2", marker = "python_version < '3.12'", sdist = {artifact("old-2.tar.gz", totals["d"])} }},
]
"""

    def ask(argv: list[str], *_: object, **__: object) -> int:
        Path(argv[argv.index("--output-file") + 1]).write_text(text)
        return 0

    monkeypatch.setattr(wheels.proc, "stream", ask)
    (toy / "requirements").mkdir()
    for name in ("build", "host"):
        (toy / "requirements" / f"{name}.txt").write_text(f"lib==1 {known}\nold==2 {known}\n")
    monkeypatch.setattr(wheels, "PYTHON", "3.12")  # of the stages: nobody there needs the old one
    monkeypatch.setattr(wheels, "HOST_PYTHONS", ("3.11", "3.12"))
    found = [file.name for file in wheels.wanted(toy)]
    assert found == [
        "lib-1-cp311-cp311-manylinux_2_17_x86_64.whl",
        "lib-1-cp312-cp312-manylinux_2_28_x86_64.whl",
        "old-2.tar.gz",
    ]
    monkeypatch.setattr(wheels, "HOST_PYTHONS", ("3.12",))
    assert [file.name for file in wheels.wanted(toy)] == found[1:2]

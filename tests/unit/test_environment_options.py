"""Options that stand in the environment are taken or refused: `ENGINE=venv make deploy` builds with venv."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgewright import options
from edgewright.errors import WrongInput
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {**options.HELP, **options.OWN}:
        monkeypatch.delenv(name.upper(), raising=False)


def test_how_this_machine_builds_is_taken_from_the_environment_and_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENGINE", "venv")
    monkeypatch.setenv("OFFLINE", "1")
    found = options.with_environment({"engine": "", "offline": "", "device": "esp32s3"})
    assert found == {"engine": "venv", "offline": "1", "device": "esp32s3"}
    assert capsys.readouterr().out.splitlines() == [
        "options  ENGINE=venv, from the environment",
        "options  OFFLINE=1, from the environment",
    ]


def test_what_is_typed_counts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "venv")
    monkeypatch.setenv("DEVICE", "esp32s3")  # as make itself does with what is typed there
    typed = {"engine": "docker", "device": "esp32s3"}
    assert options.with_environment(typed) == typed


@pytest.mark.parametrize("name", sorted({*options.HELP, *options.OWN} - {*options.SESSION}))
def test_what_is_built_and_where_it_goes_is_typed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name.upper(), "8080")
    with pytest.raises(WrongInput) as problem:
        options.with_environment({name: ""})
    assert str(problem.value) == f"{name.upper()}=8080 stands in the environment, where this option is not read"
    assert f"unset {name.upper()}" in problem.value.hint


def test_a_command_that_does_not_read_an_option_does_not_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8080")
    assert options.with_environment({"json": ""}) == {"json": ""}


def test_an_empty_variable_is_none_and_so_is_the_name_that_windows_gives_a_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options.socket, "gethostname", lambda: "DESKTOP-1")
    monkeypatch.setenv("NAME", "DESKTOP-1")
    monkeypatch.setenv("DATA", " ")
    assert options.with_environment({"name": "", "data": ""}) == {"name": "", "data": ""}


def test_a_command_says_so_in_one_line() -> None:
    argv = [sys.executable, "-m", "invoke", "flash", "--device=esp32s3"]
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, "PORT": "8080"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: PORT=8080 stands in the environment, where this option is not read",
    )

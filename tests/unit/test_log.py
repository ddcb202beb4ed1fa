"""What is shown of other programs' words, and how much of it is kept; when a program is ended that does not end."""

from __future__ import annotations

import os
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright import log, proc


def run(script: str, path: Path, **options: float) -> tuple[int, list[str]]:
    return log.watch("stage", "runs", [sys.executable, "-c", script], path, **options)  # type: ignore[arg-type]


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = log.visible(text)
    assert not {unicodedata.category(sign) for sign in shown.replace("\t", "")} & {"Cc", "Cs", "Zl", "Zp"}
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\udce9", r"\udce9"),
        ("two\nlines", r"two\nlines"),
        ("a\tb – größer × 日本", "a\tb – größer × 日本"),
    ],
)
def test_control_characters_are_made_visible(text: str, shown: str) -> None:
    assert log.visible(text) == shown


def test_escape_sequences_and_markup_of_a_stage_reach_neither_terminal_nor_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, lines = run(r"print('1/2 \x1b[31m[/red] :warning:'); print('a\rb')", tmp_path / "log")
    assert lines == [r"1/2 \x1b[31m[/red] :warning:", "a", "b"]
    said = capsys.readouterr().out + (tmp_path / "log").read_text()
    assert "\x1b" not in said
    assert said.count(r"\x1b[31m[/red] :warning:") == 2


def test_an_error_cannot_pretend_to_have_another_hint(capsys: pytest.CaptureFixture[str]) -> None:
    log.fail("a\n hint: rm -rf /", "make\x1b[2J")
    assert capsys.readouterr().err == "error: a\\n hint: rm -rf /\n hint: make\\x1b[2J\n"


def test_a_program_that_prints_without_end_fills_neither_memory_nor_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "LOG_BYTES", 50_000)
    monkeypatch.setattr(log, "KEPT_LINES", 10)
    script = "import sys\nfor i in range(20000): print('line', i)\nsys.stdout.write('x' * 10_000_000)\n"
    code, lines = run(script, tmp_path / "log")
    assert code == 0
    assert len(lines) == 10
    assert max(map(len, lines)) == proc.LINE_BYTES
    kept = (tmp_path / "log").read_text()
    assert len(kept) < 51_000
    assert kept.endswith("the rest is left out)\n")


def test_a_number_of_thousands_of_digits_moves_no_bar(tmp_path: Path) -> None:
    assert run("print('1' * 5000 + '/' + '2' * 5000); print('1/0 x')", tmp_path / "log")[0] == 0


def test_a_log_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "log").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic links"):
        run("print(1)", tmp_path / "log")
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    "script",
    ["while True: pass", "while True: print('on')", "import os, time; os.close(1); os.close(2); time.sleep(60)"],
)
def test_what_does_not_end_is_ended_in_time(tmp_path: Path, script: str) -> None:
    stopped: list[int] = []
    started = time.monotonic()
    with pytest.raises(proc.OutOfTime):
        proc.stream([sys.executable, "-c", script], lambda _: None, stop=lambda: stopped.append(1), limit_s=0.5)
    assert stopped == [1]
    assert time.monotonic() - started < 20


def test_a_child_that_keeps_the_pipe_is_ended_with_its_parent() -> None:
    script = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print(p.pid)"
    lines: list[str] = []
    started = time.monotonic()
    assert proc.stream([sys.executable, "-c", script], lines.append) == 0
    assert time.monotonic() - started < 20
    for _ in range(50):
        try:
            os.kill(int(lines[0]), 0)
        except ProcessLookupError:
            break
        if Path(f"/proc/{lines[0]}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break  # nobody has asked for its end
        time.sleep(0.1)
    else:
        pytest.fail("it still runs")

"""One command at a time at a board, however its port is called, and nothing left behind by one that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.boards import claims
from edgewright.boards.claims import claimed, identity
from edgewright.errors import BoardFailed
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(claims, "FOLDER", tmp_path / "ports")
    return tmp_path / "ports"


def test_a_device_is_one_under_all_its_names(terminal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(terminal)
    monkeypatch.chdir(tmp_path)
    assert identity(terminal) == identity("link") == identity("./../" + tmp_path.name + "/link")
    assert identity(terminal) != identity("/dev/null")


def test_a_port_of_this_machine_is_one_by_every_scheme_and_address() -> None:
    urls = [
        "rfc2217://localhost:4000",
        "socket://127.0.0.1:4000",
        "socket://[::1]:4000",
        "rfc2217://127.0.0.2:4000?logging=debug",
    ]
    assert {identity(url) for url in urls} == {"tcp-here-4000"}
    assert identity("socket://127.0.0.1:4001") == "tcp-here-4001"
    assert identity("socket://192.0.2.1:4000") == "tcp-192.0.2.1-4000"


def test_a_machine_that_nobody_knows_is_no_way_out_of_the_folder() -> None:
    assert "/" not in identity("socket://..%2f..%2fetc:1")


def test_a_board_on_usb_is_its_socket_whatever_number_it_has_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux: /sys/dev/char/166:0 leads to …/usb1/1-2/1-2.4/1-2.4:1.0/tty/ttyACM0."""
    monkeypatch.setattr(claims, "SYSFS", tmp_path)
    number = Path("/dev/null").stat().st_rdev
    for tty in ("ttyACM0", "ttyACM1"):
        interface = tmp_path / "devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2.4/1-2.4:1.0" / tty
        interface.mkdir(parents=True)
        (tmp_path / f"{os.major(number)}:{os.minor(number)}").unlink(missing_ok=True)
        (tmp_path / f"{os.major(number)}:{os.minor(number)}").symlink_to(interface)
        assert identity("/dev/null") == "usb-1-2.4"


@pytest.mark.parametrize(
    ("doing", "fact"),
    [("flash", "another make flash is writing to {}"), ("monitor", "make monitor is watching {}")],
)
def test_who_comes_second_is_told_what_the_first_one_does(terminal: str, doing: claims.Doing, fact: str) -> None:
    with claimed(terminal, doing):
        for second in ("flash", "monitor"):
            with pytest.raises(BoardFailed) as problem, claimed(terminal, second):  # type: ignore[arg-type]
                pass
            assert str(problem.value) == fact.format(terminal)
            assert problem.value.hint
    with claimed(terminal, "flash"):
        pass


def test_an_error_lets_go_of_the_board(terminal: str) -> None:
    with pytest.raises(ValueError, match="in between"), claimed(terminal, "flash"):
        raise ValueError("in between")
    with claimed(terminal, "monitor"):
        pass


def test_another_process_has_it_until_it_ends_and_be_it_by_sigkill(terminal: str, folder: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from edgewright.boards import claims\n"
        "claims.FOLDER = Path(sys.argv[1])\n"
        "with claims.claimed(sys.argv[2], 'flash'): print('has it', flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", script, str(folder), terminal]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"has it\n"
        with pytest.raises(BoardFailed, match="another make flash is writing"), claimed(terminal, "flash"):
            pass
        other.send_signal(signal.SIGKILL)
    with claimed(terminal, "flash"):
        pass


def test_a_port_that_is_gone_is_left_to_who_opens_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with claimed(str(tmp_path / "ttyACM0"), "flash"):
        pass
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", ["a link", "no folder"])
def test_where_no_lock_can_be_made_that_is_said_and_nothing_is_overwritten(
    terminal: str, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (tmp_path / "precious").write_text("kept")
    if kind == "a link":
        folder.mkdir()
        (folder / f"{identity(terminal)}.lock").symlink_to(tmp_path / "precious")
    else:
        folder.write_text("a file")
    with claimed(terminal, "flash"):
        pass
    assert "nothing keeps another command from this board" in capsys.readouterr().out
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_pipe_in_a_locks_place_holds_nobody_up(terminal: str, folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / f"{identity(terminal)}.lock")
    told = pytest.raises(BoardFailed, match="another command of Edgewright is at")
    with claimed(terminal, "flash"), told, claimed(terminal, "flash"):
        pass

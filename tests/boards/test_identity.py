"""Which board is it: a virtual one is known at whatever port, and no two commands are at one board at a time."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import serial
from toy_board import PROJECT, Toy, make_bundle, model_of, standing

from edgewright.boards import bundles, claims, live, questions
from edgewright.boards.bundles import Bundle
from edgewright.boards.flash import Target, flash
from edgewright.boards.loader import NoLoader, Written
from edgewright.boards.virtual.network import Inference
from edgewright.boards.virtual.telnet import Telnet
from edgewright.config import Device
from edgewright.errors import BoardFailed, EdgewrightError

WAIT_S = 20.0
XIAO = PROJECT.devices["esp32s3"]


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "FOLDER", tmp_path / "locks")


def flashed(made: Bundle, target: Target) -> dict[str, Any]:
    """Flash a board of which nobody has said that it is a virtual one."""
    target = replace(target, virtual=False)
    return flash(made, target, bundles.writes_of(made, target.firmware, target.board, ""))


@contextmanager
def relayed(port: Path) -> Iterator[str]:
    """Lead a TCP port to a pty, as ser2net or socat do; yield its URL."""
    number = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def carry() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    client, _ = server.accept()
                    with client:
                        serve(client)

        def serve(client: socket.socket) -> None:
            client.settimeout(0.01)
            while not over.is_set():
                with suppress(TimeoutError):
                    if not (data := client.recv(4096)):
                        return
                    while data:
                        select.select([], [number], [])
                        data = data[os.write(number, data) :]
                with suppress(BlockingIOError):
                    client.sendall(os.read(number, 4096))

        thread = threading.Thread(target=carry, daemon=True)
        thread.start()
        try:
            yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join()
            os.close(number)


@pytest.mark.parametrize("name", ["link", "terminal", "relative", "another-link"])
def test_a_virtual_board_is_known_by_every_name_of_its_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = make_bundle(tmp_path / "dist", XIAO, model_of(5000))
    with standing(XIAO, tmp_path / "board", Toy()) as (_, target):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mine").symlink_to(target.port)
        names = {
            "link": target.port,
            "terminal": os.path.realpath(target.port),
            "relative": "./board/port",
            "another-link": str(tmp_path / "mine"),
        }
        assert {claims.identity(port) for port in names.values()} == {claims.identity(target.port)}
        found = flashed(made, replace(target, port=names[name]))
    assert found["virtual"] is True
    assert json.loads((made.folder / "board.json").read_text())["virtual"] is True


def test_a_virtual_board_is_known_behind_rfc_2217(device: Device, tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "dist", device, model_of(5000))
    with standing(device, tmp_path / "board", Toy(), connect=Telnet) as (_, target):
        assert target.port.startswith("rfc2217://")
        assert flashed(made, target)["virtual"] is True


@pytest.mark.parametrize("relay", [True, False], ids=["a-relay", "rfc2217-as-a-plain-socket"])
def test_a_virtual_board_is_known_behind_a_plain_socket(tmp_path: Path, relay: bool) -> None:
    made = make_bundle(tmp_path / "dist", XIAO, model_of(5000))
    with standing(XIAO, tmp_path / "board", Toy(), connect=None if relay else Telnet) as (_, target):
        if relay:
            with relayed(Path(target.port)) as url:
                assert flashed(made, replace(target, port=url))["virtual"] is True
        else:
            url = target.port.replace("rfc2217", "socket")
            with live.conversation(url, target.board) as client:
                assert questions.is_virtual(client)


def test_the_word_of_a_virtual_board_at_a_port_does_not_replace_a_real_ones(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "dist", XIAO, model_of(5000))
    (made.folder / "board.json").write_text('{"virtual": false, "id": "a real one"}')
    with standing(XIAO, tmp_path / "board", Toy()) as (_, target):
        assert flashed(made, target)["virtual"] is True
    assert json.loads((made.folder / "board.json").read_text())["id"] == "a real one"


def test_the_command_that_only_we_know_is_in_no_list(tmp_path: Path) -> None:
    with standing(XIAO, tmp_path / "board", Toy()) as (_, target), serial.Serial(target.port, timeout=0.5) as client:
        client.write(b"AT+HELP?\r")
        listed = client.read(10_000)
        client.write(b"AT+EDGEWRIGHT?\r")
        answer = client.read(1000)
    assert b"AT+INVOKE" in listed
    assert b"EDGEWRIGHT" not in listed
    assert json.loads(answer) == {"type": 0, "name": "EDGEWRIGHT?", "code": 0, "data": {"virtual": True}}


class Slow(Toy):
    """A network on which a flash comes to wait, so that another command can come in between."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.goes_on = threading.Event(), threading.Event()

    def infer(self, score: int, iou: int, *, image: bool, frame: tuple[int, int]) -> Inference:
        self.reached.set()
        self.goes_on.wait(WAIT_S)
        return super().infer(score, iou, image=image, frame=frame)


def watch(made: Bundle, target: Target) -> None:
    live.watch(target.board, target.port, target.firmware, target.title, made, view=False, count=1)


@pytest.mark.parametrize(
    ("first", "fact"),
    [(flashed, "another make flash is writing to {port}"), (watch, "make monitor is watching {port}")],
    ids=["flash", "monitor"],
)
def test_a_second_command_is_told_what_the_first_one_does(
    tmp_path: Path, first: Callable[[Bundle, Target], Any], fact: str
) -> None:
    made, slow = make_bundle(tmp_path / "dist", XIAO, model_of(5000)), Slow()
    with standing(XIAO, tmp_path / "board", slow) as (_, target):
        slow.goes_on.set()
        flashed(made, target)
        slow.goes_on.clear()
        slow.reached.clear()
        thread = threading.Thread(target=first, args=(made, target))
        thread.start()
        assert slow.reached.wait(WAIT_S)
        (tmp_path / "mine").symlink_to(target.port)
        for second in (flashed, watch):
            other = replace(target, port=str(tmp_path / "mine"))
            with pytest.raises(BoardFailed) as problem:
                second(made, other)
            assert str(problem.value) == fact.format(port=other.port)
            assert "kill" not in problem.value.hint
        slow.goes_on.set()
        thread.join(WAIT_S)
        flashed(made, target)


def test_whoever_watches_a_virtual_board_at_a_port_is_told_whose_time_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_bundle(tmp_path / "dist", XIAO, model_of(5000))
    with standing(XIAO, tmp_path / "board", Toy()) as (_, target):
        flashed(made, target)
        watch(made, target)
    assert "a virtual board: milliseconds and fps are this machine's" in capsys.readouterr().out


class Other:
    """Something at a port that is none of our boards."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.master, self.slave = os.openpty()
        self.answer, self.over = answer, threading.Event()
        os.set_blocking(self.master, False)
        tty.setraw(self.slave)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.over.wait(0.005):
            with suppress(BlockingIOError):
                os.write(self.master, self.answer(os.read(self.master, 4096)))

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        os.close(self.slave)
        os.close(self.master)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (lambda data: data, "sends back what it is sent"),
        (lambda data: data + b"\r\nERROR\r\n", "is a modem"),
        (lambda data: b"\r\nOK\r\n", "is a modem"),
        (lambda data: data.replace(b"\n", b"") + b"\nlogin: incorrect\r\n", "sends back what it is sent"),
    ],
    ids=["echo", "modem-with-echo", "modem", "a-login"],
)
def test_what_cannot_be_the_board_is_told_before_anything_is_written(
    device: Device, tmp_path: Path, answer: Callable[[bytes], bytes], what: str
) -> None:
    made, other = make_bundle(tmp_path / "dist", device, model_of(5000)), Other(answer)
    with standing(device, tmp_path / "board", Toy()) as (_, target):
        target = replace(target, port=os.ttyname(other.slave))
        for command in (flashed, watch):
            with pytest.raises(BoardFailed) as problem:
                command(made, target)
            assert str(problem.value) == f"what is at {target.port} {what}: this is probably no {device.title}"
    other.close()


def test_a_board_whose_firmware_answers_is_one_even_if_its_loader_does_not(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf:
        def write(self, *_: object) -> Written:
            raise NoLoader("no loader answers", "press RESET")

    monkeypatch.setattr("edgewright.boards.flash.LOADERS", {"esptool": Deaf(), "xmodem": Deaf()})
    made = make_bundle(tmp_path / "dist", device, model_of(5000))
    with standing(device, tmp_path / "board", Toy()) as (_, target), pytest.raises(NoLoader) as problem:
        flashed(made, target)
    assert (str(problem.value), problem.value.hint) == ("no loader answers", "press RESET")


def test_where_nothing_answers_at_all_that_is_probably_no_such_board(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(questions, "ANSWER_S", 0.3)
    monkeypatch.setattr("edgewright.boards.menu.MENU_S", 1.0)
    monkeypatch.setattr("edgewright.boards.menu.ALONE_S", 0.5)
    monkeypatch.setattr("edgewright.boards.esp.CONNECT_S", 1.0)
    made, other = make_bundle(tmp_path / "dist", device, model_of(5000)), Other(lambda data: b"")
    with standing(device, tmp_path / "board", Toy()) as (_, target):
        target = replace(target, port=os.ttyname(other.slave))
        with pytest.raises(EdgewrightError, match=f"this is probably no {device.title}".replace("(", r"\(")[:40]):
            flashed(made, target)
        said = capsys.readouterr().out
        assert f"nothing answers at {target.port}" in said
        assert f"no {device.title} at all" in said
        if target.board.loader == "xmodem":
            assert target.board.download in said, "where nobody watches a bar as well"
    other.close()

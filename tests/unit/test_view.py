"""The page with live results: who may read it, and what readers get."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from edgewright.boards.dialects import Event
from edgewright.boards.monitor import Frame, Timing
from edgewright.boards.view import PAGE, View
from edgewright.errors import BoardFailed

BOX = (118, 131, 180, 87, 94, 0)
WAIT_S = 5.0  # for what comes at once


def frame(number: int, score: int | None = 94, image: str = "") -> Frame:
    found = [((*BOX[:4], score, 0), ((112, 60, 95, 0),))] if score is not None else []
    event = Event("keypoints", keypoints=tuple(found), perf=(8, 62, 1), width=240, height=240, image=image)
    return Frame(number, event, found, 14.1)


@pytest.fixture
def view() -> Iterator[View]:
    with View("a model on a board", ["person"]) as view:
        yield view


def address(view: View) -> tuple[str, int]:
    parts = urlsplit(view.url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def get(view: View, path: str = "", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection(*address(view), timeout=WAIT_S)) as connection:
        connection.request(method, path if path.startswith("/") else urlsplit(view.url).path + path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


class Reader:
    """A browser that reads /events."""

    def __init__(self, view: View, *, buffer: int = 0) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(address(view))
        self.socket.sendall(
            f"GET {urlsplit(view.url).path}events HTTP/1.1\r\nHost: {urlsplit(view.url).netloc}\r\n\r\n".encode()
        )
        self.file = self.socket.makefile("rb")

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield each message, the facts first; end with the stream."""
        for line in self.file:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def vanish(self) -> None:
        """Go as a browser does that crashes: nothing is read any more, and nothing said."""
        self.file.close()
        self.socket.close()


def test_the_page_is_there_and_fetches_nothing_from_elsewhere(view: View) -> None:
    status, headers, content = get(view)
    assert (status, content) == (200, PAGE.read_bytes())
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert not re.search(rb"""(?:src|href|url)\s*[=(]\s*["']?(?!data:)[\w/]""", content)


def test_the_policy_lets_the_pages_own_script_and_style_run_and_no_other(view: View) -> None:
    _, headers, content = get(view)
    policy = dict(rule.strip().split(" ", 1) for rule in headers["Content-Security-Policy"].split(";"))
    for tag in ("script", "style"):
        (own,) = re.findall(f"<{tag}>(.*?)</{tag}>".encode(), content, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(own).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert not re.search(rb"<[^>]+\s(?:style|on\w+)=", content), "the policy forbids them"


def test_every_answer_has_the_headers_that_keep_others_out(view: View) -> None:
    for path in ("", "/nowhere"):
        _, headers, _ = get(view, path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Content-Security-Policy" in headers


@pytest.mark.parametrize("path", ["", "events"])
@pytest.mark.parametrize(
    "host", ["example.org", "example.org:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}0", ""]
)
def test_a_request_by_another_name_is_refused(view: View, host: str, path: str) -> None:
    status, _, content = get(view, path, Host=host.format(port=address(view)[1]))
    assert status == 403
    assert b"person" not in content


def test_the_machines_own_name_for_itself_is_accepted(view: View) -> None:
    assert get(view, Host=f"localhost:{address(view)[1]}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_nothing_but_get_is_answered(view: View, method: str) -> None:
    assert get(view, method=method)[0] == 501


@pytest.mark.parametrize("path", ["view.html", "../errors.py", "events/", "?"])
def test_there_are_no_other_pages(view: View, path: str) -> None:
    assert get(view, path)[0] == 404


@pytest.mark.parametrize("path", ["/", "/events", "/../", "//", "/{wrong}/", "/{wrong}/events"])
def test_another_user_of_this_machine_who_does_not_know_the_address_sees_nothing(view: View, path: str) -> None:
    view.publish(frame(1))
    right = urlsplit(view.url).path.strip("/")
    assert len(right) >= 43, "256 bits"
    status, _, content = get(view, path.format(wrong=right[:-1] + ("A" if right[-1] != "A" else "B")))
    assert status == 404
    assert b"person" not in content
    with View("another", []) as other:
        assert urlsplit(other.url).path != urlsplit(view.url).path


def test_text_that_would_turn_or_hide_other_text_is_shown_as_what_it_is() -> None:
    with View("a\x1b[31m model", ["per\u202eson", "<b>bold</b>"]) as view:
        events = Reader(view).events()
        facts = next(events)
        next(events)
        view.close("unplugged\x07 while it sent \u2066results")
        assert (facts["title"], facts["names"]) == ("a\\x1b[31m model", ["per\\u202eson", "<b>bold</b>"])
        assert next(events)["why"] == "unplugged\\x07 while it sent \\u2066results"


def test_a_page_knows_whose_time_it_shows() -> None:
    with View("a model", [], Timing(True, (608.0, 2608.0))) as view:
        facts = next(Reader(view).events())
    assert (facts["virtual"], facts["estimate"]) == (True, "608 to 2,608 ms")


def test_only_this_machine_is_listened_to(view: View) -> None:
    assert view._server.socket.getsockname()[0] == "127.0.0.1"


def test_a_reader_gets_the_facts_what_is_there_and_what_comes(view: View) -> None:
    events = Reader(view).events()
    assert next(events) == {
        "title": "a model on a board",
        "names": ["person"],
        "skeleton": [],
        "virtual": False,
        "estimate": "",
    }
    assert next(events) == {"state": "waiting"}
    view.publish(frame(1, image="abc="))
    message = next(events)
    assert (message["state"], message["number"], message["image"]) == ("live", 1, "abc=")
    assert message["found"] == [[list(BOX), [[112, 60, 95, 0]]]]
    assert (message["perf"], message["size"]) == ([8, 62, 1], [240, 240])


def test_all_readers_get_a_frame_and_one_who_comes_back_gets_the_newest_at_once(view: View) -> None:
    streams = [Reader(view).events() for _ in range(5)]
    for stream in streams:
        assert [next(stream).get("state") for _ in range(2)] == [None, "waiting"]
    view.publish(frame(1))
    assert [next(stream)["number"] for stream in streams] == [1] * 5
    again = Reader(view).events()
    next(again)
    assert next(again)["number"] == 1


def test_the_scores_of_the_last_frames_come_with_each_also_those_of_frames_that_a_reader_missed(view: View) -> None:
    for number in range(1, 71):
        view.publish(frame(number, None if number == 70 else number))
    events = Reader(view).events()
    next(events)
    assert next(events)["scores"] == [*range(11, 70), 0]


def test_a_slow_reader_misses_frames_and_is_not_shown_old_ones(view: View) -> None:
    reader = Reader(view, buffer=1 << 14)
    events = reader.events()
    assert [next(events).get("state") for _ in range(2)] == [None, "waiting"]
    for number in range(1, 401):  # 40 MB in all
        view.publish(frame(number, image="A" * 100_000))
    time.sleep(0.1)
    numbers = []
    while not numbers or numbers[-1] < 400:
        numbers.append(next(events)["number"])
    assert len(numbers) < 8
    assert numbers == sorted(set(numbers))


def test_a_reader_who_vanishes_holds_nobody_up_and_nothing_is_said(
    view: View, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, stays = Reader(view), Reader(view).events()
    assert len([next(gone.events()), next(stays), next(stays)]) == 3
    gone.vanish()
    for number in range(1, 6):
        view.publish(frame(number))
        time.sleep(0.01)
    while next(stays)["number"] < 5:
        pass
    deadline = time.monotonic() + WAIT_S
    while view._news._readers > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert view._news._readers == 1, "its thread ends"
    assert capsys.readouterr().err == ""


def test_an_error_is_told_to_the_readers_before_the_page_ends() -> None:
    view = View("t", [])
    events = Reader(view).events()
    assert [next(events).get("state") for _ in range(2)] == [None, "waiting"]
    with pytest.raises(BoardFailed), view:
        raise BoardFailed("unplugged while it sent results")
    assert list(events) == [{"state": "gone", "why": "unplugged while it sent results"}]


def test_a_page_that_is_closed_says_that_it_ended_and_frees_the_port() -> None:
    view = View("t", [])
    events = Reader(view).events()
    next(events)
    view.close()
    assert [event["state"] for event in events][-1] == "ended"
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(address(view))
        other.listen()


def stuck_reader(view: View) -> Reader:
    """Return one for whom a frame has been sent that it does not take."""
    reader = Reader(view, buffer=1 << 12)
    assert [next(reader.events()).get("state") for _ in range(2)] == [None, "waiting"]
    view.publish(frame(1, image="A" * 10_000_000))
    time.sleep(0.05)
    return reader


def test_a_reader_who_takes_nothing_does_not_keep_the_page_from_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.boards.view._FAREWELL_S", 0.1)
    view = View("t", [])
    reader = stuck_reader(view)
    started = time.monotonic()
    view.close()
    assert time.monotonic() - started < 2
    reader.vanish()


def test_a_reader_who_is_late_still_gets_the_last_news_before_the_page_has_closed() -> None:
    view = View("t", [])
    reader = stuck_reader(view)
    news: list[dict[str, Any]] = []
    late = threading.Timer(0.15, lambda: news.extend(reader.events()))
    late.start()
    view.close()
    assert view._news._readers == 0
    late.join()
    assert [event["state"] for event in news] == ["live", "ended"]

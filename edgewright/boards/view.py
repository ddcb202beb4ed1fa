"""Live results as a page in the browser: view.html, and the newest frame for whoever reads, served to this machine only."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import socket
import sys
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from edgewright.boards.monitor import OWN, Frame, Timing
from edgewright.errors import EdgewrightError
from edgewright.log import visible

PAGE = Path(__file__).with_name("view.html")
LOOPBACK = "127.0.0.1"
HISTORY = 60  # frames whose best scores the page draws
_IDLE_S = 5.0  # after which a reader gets a sign of life: writing is how a reader who has vanished is noticed
_STUCK_S = 10.0  # a reader who takes nothing for so long is let go; a browser comes back by itself
_FAREWELL_S = 1.0  # for readers to get the last news
_BUFFER = 1 << 16  # bytes that the system may hold for a reader; with more, one who is slow would see old frames


class View:
    """A page with live results; used with `with`, an error that ends the block is what the page then says of the board.

    `names` are those of the classes, `skeleton` pairs of keypoints; without it, 17 keypoints are joined as COCO's. Who may read the
    page is who has its address: another user of this machine can reach the port, and cannot guess the rest.
    """

    def __init__(
        self, title: str, names: Sequence[str], timing: Timing = OWN, skeleton: Sequence[tuple[int, int]] = ()
    ) -> None:
        self._scores: deque[int] = deque(maxlen=HISTORY)
        facts = {"title": visible(title), "names": list(map(visible, names)), "skeleton": list(skeleton)}
        self._news = _News({**facts, "virtual": timing.virtual, "estimate": timing.estimate})
        self._server = _Server(self._news)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://{LOOPBACK}:{self._server.server_port}{self._server.folder}"

    def publish(self, frame: Frame) -> None:
        """Show a frame. A reader who is slow misses frames, and sees no old ones."""
        self._scores.append(frame.found[0][0][4] if frame.found else 0)
        self._news.put(
            {
                "state": "live",
                "number": frame.number,
                "fps": frame.fps,
                "found": frame.found,
                "perf": frame.event.perf,
                "size": [frame.event.width, frame.event.height],
                "image": frame.event.image,
                "scores": list(self._scores),
            }
        )

    def close(self, why: str = "") -> None:
        """Tell the readers that it is over (`why`: what became of the board), and free the port."""
        self._news.end({"state": "gone" if why else "ended", "why": visible(why)})
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> View:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(str(error) if isinstance(error, EdgewrightError) else "")


class _News:
    """The newest message, for any number of readers."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = b"event: facts\n" + _message(facts)
        self._newest, self._number = _message({"state": "waiting"}), 1
        self._over = False
        self._readers = 0
        self._changed = threading.Condition()

    def put(self, message: dict[str, Any], *, over: bool = False) -> None:
        """Replace the newest message, by the last one where it is `over`."""
        content = _message(message)
        with self._changed:
            self._newest, self._number, self._over = content, self._number + 1, over
            self._changed.notify_all()

    def end(self, message: dict[str, Any]) -> None:
        """Put the last message, and wait until all have read it; not long."""
        self.put(message, over=True)
        with self._changed:
            self._changed.wait_for(lambda: not self._readers, _FAREWELL_S)

    def read(self) -> Generator[bytes, None, None]:
        """Yield the facts and the newest message, then whichever is the newest when the one before is taken, up to the last."""
        read, over = 0, False
        with self._changed:
            self._readers += 1
        try:
            yield self._facts
            while not over:
                with self._changed:
                    if read == self._number:
                        self._changed.wait(_IDLE_S)
                    content = self._newest if read != self._number else b":\n\n"
                    read, over = self._number, self._over
                yield content
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()


class _Server(ThreadingHTTPServer):
    def __init__(self, news: _News) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.news = news
        self.page = PAGE.read_bytes()
        self.folder = f"/{secrets.token_urlsafe()}/"
        self.hosts = {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}
        self.policy = _policy(self.page)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a reader who has gone is no error
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "edgewright", ""
    timeout = _STUCK_S

    def do_GET(self) -> None:
        # A page elsewhere could have its own name lead here (DNS rebinding) and read along: such a request has that name.
        if self.headers.get_all("Host", []) not in [[host] for host in self.server.hosts]:
            self.send_error(HTTPStatus.FORBIDDEN)
        elif not secrets.compare_digest(self.path[: len(self.server.folder)].encode(), self.server.folder.encode()):
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self.path == self.server.folder:
            self._begin("text/html; charset=utf-8")
            self.wfile.write(self.server.page)
        elif self.path == f"{self.server.folder}events":
            self._begin("text/event-stream")
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            with closing(self.server.news.read()) as messages:
                for message in messages:
                    self.wfile.write(message)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _begin(self, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def end_headers(self) -> None:
        for name, value in (
            ("Content-Security-Policy", self.server.policy),
            ("Cache-Control", "no-store"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal shows what the board sees."""


def _message(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n"


def _policy(page: bytes) -> str:
    """Allow the page its own script and style by their hashes, and its own server; nothing else."""
    own = {}
    for tag in (b"script", b"style"):
        parts = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(part).digest()).decode() for part in parts)
        own[tag] = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {own[b'script']}; style-src {own[b'style']}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

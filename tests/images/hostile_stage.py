"""A stage that does what its request asks for: left in place of a real one's main.py, it leaves behind what no stage should.

Imports nothing but Python's own library, for it runs in the environment of a small stage.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text())
out, secret, attack = Path(request["output"]), request["parameters"]["secret"], request["parameters"]["attack"]
model, summary = out / "network.npz", out / "network.json"
model.write_text("fine")
summary.write_text("{}")


def swap(path: Path, make: object) -> None:
    path.unlink()
    make(path)  # type: ignore[operator]


def stay() -> None:
    """Leave a process behind that turns the output into a link and back, for some seconds."""
    if os.fork():
        return
    os.setsid()
    for handle in range(3):
        os.close(handle)
    until = time.monotonic() + 6
    link, plain = out.parent / "swapped-link", out.parent / "swapped-plain"
    if not link.is_symlink():
        link.symlink_to(secret)
    while time.monotonic() < until:
        for folder in (out, out.with_name(out.name + ".taken")):
            try:
                plain.write_text("fine")
                os.replace(link, folder / "network.npz")
                os.replace(plain, folder / "network.npz")
                link.symlink_to(secret)
            except OSError:
                pass
    os._exit(0)


def deep() -> None:
    at = os.open(out, os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below


def bind(path: Path) -> None:
    os.chdir(out)
    socket.socket(socket.AF_UNIX).bind(path.name)


def grow(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)  # all of it a hole


ATTACKS = {
    "record as a link": lambda: (out / "record.json").symlink_to(secret),
    "output as a link": lambda: swap(model, lambda path: path.symlink_to(secret)),
    "output as a link to the environment": lambda: swap(model, lambda path: path.symlink_to("/proc/self/environ")),
    "output as a pipe": lambda: swap(model, os.mkfifo),
    "output as a socket": lambda: swap(model, bind),
    "output as a folder of links": lambda: swap(model, lambda path: (path.mkdir(), (path / "x").symlink_to(secret))),
    "output as a hard link": lambda: swap(model, lambda path: os.link(secret, path)),
    "a whiteout": lambda: os.mknod(out / "whiteout", 0o20666, 0),
    "log as a link": lambda: (out / "log.txt").symlink_to(secret),
    "too many files": lambda: [(out / f"{i}").touch() for i in range(300)],
    "too large a file": lambda: grow(out / "large"),
    "thousands of folders": deep,
    "a name that is no text": lambda: os.close(os.open(os.fsencode(out) + b"/caf\xe9", os.O_CREAT)),
    "a closed folder": lambda: ((out / "closed").mkdir(), (out / "closed" / "x").touch(), (out / "closed").chmod(0)),
    "set-id and for all": lambda: (model.chmod(0o6777), summary.chmod(0o600)),
    "a process that stays": stay,
    "escape sequences": lambda: print("1/2 \x1b]0;owned\x07\x1b[2J\n\x1b[31mred"),
    "no end": lambda: time.sleep(600),
}
ATTACKS[attack]()

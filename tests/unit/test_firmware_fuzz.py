"""Whatever comes over the line, the firmware of a virtual board answers in frames, restarts, or says nothing."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from firmware_talk import FIRMWARES, Desk
from hypothesis import given
from hypothesis import strategies as st

from edgewright.boards.virtual.wire import Reset
from edgewright.boards.virtual.words_1 import COMMANDS, LIMITS

# One of each kind: with options and without, with a network of its own and without, and both of 2.x.
SPOKEN = [
    "grove-vision-ai-v2-sscma-1.x",
    "grove-vision-ai-v2-sscma-2024-01",
    "esp32s3-sscma-2.x",
    "grove-vision-ai-v2-sscma-2.x",
]
NAMES = [one.name for one in (*COMMANDS, *LIMITS)] + ["TRIGGER", "TRIGGER?", "MQTTCA", "MQTTCA?", "EDGEWRIGHT?"]
ARGUMENT = (
    st.integers(-(2**40), 2**40).map(str)
    | st.sampled_from(["0", "1", "2", "-1", "a", "ff", '""', '"', "'x", "8193", '"led(1)"', "(", '"\\"', ""])
    | st.text(max_size=40).map(lambda text: f'"{text}"')
)
COMMAND = st.builds(
    lambda tag, name, arguments, end: f"AT+{tag}{name}={','.join(arguments)}{end}",
    st.sampled_from(["", "t@", "@", "a@b@"]),
    st.sampled_from(NAMES),
    st.lists(ARGUMENT, max_size=7),
    st.sampled_from(["\r", "\n", "\r\n"]),
)
CHUNKS = st.lists(COMMAND.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=60), max_size=12)
PLAIN = (b"Enter bootloader\r\n", b"  AT+", b"    ")


@pytest.mark.parametrize("name", SPOKEN)
@given(chunks=CHUNKS)
def test_whatever_comes_is_answered_in_frames(
    tmp_path_factory: pytest.TempPathFactory, name: str, chunks: list[bytes]
) -> None:
    desk = _desk(tmp_path_factory, name)
    with suppress(Reset):
        desk.talk(*chunks)
    for line in desk.wire.said.removeprefix(PLAIN[0]).replace(PLAIN[0], b"").split(b"\n"):
        if line and not line.startswith(PLAIN):
            message = json.loads(line)
            assert {"type", "name", "code"} <= set(message)


_DESKS: dict[str, Desk] = {}


def _desk(folders: pytest.TempPathFactory, name: str) -> Desk:
    """Return a board that has heard all of the examples before."""
    if name not in _DESKS:
        _DESKS[name] = Desk(folders.mktemp(name), FIRMWARES[name])
        _DESKS[name].put(0)
    return _DESKS[name]

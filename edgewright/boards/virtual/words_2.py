"""What SSCMA 2.x says: numbers and pieces of its JSON.

Source: Seeed-Studio/SSCMA-Micro `main` ab1d5f0, sscma/server/at/.
"""

from __future__ import annotations

import re
import struct

ENOENT, FAILED = 10, -1
CAMERA = 0
PRESET = 3  # which the cameras take for the preset 0, Default: ma_camera_esp32.cpp L47, ma_camera_himax.cpp L50
KEPT_LIMITS = "2024.11.25"  # ab1d5f0, resource.hpp L40-41: builds before forget TSCORE and TIOU at a reset, though they store them
SCORE, IOU = 25, 45  # callback/resource.hpp: shared by all decoders
# Class, comparison, percent, pin, level, level when it holds.
RULE = re.compile(r"\d+,[0-5],(100|\d?\d),(?P<pin>\d+),[01],[01]")

NO_MODEL = {"id": 0, "type": 0, "size": 0, "name": 0, "address": 0}


def truncated(percent: int) -> int:
    """Return a percentage after its way through a float: 45 becomes 0.449999988, and that 44."""
    (as_float,) = struct.unpack("f", struct.pack("f", percent / 100))
    return int(as_float * 100.0)


def example(pattern: str) -> str:
    """Return a text that the expression for a hardware's name fits: the first of a set, and no backslashes."""
    return re.sub(r"\[(.)[^]]*\]", r"\1", pattern).replace("\\", "")


def signed(value: int) -> int:
    """Return what an int makes of 32 bits."""
    return value - (1 << 32) if value >> 31 else value

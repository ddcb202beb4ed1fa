"""What SSCMA 2.x says: numbers and pieces of its JSON.

Source: Seeed-Studio/SSCMA-Micro `main` ab1d5f0, sscma/server/at/.
"""

from __future__ import annotations

import re
import struct
from typing import Any

ENOENT, FAILED = 10, -1
# Flash as the processor sees it: an address of a model is a pointer here. This is the mapping of the WiseEye2.
MAPPED = 0x3A000000
PRESETS = ("Default", "240x240 Small")
CAMERA = {"id": 0, "type": "Camera", "initialized": True}
SCORE, IOU = 25, 45  # callback/resource.hpp: shared by all decoders
RULE = re.compile(r"\d+,[0-5],(100|\d?\d),\d+,[01],[01]")  # class, comparison, percent, pin, level, level when it holds

NO_MODEL = {"id": 0, "type": 0, "size": 0, "name": 0, "address": 0}
# Of a board that was told of no network (callback/wifi.hpp, mqtt.hpp).
WIFI = {
    "in4_info": {"ip": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "0.0.0.0"},
    "in6_info": {"ip": "0:0:0:0:0:0:0:0"},
    "config": {"name": "", "security": 0, "password": ""},
    "status": 0,
}
MQTT = {"address": "", "port": 0, "username": "", "password": "", "client_id": "", "use_ssl": 0}
TOPICS = {"pub_topic": "", "pub_qos": 0, "sub_topic": "", "sub_qos": 0}


def presets() -> list[dict[str, Any]]:
    """Return what it says of the camera's presets."""
    return [{"id": at, "description": text} for at, text in enumerate(PRESETS)]


def truncated(percent: int) -> int:
    """Return a percentage after its way through a float: 45 becomes 0.449999988, and that 44."""
    (as_float,) = struct.unpack("f", struct.pack("f", percent / 100))
    return int(as_float * 100.0)


def example(pattern: str) -> str:
    """Return a text that the expression for a hardware's name fits: the first of a set, and no backslashes."""
    return re.sub(r"\[(.)[^]]*\]", r"\1", pattern).replace("\\", "")

"""What SSCMA 1.x says: numbers, pieces of its JSON, and since which build.

Source: Seeed-Studio/SSCMA-Micro `1.0.x` ff48a1c, and its history for the dates.
"""

from __future__ import annotations

from typing import Any

from edgewright.boards.virtual.models import Model

# What came when: builds before lack it.
SENSOR_OPTIONS = "2024.02.28"  # 3541ac8: a third argument of SENSOR
INFO_BY_MODEL = "2024.03.26"  # 8ef2f15
BOOT_STATUS = "2024.03.28"  # ee2a130: INIT@STAT?, and the resolution in events with a picture
PLAIN_VERSION = "2024.04.18"  # 13bbceb: no `v` in front
WORLD = "2024.05.22"  # 4986c7b, and 2b40981: `rotate`
LAZY_MODEL = "2024.06.21"  # aa86b34: a model is loaded by MODEL or INVOKE, no longer at boot
INFO_RETRIES = "2024.10.15"  # 43aecd9
NEWLINE = "2024.12.26"  # 0715eef: \n ends a command as well as \r

# el_algorithm_delegate.cpp: type → category (1 detection, 2 pose, 3 classification), in the order of ALGOS?.
CATEGORIES = {7: 1, 6: 1, 8: 1, 5: 2, 4: 3, 3: 1, 2: 2, 1: 1}
YOUNG = (7, 8)  # the types that came with WORLD, or shortly before
OPTIONS = {2: "640x480 Auto", 1: "480x480 Auto", 0: "240x240 Auto"}  # el_camera.h, pushed to the front of a list
CAMERA = 1
FAILED = 10  # the code
AUTOMATIC = 0

# Of a board that was told of no network (callback/wifi.hpp, mqtt.hpp).
WIFI = {
    "status": 0,
    "in4_info": {"ip": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "0.0.0.0"},
    "in6_info": {"ip": "0:0:0:0:0:0:0:0"},
    "config": {"name_type": 0, "name": "", "security": 0, "password": ""},
}
MQTT = {"client_id": "", "address": "", "port": 0, "username": "", "password": "", "use_ssl": 0}
TOPICS = {"pub_topic": "sscma/v0//tx", "pub_qos": 0, "sub_topic": "sscma/v0//rx", "sub_qos": 0}


def model_json(model: Model) -> dict[str, int]:
    """Return what it says of a model."""
    return {"id": model.id, "type": model.type, "address": model.address, "size": model.size}


def algorithm_json(kind: int) -> dict[str, Any]:
    """Return what it says of a decoder; zeros for none."""
    return {"type": kind, "categroy": CATEGORIES.get(kind, 0), "input_from": CAMERA if kind else 0}

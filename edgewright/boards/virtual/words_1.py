"""What SSCMA 1.x says: numbers, pieces of its JSON, and since which build.

Source: Seeed-Studio/SSCMA-Micro `1.0.x` ff48a1c, and its history for the dates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgewright.boards.virtual.models import Model

# What came when: builds before lack it.
EXTERNAL_NETWORK = "2024.02.26"  # 03c6384: where the board has no network, a host tells of its own
SENSOR_OPTIONS = "2024.02.28"  # 3541ac8: a third argument of SENSOR
INFO_BY_MODEL = "2024.03.26"  # 8ef2f15
BOOT_STATUS = "2024.03.28"  # ee2a130: INIT@STAT?, WIFIVER, and the resolution in events with a picture
PLAIN_VERSION = "2024.04.18"  # 13bbceb: no `v` in front
KEPT_OPTION = "2024.05.22"  # 13b7544: the camera's option is stored, and has 16 bits
WORLD = "2024.05.22"  # 4986c7b, and 2b40981: `rotate`
OTA = "2024.06.14"  # ebb6449
LAZY_MODEL = "2024.06.21"  # aa86b34: a model is loaded by MODEL or INVOKE, no longer at boot
REGISTERS = "2024.10.15"  # d6c20c0
HEXADECIMAL = "2024.10.15"  # 43aecd9: an argument without quotes may have letters from a to f, and begin with one
INFO_RETRIES = "2024.10.15"  # 43aecd9
NEWLINE = "2024.12.26"  # 0715eef: \n ends a command as well as \r

# el_algorithm_delegate.cpp: type → category (1 detection, 2 pose, 3 classification), in the order of ALGOS?.
CATEGORIES = {7: 1, 6: 1, 8: 1, 5: 2, 4: 3, 3: 1, 2: 2, 1: 1}
YOUNG = (7, 8)  # the types that came with WORLD, or shortly before
CAMERA = 1
FAILED = 10  # the code
AUTOMATIC = 0


@dataclass(frozen=True)
class Listed:
    """A command as it is registered: what HELP? says of it, and how many arguments it must have."""

    name: str
    about: str
    arguments: str = ""
    since: str = ""
    until: str = ""
    network: bool | None = None  # only on boards with a network of their own, or without one

    @property
    def count(self) -> int:
        """How many arguments (repl/server.hpp L58-62)."""
        return self.arguments.count(",") + 1 if self.arguments else 0


# main_task.hpp register_commands(), in its order.
COMMANDS = (
    Listed("HELP?", "List available commands"),
    Listed("ID?", "Get device ID"),
    Listed("NAME?", "Get device name"),
    Listed("STAT?", "Get device status"),
    Listed("VER?", "Get version details"),
    Listed("RST", "Reboot device"),
    Listed("BREAK", "Stop all running tasks"),
    Listed("YIELD", "Yield running tasks for a period time", "TIME_S"),
    Listed("LED", "Set LED status", "ENABLE/DISABLE"),
    Listed("MODELS?", "Get available models"),
    Listed("MODEL", "Load a model by model ID", "MODEL_ID"),
    Listed("MODEL?", "Get current model info"),
    Listed("ALGOS?", "Get available algorithms"),
    Listed("ALGO", "Set a algorithm by algorithm type ID", "ALGORITHM_ID"),
    Listed("ALGO?", "Get current algorithm info"),
    Listed("SENSORS?", "Get available sensors"),
    Listed("SENSOR", "Set a default sensor by sensor ID", "SENSOR_ID,ENABLE/DISABLE", until=SENSOR_OPTIONS),
    Listed("SENSOR", "Set a default sensor by sensor ID", "SENSOR_ID,ENABLE/DISABLE,OPT_ID", SENSOR_OPTIONS),
    Listed("SENSOR?", "Get current sensor info"),
    Listed("SAMPLE", "Sample data from current sensor", "N_TIMES"),
    Listed("SAMPLE?", "Get sample task status"),
    Listed("INVOKE", "Invoke for N times (-1 for infinity loop)", "N_TIMES,DIFFERED,RESULT_ONLY"),
    Listed("INVOKE?", "Get invoke task status"),
    Listed("ACTION", "Set action trigger", '"EXPRESSION"'),
    Listed("ACTION?", "Get action trigger"),
    Listed("INFO", "Store info string to device flash", '"INFO_STRING"'),
    Listed("INFO?", "Get info string from device flash"),
    Listed("WIFI", "Set and connect to a Wi-Fi", '"NAME",SECURITY,"PASSWORD"'),
    Listed("WIFISTA", "Set Wi-Fi status", "STA", EXTERNAL_NETWORK, network=False),
    Listed("WIFIIN4", "Set IPv4 info", '"IP","NETMASK","GATEWAY"', EXTERNAL_NETWORK, network=False),
    Listed("WIFIIN6", "Set IPv6 info", '"IP"', EXTERNAL_NETWORK, network=False),
    Listed("WIFIVER", "Set Wi-Fi version", "VER", BOOT_STATUS, network=False),
    Listed("WIFIVER?", "Get Wi-Fi version", "", BOOT_STATUS, network=False),
    Listed("WIFI?", "Get current Wi-Fi status and config"),
    Listed(
        "MQTTSERVER",
        "Set and connect to a MQTT server",
        '"CLIENT_ID","ADDRESS",PORT,"USERNAME","PASSWORD",USE_SSL',
    ),
    Listed("MQTTSERVERSTA", "Set MQTT server status", "STA", EXTERNAL_NETWORK, network=False),
    Listed("MQTTSERVER?", "Get current MQTT server status and config"),
    Listed("MQTTPUBSUB?", "Get current MQTT publish and subscribe topic"),
    Listed("OTA", "Enter OTA mode", "", OTA),
    Listed("SETREG", "Set register", '"ADDR","VAL"', REGISTERS),
    Listed("GETREG", "Get register", '"ADDR"', REGISTERS),
)
# callback/invoke.hpp register_config_cmds(): while a model runs.
LIMITS = (
    Listed("TSCORE", "Set score threshold", "SCORE_THRESHOLD"),
    Listed("TSCORE?", "Get score threshold"),
    Listed("TIOU", "Set IoU threshold", "IOU_THRESHOLD"),
    Listed("TIOU?", "Get IoU threshold"),
)


def listed(built: str, *, network: bool) -> tuple[Listed, ...]:
    """Return the commands of a build, in the order in which it registers them."""
    return tuple(
        one
        for one in COMMANDS
        if one.since <= built and not (one.until and one.until <= built) and one.network in (None, network)
    )


def help_text(commands: tuple[Listed, ...]) -> str:
    """Return what HELP? prints: the last that was registered comes first (repl/server.hpp L139, callback/common.hpp L16-27)."""
    return "".join(
        f"  AT+{one.name}{f'=<{one.arguments}>' if one.arguments else ''}\n    {one.about}\n"
        for one in reversed(commands)
    )


def model_json(model: Model) -> dict[str, int]:
    """Return what it says of a model."""
    return {"id": model.id, "type": model.type, "address": model.address, "size": model.size}


def algorithm_json(kind: int) -> dict[str, Any]:
    """Return what it says of a decoder; zeros for none."""
    return {"type": kind, "categroy": CATEGORIES.get(kind, 0), "input_from": CAMERA if kind else 0}

"""Wi-Fi and MQTT of SSCMA 1.x, as far as a board without a network in reach has them: what it was told it repeats.

Source: SSCMA-Micro ff48a1c, sscma/callback/wifi.hpp, mqtt.hpp; utility.hpp L394-506; interface/wifi.hpp L59-65,
interface/transport/mqtt.hpp L39-56, L97-111.
"""

from __future__ import annotations

from typing import Any

from edgewright.boards.virtual import words_1 as words
from edgewright.boards.virtual.addresses import is_bssid
from edgewright.boards.virtual.commands import number
from edgewright.boards.virtual.state import EINVAL, OK, State
from edgewright.boards.virtual.wireless import Answer, Wireless

NAME, PASSWORD = 32, 64  # definations.hpp L62-63: characters, with a zero at the end
CLIENT, ADDRESS, USER, SECRET = 64, 128, 128, 256  # L71-74
PORT, SSL_PORT = 1883, 8883  # L67-68
OPEN, SHORTEST = 1, 8  # wifi_secu_type_e::NONE: what has a password must have one of so many characters
NO_WIFI = {"name_type": 0, "name": "", "security": 0, "password": ""}
NO_SERVER = {"client_id": "", "address": "", "port": 0, "username": "", "password": "", "use_ssl": 0}


class Wireless1(Wireless):
    """What a host has told of networks, and what of it is stored."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.has_network = state.at.has_network
        self._product = f"{state.at.product}_{state.device_id}"
        # With a network of its own a board has a name for servers from the beginning, else when it is told of a server.
        self._client = self._product if self.has_network else ""

    def boot(self) -> list[tuple[str, Answer]]:
        """Set up what is stored; return what is told of it, under which name (hooks.hpp L65-91)."""
        if not self.has_network:
            return []
        told: list[tuple[str, Answer]] = []
        if (wifi := self.settings.get("wifi", None)) is not None:
            told.append(("INIT@WIFI", (OK, wifi)))
        if (server := self.settings.get("mqtt", None)) is not None:
            self._client = server["client_id"]
            told.append(("INIT@MQTTSERVER", (OK, server)))
        return told

    def set_wifi(self, name: str, security: str, password: str) -> Answer:
        """Do WIFI=."""
        if len(name) >= NAME or len(password) >= PASSWORD:
            return EINVAL, NO_WIFI
        kind = number(security) & 0xFF
        found = {"name_type": int(is_bssid(name)), "name": name, "security": kind, "password": password}
        if self.has_network and kind > OPEN and len(password) < SHORTEST:
            return EINVAL, found
        self.settings.put("wifi", found)
        return OK, found

    def wifi(self) -> dict[str, Any]:
        """Answer WIFI?."""
        config = self.settings.get("wifi", NO_WIFI)
        return {"status": self._wifi_status & 0xFF, "in4_info": self._in4, "in6_info": self._in6, "config": config}

    def set_server(self, client: str, address: str, port: str, user: str, secret: str, ssl: str) -> Answer:
        """Do MQTTSERVER=."""
        found = NO_SERVER | {"client_id": self._product}
        if len(client) >= CLIENT or len(address) >= ADDRESS or len(user) >= USER or len(secret) >= SECRET:
            return EINVAL, found
        found |= {"client_id": client or self._product, "address": address, "port": number(port) & 0xFFFFFFFF}
        found |= {"username": user, "password": secret, "use_ssl": int(number(ssl) != 0)}
        self._client = str(found["client_id"])
        self.settings.put("mqtt", found)
        return OK, found

    def server(self) -> dict[str, Any]:
        """Answer MQTTSERVER?. A board's own network has a default port, too; until 03c6384 what is stored was shown."""
        config = self.settings.get("mqtt", None)
        if config is None:
            config = NO_SERVER | {"client_id": self._client}
        elif self.has_network and self.state.at.built >= words.EXTERNAL_NETWORK and config["port"] == 0:
            config = config | {"port": SSL_PORT if config["use_ssl"] else PORT}
        return {"status": self._mqtt_status & 0xFF, "config": config}

    def set_server_status(self, status: str) -> Answer:
        """Do MQTTSERVERSTA=."""
        self._mqtt_status = number(status)
        return OK, {"status": self._mqtt_status}

    def topics(self) -> dict[str, Any]:
        """Answer MQTTPUBSUB?."""
        publish, subscribe = (f"sscma/v0/{self._client}/{way}" for way in ("tx", "rx"))
        return {"config": {"pub_topic": publish, "pub_qos": 0, "sub_topic": subscribe, "sub_qos": 0}}

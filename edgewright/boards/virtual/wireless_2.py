"""Wi-Fi and MQTT of SSCMA 2.x, as far as a board without a network in reach has them: what it was told it repeats.

Source: SSCMA-Micro ab1d5f0, sscma/server/at/callback/wifi.hpp, mqtt.hpp; codec/ma_codec_json.cpp; core/ma_config_internal.h L40-68.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from edgewright.boards.virtual.addresses import is_bssid
from edgewright.boards.virtual.commands import number
from edgewright.boards.virtual.state import EINVAL, OK
from edgewright.boards.virtual.wireless import Answer, Wireless

NAME, PASSWORD, CLIENT, SECRET = 31, 63, 127, 255  # characters; what is longer is cut off
SHORTEST = 8  # wifi.hpp L84: a password
IDLE = 1  # ma_transport_mqtt.cpp L291: a network of the board's own, without one in reach
NO_WIFI = {"name": "", "security": 0, "password": ""}
NO_SERVER = {"address": "", "port": 0, "username": "", "password": "", "client_id": "", "use_ssl": 0}


class Wireless2(Wireless):
    """What a host has told of networks, and what of it is stored."""

    def set_wifi(self, name: str, security: str, password: str) -> Answer:
        """Do WIFI=."""
        if len(password) < SHORTEST:
            return EINVAL, NO_WIFI
        found = {"name": name[:NAME], "security": _byte(security), "password": password[:PASSWORD]}
        self.settings.put("wifi", found)
        return OK, found

    def wifi(self) -> dict[str, Any]:
        """Answer WIFI?. Without a name, or with an access point's address for one, its status is 0 (wifi.hpp L197-199)."""
        config = self.settings.get("wifi", NO_WIFI)
        named = config["name"] and not is_bssid(config["name"])
        status = IDLE if self.state.at.has_network else self._wifi_status
        self._wifi_status = status if named else 0
        return {"in4_info": self._in4, "in6_info": self._in6, "config": config, "status": self._wifi_status}

    def set_server(self, client: str, address: str, port: str, user: str, secret: str, ssl: str) -> Answer:
        """Do MQTTSERVER=, which names the topics, too."""
        client = (client or f"{self.state.at.product}_{self.state.device_id}")[:CLIENT]
        found = {"address": address[:CLIENT], "port": _signed(number(port), 16), "username": user[:CLIENT]}
        found |= {"password": secret[:SECRET], "client_id": client, "use_ssl": _byte(ssl)}
        self.settings.put("mqtt", found)
        self.settings.put("topics", [f"sscma/v0/{client}/{way}"[:CLIENT] for way in ("tx", "rx")])
        return OK, found

    def server(self) -> dict[str, Any]:
        """Answer MQTTSERVER?."""
        config = self.settings.get("mqtt", NO_SERVER)
        status = 0 if self.state.at.has_network or not config["address"] else self._mqtt_status
        return {"config": config, "status": status}

    def set_server_status(self, status: str) -> Answer:
        """Do MQTTSERVERSTA=."""
        self._mqtt_status = number(status)
        return OK, self.server_status()

    def server_status(self) -> dict[str, int]:
        """Answer MQTTSERVERSTA?: of a network of its own that is idle two bits of 0 (mqtt.hpp L77-79)."""
        return {"status": 0 if self.state.at.has_network else self._mqtt_status}

    def topics(self) -> dict[str, Any]:
        """Answer MQTTPUBSUB?: before a server is named the topics are those that a new board has stored for itself."""
        at = self.state.at
        publish, subscribe = self.settings.get(
            "topics", [one.format(product=at.product, id=self.state.device_id) for one in at.topics]
        )
        return {"config": {"pub_topic": publish, "pub_qos": 0, "sub_topic": subscribe, "sub_qos": 0}}

    def set_authority(self, text: str) -> None:
        """Keep the certificate of MQTTCA=."""
        try:
            content = b64decode(text)
        except ValueError:
            content = b""
        self.settings.put("mqtt ca", b64encode(content).decode())

    def authority(self) -> dict[str, str]:
        """Answer MQTTCA?."""
        return {"ca": self.settings.get("mqtt ca", "")}


def _byte(text: str) -> int:
    return _signed(number(text), 8)


def _signed(value: int, bits: int) -> int:
    """Return what is left of a number in so many bits."""
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half

"""What a host tells a board of networks, as far as both dialects take it alike: what it was told it repeats."""

from __future__ import annotations

from typing import Any

from edgewright.boards.virtual.addresses import ipv4, ipv6
from edgewright.boards.virtual.commands import number
from edgewright.boards.virtual.state import OK, State

Answer = tuple[int, Any]  # code and data


class Wireless:
    """What a host has told, until the next reset; nothing here joins a network."""

    def __init__(self, state: State) -> None:
        self.state, self.settings = state, state.settings
        self._wifi_status = self._mqtt_status = 0
        self._version = ""
        self._in4 = {"ip": ipv4(), "netmask": ipv4(), "gateway": ipv4()}
        self._in6 = {"ip": ipv6()}

    def set_wifi_status(self, status: str) -> Answer:
        """Do WIFISTA=."""
        self._wifi_status = number(status)
        return OK, {"status": self._wifi_status}

    def set_in4(self, *addresses: str) -> Answer:
        """Do WIFIIN4=."""
        self._in4 = dict(zip(("ip", "netmask", "gateway"), map(ipv4, addresses), strict=True))
        return OK, {"in4_info": self._in4}

    def set_in6(self, address: str) -> Answer:
        """Do WIFIIN6=."""
        self._in6 = {"ip": ipv6(address)}
        return OK, {"in6_info": self._in6}

    def set_version(self, version: str) -> Answer:
        """Do WIFIVER=."""
        self._version = version
        return OK, self.version()

    def version(self) -> dict[str, str]:
        """Answer WIFIVER?."""
        return {"ver": self._version}

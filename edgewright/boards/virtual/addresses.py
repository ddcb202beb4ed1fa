"""Addresses of networks as the firmware reads them out of a text, whatever else is in it.

Source: SSCMA-Micro ff48a1c sscma/types.hpp L19-88; ab1d5f0 sscma/core/ma_types.h L356-436 is alike.
"""

from __future__ import annotations

import re

# It takes digits, at most so many, and passes over the character behind them.
BYTES = re.compile(r"([0-9]{1,3}).?", re.DOTALL)
GROUPS = re.compile(r"([0-9a-fA-F]{1,4}).?", re.DOTALL)
BSSID = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")


def ipv4(text: str = "") -> str:
    """Return the address in `text`, zeros for what is missing."""
    found = [int(one) & 0xFF for one in BYTES.findall(text)[:4]]
    return ".".join(map(str, found + [0] * (4 - len(found))))


def ipv6(text: str = "") -> str:
    """Return the address in `text`, its eight groups from the first that is found."""
    found = [int(one, 16) for one in GROUPS.findall(text)[:8]]
    return ":".join(f"{one:x}" for one in found + [0] * (8 - len(found)))


def is_bssid(text: str) -> bool:
    """Return whether a network is told by its access point's address (utility.hpp L464-476, wifi.hpp L12-24)."""
    return bool(BSSID.fullmatch(text))

"""INFO and ACTION of SSCMA 1.x: strings that hosts leave on a board, and its checksums of them.

Source: SSCMA-Micro ff48a1c, sscma/callback/info.hpp, action.hpp L21-117, sscma/interpreter/condition.hpp.
"""

from __future__ import annotations

from typing import Any

from edgewright.boards.virtual import condition
from edgewright.boards.virtual import words_1 as words
from edgewright.boards.virtual.commands import crc16_maxim
from edgewright.boards.virtual.state import EINVAL, OK, State

UNSET = 0xFFFF  # condition.hpp L25: the hash of no condition, as of an empty one


class Notes:
    """The strings, in the settings. What an ACTION would do, nobody could see here."""

    def __init__(self, state: State) -> None:
        self.state, self.built = state, state.at.built
        self._hash = UNSET

    @property
    def has_action(self) -> bool:
        """Whether one is stored."""
        return self.state.settings.get("action", None) is not None

    def boot(self) -> tuple[int, dict[str, Any]]:
        """Take the action that is stored for the condition; return code and data."""
        return self._set(str(self.state.settings.get("action", "")), store=False)

    def action(self) -> dict[str, Any]:
        """Answer ACTION?."""
        # Without a condition what is stored is not looked at.
        text = "" if self._hash == UNSET else str(self.state.settings.get("action", ""))
        return {"crc16_maxim": crc16_maxim(text.encode()), "action": text}

    def set_action(self, text: str) -> tuple[int, dict[str, Any]]:
        """Take an expression for the condition; return code and data. Raises condition.TooDeep."""
        return self._set(text, store=True)

    def _set(self, text: str, *, store: bool) -> tuple[int, dict[str, Any]]:
        before, new = self._hash, crc16_maxim(text.encode()) if text else UNSET
        if text and new != before and not condition.accepts(text):
            # condition.hpp L52-53: what was there stays, and its checksum is shown beside the text that was refused.
            return EINVAL, {"crc16_maxim": before, "action": text}
        self._hash = new
        # action.hpp L48: only what differs from the condition before is stored, so an empty one not on a fresh board.
        if store and new != before:
            self.state.settings.put("action", text)
        return OK, {"crc16_maxim": new, "action": text}

    def info(self) -> dict[str, Any]:
        """Answer INFO?, of the current model where the build knows one for each."""
        text = self.state.settings.get(self._info_name, "")
        return {"crc16_maxim": crc16_maxim(text.encode()), "info": text}

    def set_info(self, text: str) -> dict[str, int]:
        """Keep what a host knows of the model."""
        self.state.settings.put(self._info_name, text)
        retries = {"retries": 0} if self.built >= words.INFO_RETRIES else {}
        return {"crc16_maxim": crc16_maxim(text.encode())} | retries

    @property
    def _info_name(self) -> str:
        return f"info {self.state.chosen}" if self.built >= words.INFO_BY_MODEL else "info"

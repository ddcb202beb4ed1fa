"""INFO and ACTION of SSCMA 1.x: strings that hosts leave on a board, and its checksums of them (callback/info.hpp, action.hpp)."""

from __future__ import annotations

from typing import Any

from edgewright.boards.virtual import words_1 as words
from edgewright.boards.virtual.commands import crc16_maxim
from edgewright.boards.virtual.state import State


class Notes:
    """The strings, in the settings. What an ACTION would do, nobody could see here."""

    def __init__(self, state: State) -> None:
        self.state, self.built = state, state.at.built

    @property
    def has_action(self) -> bool:
        """Whether anybody ever set one."""
        return self.state.settings.get("action", None) is not None

    def action(self) -> dict[str, Any]:
        """Answer ACTION?."""
        text = self.state.settings.get("action", "")
        return {"crc16_maxim": crc16_maxim(text.encode()), "action": text}

    def set_action(self, text: str) -> dict[str, Any]:
        """Keep an expression; its grammar is not looked at."""
        self.state.settings.put("action", text)
        return self.action()

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

"""SENSOR and what goes with it in SSCMA 1.x: the camera, which a wrong option leaves switched off, and its registers.

Source: SSCMA-Micro ff48a1c, sscma/callback/sensor.hpp L19-98; utility.hpp L118-151; porting/himax/we2/el_camera_we2.cpp.
"""

from __future__ import annotations

from typing import Any

from edgewright.boards.virtual import words_1 as words
from edgewright.boards.virtual.state import EINVAL, OK, State
from edgewright.boards.virtual.wire import Reset

REGISTERED, AVAILABLE, LOCKED = 0, 1, 2  # el_types.h L157
TURNS = {0b0000: 0, 0b0001: 270, 0b0010: 180, 0b0100: 90}  # degrees: el_camera_we2.cpp L98-114
UNTURNED = 0x0FFF


class Sensor1:
    """The one sensor that a board has."""

    def __init__(self, state: State) -> None:
        self.state, self.camera, self.built = state, state.camera, state.at.built
        self.has_options = self.built >= words.SENSOR_OPTIONS
        self.current = words.CAMERA
        self._state = REGISTERED
        self._registers: dict[int, int] = {}

    def boot(self) -> tuple[int, dict[str, Any]]:
        """Start the camera with the option that is stored."""
        stored = int(self.state.settings.get("sensor option", 0)) if self.built >= words.KEPT_OPTION else 0
        return self._switch(words.CAMERA, enable=True, option=stored)

    def set(self, *arguments: int) -> tuple[int, dict[str, Any]]:
        """Do SENSOR=; return code and data."""
        sensor, enable, option = (*arguments, 0)[:3]
        bits = 0xFFFF if self.built >= words.KEPT_OPTION else 0xFF
        return self._switch(sensor & 0xFF, enable=enable != 0, option=option & bits)

    def _switch(self, sensor: int, *, enable: bool, option: int) -> tuple[int, dict[str, Any]]:
        if sensor != words.CAMERA:
            return EINVAL, {"sensor": self.nothing()}
        before = self._state
        self.camera.stop()
        self._state = LOCKED
        if enable and not self._start(option):
            # L80-84: no sensor is the current one any more, and the answer shows the state from before.
            self.current = 0
            return EINVAL, {"sensor": self._json(before)}
        if enable and self.built >= words.KEPT_OPTION:
            self.state.settings.put("sensor option", option)
        self._state, self.current = AVAILABLE, words.CAMERA
        return OK, {"sensor": self.json()}

    def _start(self, option: int) -> bool:
        if not self.has_options:
            return self.camera.start(self.camera.options[0].id)
        if not self.state.at.turns:
            return self.camera.start(option)
        degrees = TURNS.get(option >> 12)
        return degrees is not None and self.camera.start(option & UNTURNED, degrees)

    def json(self) -> dict[str, Any]:
        """Return what it says of the current sensor."""
        return self._json(self._state) if self.current else self.nothing()

    def list(self) -> list[dict[str, Any]]:
        """Answer SENSORS?."""
        options = {"opts": {str(one.id): one.detail for one in self.camera.options}} if self.has_options else {}
        return [self._json(self._state) | options]

    def nothing(self) -> dict[str, Any]:
        """Return what it says of a sensor that is not there."""
        none: dict[str, Any] = {"opt_id": -1, "opt_detail": "Unknown", "opts": {}} if self.has_options else {}
        return {"id": 0, "type": 0, "state": 0} | none

    def _json(self, state: int) -> dict[str, Any]:
        option = self.camera.option
        shown: dict[str, Any] = {"opt_id": option.id, "opt_detail": option.detail} if self.has_options else {}
        return {"id": words.CAMERA, "type": 1, "state": state} | shown

    # --- registers: main_task.hpp L432-466

    def write_register(self, address: str, value: str) -> None:
        """Do SETREG=: nothing here looks at what is written."""
        self._registers[_hexadecimal(address) & 0xFFFF] = _hexadecimal(value) & 0xFF

    def read_register(self, address: str) -> int | None:
        """Return what was written, or None: what the chip itself has there, nobody here knows."""
        return self._registers.get(_hexadecimal(address) & 0xFFFF)


def _hexadecimal(text: str) -> int:
    """std::stoi(text, nullptr, 16): what is no number aborts the firmware, which is built without exceptions."""
    try:
        return int(text, 16)
    except ValueError:
        raise Reset from None

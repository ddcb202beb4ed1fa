"""SENSOR and what goes with it in SSCMA 2.x: the camera, which a preset that is not there leaves switched off.

Source: SSCMA-Micro ab1d5f0, sscma/server/at/callback/sensor.hpp L26-126, codec/ma_codec_json.cpp L523-598.
"""

from __future__ import annotations

from typing import Any

from edgewright.boards.virtual import words_2 as words
from edgewright.boards.virtual.state import EINVAL, OK, State


class Sensor2:
    """The one sensor that a board has."""

    def __init__(self, state: State) -> None:
        self.settings, self.camera = state.settings, state.camera

    def boot(self) -> tuple[int, dict[str, Any]]:
        """Start the camera with the preset that is stored; return code and data."""
        code = self._start(int(self.settings.get("sensor option", 1)))
        return code, self.json()

    def set(self, sensor: int, enable: int, preset: int) -> tuple[int, dict[str, Any]]:
        """Do SENSOR=; return code and data."""
        if sensor != words.CAMERA:
            return words.ENOENT, {}
        code = OK
        if enable:
            code = self._start(preset)
        else:
            self.camera.stop()
        if code == OK:
            # L63-73: as it was typed, and of a camera that is switched off, too.
            self.settings.put("sensor option", preset)
        return code, self.json()

    def json(self) -> dict[str, Any]:
        """Return what it says of the sensor."""
        option = self.camera.option
        return {"sensors": [self._head() | {"current_preset": {"id": option.id, "description": option.detail}}]}

    def list(self) -> dict[str, Any]:
        """Answer SENSORS?."""
        presets = [{"id": one.id, "description": one.detail} for one in self.camera.options]
        return {"sensors": [self._head() | {"presets": presets, "current_preset_index": self.camera.option.id}]}

    def _start(self, preset: int) -> int:
        """Start the camera with a preset; return the code. With one that is not there it stays switched off."""
        self.camera.stop()
        return OK if self.camera.start(preset or words.PRESET) else EINVAL

    def _head(self) -> dict[str, Any]:
        return {"id": words.CAMERA, "type": "Camera", "initialized": self.camera.on}

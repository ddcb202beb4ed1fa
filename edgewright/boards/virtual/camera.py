"""The camera of a virtual board as its firmware drives it: on or off, with one of the options that a host can ask for."""

from __future__ import annotations

from edgewright.firmware import At


class Camera:
    """Off until the firmware has started it."""

    def __init__(self, at: At) -> None:
        self.options = at.camera
        self.on = False
        self.degrees = 0  # by which its pictures are turned
        # That it was last started with, or the first.
        self.option = at.camera[0]

    def start(self, number: int, degrees: int = 0) -> bool:
        """Switch it on with an option; without such an option it stays off, and keeps the one that it has."""
        found = next((one for one in self.options if one.id == number), None)
        if found:
            self.option, self.degrees, self.on = found, degrees, True
        return found is not None

    def stop(self) -> None:
        """Switch it off."""
        self.on = False

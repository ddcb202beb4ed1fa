"""What the firmware of a virtual board keeps over a reset, in a JSON file: a real one keeps it in flash of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Settings:
    """Names and values. What cannot be read is forgotten, as the firmware begins anew where its storage is empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        self._values: dict[str, Any] = found if isinstance(found, dict) else {}

    def get(self, name: str, default: Any) -> Any:
        """Return the value of `name`, or `default` where there is none."""
        return self._values.get(name, default)

    def put(self, name: str, value: Any) -> None:
        """Keep a value, its own keys in their order; whoever reads the file sees it whole."""
        self._values[name] = value
        temporary = self.path.with_name(f"{self.path.name}.part")
        temporary.write_text(json.dumps(self._values, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, self.path)

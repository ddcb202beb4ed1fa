"""A toy project: two stages that copy text, one board; and an engine that runs a stage in this Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgewright.config import Stage
from edgewright.engine import Environment, Job, fingerprint

MAIN = """
import json, sys
from pathlib import Path
request = json.loads(Path(sys.argv[1]).read_text())
for line in request["parameters"].get("say", []):
    print(line)
if "refuse" in request["parameters"].get("text", ""):
    print("error: text = 'refuse': not allowed\\n hint: try another", file=sys.stderr)
    sys.exit(2)
if request["parameters"].get("text") == "crash":
    raise SystemExit("boom")
out = Path(request["output"])
taken = "".join(Path(path).read_text() for _, path in sorted(request["inputs"].items()))
if request["parameters"].get("text") != "nothing":
    (out / "result.txt").write_text(taken + str(request["parameters"]["text"]))
"""

FIRST = """
title = "writes a text"
[inputs]
weights = "optional"
[outputs]
weights = "result.txt"
[parameters]
text = { type = "string", default = "a" }
imgsz = { type = "integer", minimum = 64, multiple_of = 32 }
epochs = { type = "integer", default = 3, minimum = 1 }
[run]
left_out_with = "weights"
wanted_by = ["epochs"]
"""

SECOND = """
title = "adds to a text"
[inputs]
weights = "required"
[outputs]
model = "result.txt"
[parameters]
text = { type = "string", default = "b" }
"""

BOARD = """
title = "A board"
about = "for tests"
pipeline = ["first", "second"]
firmware = "board-1"
"""

FIRMWARE = """
title = "Firmware"
device = "board"
versions = "all"
address = 0
slot_bytes = 10
arena_bytes = 10
operators = ["ADD"]
"""

RECIPE = """
title = "A recipe"
task = "pose"
imgsz = 64
"""


class Here:
    """An engine that runs a stage's main.py in this Python, without any isolation."""

    name = "here"
    hermetic = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs: list[str] = []

    def version(self) -> str:
        return "1"

    def find(self, stage: Stage) -> Environment:
        return Environment(stage, sys.executable, fingerprint(self.root, stage, "here"))

    prepare = find

    def take(self, folder: Path) -> None:
        pass

    def argv(self, environment: Environment, job: Job) -> list[str]:
        self.runs.append(environment.stage.name)
        return [environment.name, os.fspath(environment.stage.folder / "main.py"), job.request]

    def stop(self, job: Job) -> None:
        pass


def make_toy(root: Path) -> Path:
    """Write the toy project below `root`."""
    for name, stage in (("first", FIRST), ("second", SECOND)):
        folder = root / "docker" / name
        folder.mkdir(parents=True)
        (folder / "stage.toml").write_text(stage)
        (folder / "main.py").write_text(MAIN)
        (folder / "requirements.txt").write_text("six==1.17.0 \\\n    --hash=sha256:00\n")
    for kind, name, text in (
        ("devices", "board", BOARD),
        ("firmwares", "board-1", FIRMWARE),
        ("recipes", "figures", RECIPE),
    ):
        path = root / "configs" / kind / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root

"""A toy project: two stages that copy text, a third that judges it, two boards; and an engine that runs a stage in this Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgewright.build import Build, complete
from edgewright.config import Project, Stage
from edgewright.engine import Engine, Environment, Job, fingerprint
from edgewright.plan import Options, Plan, make_plan

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
if request["parameters"].get("text") == "full":
    raise OSError("983040 requested and 4064 written")
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

JUDGE = """
title = "judges a text"
[inputs]
model = "required"
[outputs]
verdict = "report.json"
page = "report.html"
[run]
kept = ["page"]
[parameters]
firmware = { type = "table" }
"""

JUDGE_MAIN = """
import json, sys
from pathlib import Path
request = json.loads(Path(sys.argv[1]).read_text())
out, text = Path(request["output"]), Path(request["inputs"]["model"]).read_text()
(out / "report.html").write_text(text)
if "half" in text:
    print("error: frame 3: cannot be read\\n hint: replace it", file=sys.stderr)
    sys.exit(2)
limit = request["parameters"]["firmware"]["slot_bytes"]
wrong = [{"text": f"{len(text)} of {limit} bytes", "hint": "less text"}] if len(text) > limit else []
verdict = {"state": "fails" if wrong else "passes", "summary": "does not fit" if wrong else "fits board-1"}
verdict |= {"violations": wrong, "lines": ["AP 0.5"]}
verdict |= {"warnings": [{"text": "odd", "hint": "even"}], "partial": [], "notes": []}
(out / "report.json").write_text(json.dumps({"verdict": verdict, "model": {"name": "model.tflite"}}))
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

    def owner(self) -> int:
        return os.getuid()

    def sweep(self, job: Job) -> str:
        return ""

    def stop(self, job: Job) -> None:
        pass


def write_stage(root: Path, name: str, declared: str, main: str) -> None:
    """Write a stage of the project at `root`, or write it anew."""
    folder = root / "docker" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stage.toml").write_text(declared)
    (folder / "main.py").write_text(main)
    (folder / "requirements.txt").write_text("six==1.17.0 \\\n    --hash=sha256:00\n")


def make_toy(root: Path) -> Path:
    """Write the toy project below `root`."""
    write_stage(root, "first", FIRST, MAIN)
    write_stage(root, "second", SECOND, MAIN)
    write_stage(root, "judge", JUDGE, JUDGE_MAIN)
    for kind, name, text in (
        ("devices", "board", BOARD),
        ("devices", "judged", BOARD.replace('"second"]', '"second", "judge"]').replace("board-1", "judged-1")),
        ("firmwares", "board-1", FIRMWARE),
        ("firmwares", "judged-1", FIRMWARE.replace('"board"', '"judged"')),
        ("recipes", "figures", RECIPE),
    ):
        path = root / "configs" / kind / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def plan_of(project: Project) -> Plan:
    """Return the plan for the toy project's board, with no option given."""
    return make_plan(project, project.devices["board"], project.recipes["figures"], Options())


def build(plan: Plan, engine: Engine, volume: Path, *, force: bool = False, repeat: bool = False) -> Build:
    """Bring a plan up to date in a folder, as a command does."""
    return complete(Build(plan, engine, volume, force=force, repeat=repeat))

"""A toy project that can be released: in git, with an engine that claims to have walls, and a judge that reports as verify does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from release_facts import report
from toy_project import Here, build, make_toy

from edgewright import release
from edgewright.build import Build
from edgewright.config import load_project
from edgewright.engine import Environment, Job
from edgewright.plan import Options, make_plan
from edgewright.release import Terms

TEXT = "1234TFL3"  # of the first step, so that what comes out looks like a model
JUDGE_MAIN = """
import hashlib, json, sys
from pathlib import Path
request = json.loads(Path(sys.argv[1]).read_text())
out, content = Path(request["output"]), Path(request["inputs"]["model"]).read_bytes()
report = json.loads(Path(__file__).with_name("template.json").read_text())
report["model"] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
report["device"] = {"name": "judged", "title": "A board"}
report["firmware"] |= {"name": "judged-1", "address": 0}
(out / "report.json").write_text(json.dumps(report))
(out / "report.html").write_text("<p>fits")
"""


class Walled(Here):
    """The toy engine, taken for one with walls."""

    hermetic = True

    def argv(self, environment: Environment, job: Job) -> list[str]:
        for mount in job.mounts:
            shutil.copy(mount.source, job.volume / mount.target)
        return super().argv(environment, job)


def git(root: Path, *words: str) -> None:
    """Run git as somebody."""
    who = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


def make_released(root: Path, *, changes: dict[str, object] | None = None) -> Path:
    """Write the project below `root`, in a commit; `changes` are made to the judge's report."""
    make_toy(root)
    judge = root / "docker" / "judge"
    (judge / "main.py").write_text(JUDGE_MAIN)
    (judge / "template.json").write_text(json.dumps({**report(), **(changes or {})}))
    (root / "LICENSE").write_text("a licence\n")
    set_text(root, TEXT)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "all")
    return root


def set_text(root: Path, text: str) -> None:
    """Have the first step write another text."""
    recipe = f'title = "A recipe"\ntask = "pose"\nimgsz = 64\n[first]\ntext = "{text}"\n'
    (root / "configs/recipes/figures.toml").write_text(recipe)


def walk_of(root: Path, volume: Path, **options: object) -> Build:
    """Build everything."""
    project = load_project(root)
    plan = make_plan(project, project.devices["judged"], project.recipes["figures"], Options(**options))  # type: ignore[arg-type]
    return build(plan, Walled(root), volume)


def make_release(root: Path, out: Path, key: Path | None = None, **options: object) -> Path:
    """Build and release below `out`; return the release's folder."""
    terms: Terms = release.prepare(root, Walled(root), str(key or ""))
    return release.write(walk_of(root, out / "build", **options), out / "dist", terms)[0]

"""What a hostile stage leaves behind in its folder reaches nothing of the host's: run as a real step, on every engine."""

from __future__ import annotations

import os
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgewright import digest, execute, proc, records
from edgewright.config import Stage, load_project
from edgewright.engine import Engine, Environment
from edgewright.engines import ENGINES
from edgewright.errors import StageFailed
from edgewright.plan import Step
from edgewright.records import Record
from tests.conftest import Workspace

SCRIPT = Path(__file__).with_name("hostile_stage.py")
TOKEN = "token-of-the-host"
REFUSED = {
    "record as a link": "record.json: a link",
    "output as a link": "network.npz: a link",
    "output as a link to the environment": "network.npz: a link",
    "output as a pipe": "network.npz: a pipe",
    "output as a socket": "network.npz: a socket",
    "output as a folder of links": "network.npz/x: a link",
    "log as a link": "log.txt: a link",
    "too many files": "more than 200 files and folders",
    "too large a file": "bytes",
    "thousands of folders": "more than 64 folders deep",
    "a name that is no text": r"caf\udce9: a name that is not UTF-8",
}


@dataclass(frozen=True)
class Scene:
    """A project whose smallest stage is hostile, an engine for it, and something of the host's that it should not touch."""

    engine: Engine
    stage: Stage
    environment: Environment
    volume: Path
    secret: Path

    def run(self, attack: str) -> Record:
        step = Step(self.stage, {"attack": attack, "secret": str(self.secret)}, {})
        work = execute.Work(self.engine, self.environment, self.volume, step, {})
        return execute.execute(work, records.facts(step, {}, self.environment, self.engine.hermetic))

    def left(self) -> list[str]:
        """Return all that lies on the volume, but logs."""
        return sorted(
            path.relative_to(self.volume).as_posix()
            for path in self.volume.glob("*/*")
            if path.suffix != ".log" and "swapped" not in path.name
        )


@pytest.fixture(scope="module")
def hostile(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Stage, Environment]:
    """Return the engine for a copy of the project in which stage read does what a test asks for, and that stage."""
    root = tmp_path_factory.mktemp("hostile")
    Workspace(root)
    folder = root / "docker" / "read"
    shutil.copy(SCRIPT, folder / "main.py")
    text = (folder / "stage.toml").read_text().partition("[limits]")[0]
    text += '[parameters]\nattack = { type = "string" }\nsecret = { type = "string" }\n'
    text += '[limits]\nmemory = "1g"\nthreads = 1\ntime_s = 120\noutput_files = 200\noutput_bytes = 1000000\n'
    (folder / "stage.toml").write_text(text)
    own = ENGINES[engine.name](root)
    own.version()
    stage = load_project(root).stages["read"]
    return own, stage, own.prepare(stage)


@pytest.fixture
def scene(hostile: tuple[Engine, Stage, Environment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    engine, stage, environment = hostile
    monkeypatch.setenv("EDGEWRIGHT_TOKEN", TOKEN)
    volume = tmp_path / "build"
    volume.mkdir()
    secret = tmp_path / "secret"
    secret.write_text(TOKEN)
    secret.chmod(0o600)
    return Scene(engine, stage, environment, volume, secret)


def unharmed(scene: Scene) -> None:
    """The host's file is as it was, and its content nowhere on the volume."""
    assert (scene.secret.read_text(), stat.S_IMODE(scene.secret.stat().st_mode)) == (TOKEN, 0o600)
    assert scene.secret.stat().st_uid == os.getuid()
    for path in scene.volume.rglob("*"):
        assert not path.is_symlink() or "swapped" in path.name, path
        if path.is_file() and not path.is_symlink():
            assert TOKEN not in path.read_text(errors="replace").replace(str(scene.secret), ""), path


@pytest.mark.parametrize("attack", REFUSED)
def test_what_is_no_plain_file_or_too_much_ends_the_step_in_one_line_and_leaves_nothing(
    scene: Scene, attack: str
) -> None:
    started = time.monotonic()
    with pytest.raises(StageFailed) as refused:
        scene.run(attack)
    assert REFUSED[attack] in str(refused.value)
    assert str(refused.value).startswith("read has left in its folder ")
    assert "\n" not in str(refused.value)
    assert refused.value.hint.startswith("less ")
    assert time.monotonic() - started < 60
    assert scene.left() == []
    unharmed(scene)


def test_a_hard_link_to_a_file_of_the_hosts_ends_the_step(scene: Scene) -> None:
    with pytest.raises(StageFailed) as refused:
        scene.run("output as a hard link")
    # A container cannot even make one: what it could link to lies in another mount, or nowhere.
    expected = "ended with exit code 1" if scene.engine.hermetic else "network.npz: a hard link to a file outside"
    assert expected in str(refused.value)
    assert scene.left() == []
    unharmed(scene)


def test_a_device_ends_the_step(scene: Scene) -> None:
    with pytest.raises(StageFailed, match=r"whiteout: a device|ended with exit code 1"):
        scene.run("a whiteout")
    assert scene.left() == []


def test_a_folder_that_nobody_may_enter_keeps_nothing_alive(scene: Scene) -> None:
    # Root may enter it all the same, and then it is what a step left beside its outputs.
    if os.getuid() == 0:
        assert (scene.volume / scene.run("a closed folder").folder / "closed").exists() is False
    else:
        with pytest.raises(StageFailed, match="closed: cannot be opened"):
            scene.run("a closed folder")
        assert scene.left() == []


def test_outputs_become_ours_for_others_to_read_and_nothing_set_id(scene: Scene) -> None:
    record = scene.run("set-id and for all")
    for role in record.outputs:
        found = (scene.volume / record.path(role)).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o644, os.getuid())
    assert record.problem(scene.volume, scene.stage) == ""
    names = {path.name for path in (scene.volume / record.folder).iterdir()}
    assert names == {"network.npz", "network.json", "record.json", "request.json", "log.txt"}


def test_a_swap_between_look_and_open_brings_nothing_of_the_hosts_out(scene: Scene) -> None:
    """In a container the process is gone before anything is looked at; the venv engine lets it stay."""
    for _ in range(3):
        try:
            record = scene.run("a process that stays")
        except StageFailed:
            assert not scene.engine.hermetic
            continue
        except OSError:  # what is removed is swapped at that moment: nothing was taken
            assert not scene.engine.hermetic
            continue
        assert record.outputs["network"]["sha256"] == digest.of_bytes(b"fine")
        shutil.rmtree(scene.volume / record.folder)
    time.sleep(0 if scene.engine.hermetic else 7)  # until the last of them is gone
    for path in scene.volume.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert TOKEN not in path.read_text(errors="replace").replace(str(scene.secret), ""), path
    assert scene.secret.read_text() == TOKEN


def test_what_a_stage_prints_reaches_terminal_and_log_with_control_characters_visible(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    record = scene.run("escape sequences")
    said = capsys.readouterr().out
    log = (scene.volume / record.folder / "log.txt").read_text()
    assert "\x1b" not in said + log
    assert r"\x1b]0;owned\x07" in said
    assert r"\x1b[31mred" in log


def test_a_stage_without_an_end_is_ended_at_its_time_limit(
    hostile: tuple[Engine, Stage, Environment], scene: Scene
) -> None:
    engine, stage, environment = hostile
    limits = stage.limits.model_copy(update={"time_s": 3})
    short = stage.model_copy(update={"limits": limits})
    ended = Scene(
        engine, short, Environment(short, environment.name, environment.fingerprint), scene.volume, scene.secret
    )
    started = time.monotonic()
    with pytest.raises(StageFailed, match="not finished after its time limit of 3 s") as refused:
        ended.run("no end")
    assert "time_s = 6 below [limits] in" in refused.value.hint
    assert time.monotonic() - started < 60
    assert scene.left() == []
    if engine.hermetic:
        prefix = execute.job_prefix(scene.volume, "")[:-1]
        names = proc.capture([engine.program, "ps", "--all", "--filter", f"name={prefix}", "--format", "{{.Names}}"])[1]  # type: ignore[attr-defined]
        assert names == ""

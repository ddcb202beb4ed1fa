"""What is taken from the folder that `make vendor` filled: by hash, and nothing from a network that OFFLINE=1 forbids."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from toy_docker import docker, words
from vendored import caches, filled, index, state, toy

from edgewright import assets, containers, vendor, venvs
from edgewright.config import Asset, Project, load_project
from edgewright.containers import Container
from edgewright.engine import Environment
from edgewright.errors import HashDiffers, StageFailed, WrongInput
from edgewright.supply import SUMS, Supply, open_supply, settings_for
from edgewright.venvs import Venv
from edgewright.wheels import Wheel

__all__ = ["caches", "filled", "index", "state", "toy"]  # fixtures
ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"


def stage(toy: Path) -> Environment:
    return Environment(load_project(toy).stages["first"], "localhost/edgewright-first:0123456789ab", "0" * 64)


def test_an_image_in_the_folder_is_loaded_not_built(toy: Path, state: Path, filled: Path) -> None:
    engine = docker(toy, state, Supply(filled, offline=True))
    engine.prepare(load_project(toy).stages["first"])
    assert set(words(state, "done")) == {"load"}


def test_an_image_whose_archive_was_removed_is_built_from_the_wheels(toy: Path, state: Path, filled: Path) -> None:
    for path in filled.glob("images/stages-*.tar"):
        path.unlink()
    engine = docker(toy, state, Supply(filled, offline=True))
    environment = engine.prepare(load_project(toy).stages["first"])
    assert words(state, "done") == ["load", "build"]
    assert environment.name in words(state, "images")


@pytest.mark.parametrize("name", ["images/stages-*.tar", "images/base-*.tar", "images.json"])
def test_a_damaged_archive_is_refused_before_it_is_loaded(toy: Path, state: Path, filled: Path, name: str) -> None:
    (path,) = filled.glob(name)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(HashDiffers, match=path.name) as problem:
        docker(toy, state, Supply(filled)).prepare(load_project(toy).stages["first"])
    assert problem.value.exit_code == 6
    assert "make vendor" in problem.value.hint


def test_a_damaged_or_a_missing_wheel_stops_a_build_before_it_starts(toy: Path, state: Path, filled: Path) -> None:
    path, engine = filled / "wheels" / "six-1.17.0-py2.py3-none-any.whl", docker(toy, state, Supply(filled))
    path.write_bytes(b"sox")
    with pytest.raises(HashDiffers, match=r"six-1\.17\.0.* SHA256SUMS says"):
        engine.build(stage(toy), "base")
    (filled / SUMS).write_text((filled / SUMS).read_text().replace("six-", ".six-"))
    with pytest.raises(StageFailed, match=r"first/requirements\.txt: six==1\.17\.0 is not in"):
        engine.build(stage(toy), "base")
    assert words(state, "done") == []


def test_a_damaged_asset_is_refused(toy: Path, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "CACHE", tmp_path / "empty")
    (asset,) = load_project(toy).assets.values()
    supply = Supply(filled, offline=True)
    assert assets.obtain(asset, offline=True, folder=supply.assets).read_bytes() == b"weights"
    monkeypatch.setattr(assets, "CACHE", tmp_path / "another")
    (filled / "assets" / "best.pt").write_bytes(b"weighty")
    with pytest.raises(HashDiffers, match=r"assets\.toml says"):
        assets.obtain(asset, offline=True, folder=supply.assets)


def test_an_asset_whose_name_is_unsafe_stays_in_the_folder() -> None:
    asset = Asset.model_validate(
        {"name": "x", "url": "https://x.invalid/a/../b.pt", "sha256": "0" * 64, "licence": "x"}
    )
    assert assets.name_of(asset) == "b.pt"


def test_the_public_base_keeps_its_identity_in_an_archive(
    project: Project, index: dict[str, Wheel], toy: Path, state: Path, tmp_path: Path
) -> None:
    engine, folder = docker(toy, state), tmp_path / "v"
    (state / "images").write_text(f"{engine.base.public}\n")
    before = engine.prepare(project.stages["first"])
    vendor.fill(project, engine, folder)
    (state / "images").write_text("")  # a machine that has never seen the registry
    assert docker(toy, state, Supply(folder, offline=True)).prepare(project.stages["first"]) == before
    assert engine.base.public not in words(state, "images")
    assert docker(toy, state).find(project.stages["first"]) == before


# --- no network ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_base", [False, True])
def test_offline_without_the_image_is_one_line_and_asks_nobody(toy: Path, state: Path, has_base: bool) -> None:
    engine = docker(toy, state, Supply(offline=True))
    if has_base:
        (state / "images").write_text(f"{engine.base.local}\n")
    missing = "the environment of first" if has_base else "the base image"
    with pytest.raises(StageFailed, match=f"OFFLINE=1, {missing} is not on this machine") as problem:
        engine.prepare(load_project(toy).stages["first"])
    assert "make vendor" in problem.value.hint
    assert words(state, "done") == []


def test_offline_without_a_venv_is_one_line_and_starts_nothing(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venvs, "make", lambda *_, **__: pytest.fail("something was started"))
    with pytest.raises(StageFailed, match="OFFLINE=1, the environment of first is not on this machine"):
        Venv(toy, Supply(offline=True)).prepare(load_project(toy).stages["first"])


def test_a_folder_that_was_not_filled_to_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="no SHA256SUMS in it") as problem:
        open_supply(str(tmp_path), True)
    assert "make vendor" in problem.value.hint
    assert open_supply("", True) == Supply(None, offline=True)


def test_wheels_are_offered_only_from_their_folder_and_only_while_a_build_runs(toy: Path, filled: Path) -> None:
    def get(url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=5) as answer:
            content: bytes = answer.read()
        return content

    with Supply(filled).links(stage(toy).stage, toy) as links:
        assert b'href="six-1.17.0-py2.py3-none-any.whl"' in get(links)
        assert get(links + "six-1.17.0-py2.py3-none-any.whl") == b"six"
        for outside in (f"../{SUMS}", f"%2e%2e/{SUMS}", "..//images.json"):
            with pytest.raises(urllib.error.HTTPError):
                get(links + outside)
        assert links.startswith("http://127.0.0.1:")
    with pytest.raises(urllib.error.URLError):
        get(links)


def test_pip_and_uv_are_told_of_nothing_but_the_folder() -> None:
    with settings_for("http://127.0.0.1:1/") as folder:
        assert folder
        assert (folder / "pip.conf").read_text() == "[global]\nno-index = true\nfind-links = http://127.0.0.1:1/\n"
        assert (folder / "uv.toml").read_text() == 'no-index = true\nfind-links = ["http://127.0.0.1:1/"]\n'
    assert not folder.exists()
    with settings_for("") as nothing:
        assert nothing is None


def test_a_venv_is_made_with_those_settings(toy: Path, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(venvs, "make", lambda *_, env, **__: seen.append(env))
    monkeypatch.setattr(Path, "touch", lambda *_: None)
    Venv(toy, Supply(filled, offline=True)).prepare(load_project(toy).stages["first"])
    for env in seen:
        assert env["UV_CONFIG_FILE"].endswith("uv.toml")
        assert env["PIP_CONFIG_FILE"].endswith("pip.conf")
        assert (env["PIP_NO_INDEX"], env["UV_PYTHON_DOWNLOADS"]) == ("1", "never")
    assert seen


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_the_command_line_of_a_build_without_a_network_is_the_golden_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A pip.conf of the user's, which may name an index, gives way.
    monkeypatch.setattr(containers, "secrets", lambda: {"ca": Path("/etc/ca.pem"), "pip_conf": Path("/etc/pip.conf")})
    argv = Container(name, ROOT).build_argv(
        Environment(load_project(ROOT).stages["export"], "localhost/edgewright-export:0123456789ab", "0" * 64),
        "python@sha256:00",
        Path("/tmp/settings"),
    )
    path, text = GOLDEN / f"{name}-offline-build.txt", "\n".join(argv) + "\n"
    if os.environ.get("EDGEWRIGHT_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()

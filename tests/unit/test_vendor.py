"""`make vendor` and what is taken from its folder: by hash, and nothing from a network that OFFLINE=1 forbids."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from toy_docker import docker, make_state, words
from toy_project import Here

from edgewright import archives, assets, base, containers, environments, vendor, venvs, wheels
from edgewright.config import Asset, Project, load_project
from edgewright.containers import Container
from edgewright.engine import Environment
from edgewright.errors import HashDiffers, StageFailed, WrongInput
from edgewright.supply import SUMS, Supply, open_supply, read_sums, settings_for
from edgewright.venvs import Venv
from edgewright.wheels import Wheel

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
WHEELS = {"six-1.17.0-py2.py3-none-any.whl": b"six", "rich-14.2.0-py3-none-any.whl": b"rich" * 9}
BASE = """
public = "python:3.11@sha256:0123456789abcdef"
[local]
suite = "bookworm"
packages = ["python3"]
leave_out = []
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (archives, assets, base, environments, venvs):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Wheel]:
    """Return what the package index has of the toy's locks; each test may change it."""
    served = tmp_path / "index"
    served.mkdir()
    found = {}
    for name, content in WHEELS.items():
        (served / name).write_bytes(content)
        found[name] = Wheel(name, (served / name).as_uri(), sha256(content), len(content), "lock.txt")
    monkeypatch.setattr(wheels, "wanted", lambda _: list(found.values()))
    return found


@pytest.fixture
def toy(toy: Path) -> Path:
    """Return the toy project with a base image, locks of which the index has the files, and one asset."""
    (toy / "docker" / "base.toml").write_text(BASE)
    for lock in toy.glob("docker/*/requirements.txt"):
        lock.write_text(f"six==1.17.0 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{sha256(b'six')}\n")
    (toy / "best.pt").write_bytes(b"weights")
    url = (toy / "best.pt").as_uri()
    table = f'[best]\nurl = "{url}"\nsha256 = "{sha256(b"weights")}"\nlicence = "x"\n'
    (toy / "configs" / "assets.toml").write_text(table)
    return toy


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return the folder in which the program that answers as docker keeps its images."""
    return make_state(tmp_path / "docker state")


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def stage(toy: Path) -> Environment:
    return Environment(load_project(toy).stages["first"], "localhost/edgewright-first:0123456789ab", "0" * 64)


# --- filling the folder -------------------------------------------------------------------------------------------------------


def test_a_folder_has_what_its_sums_name_and_a_second_run_fetches_nothing(
    project: Project, index: dict[str, Wheel], here: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "usb stick"
    vendor.fill(project, here, folder)
    sums = read_sums(folder)
    assert set(sums) == {*(f"wheels/{name}" for name in WHEELS), "assets/best.pt"}
    assert files_in(folder) == {SUMS, *sums}
    assert all(sha256((folder / name).read_bytes()) == total for name, total in sums.items())
    assert "2 files, 2 fetched" in capsys.readouterr().out
    for path in (tmp_path / "index").iterdir():
        path.unlink()  # who fetches again would fail
    vendor.fill(project, here, folder)
    assert "2 files, 0 fetched" in capsys.readouterr().out
    assert read_sums(folder) == sums


def test_a_wheel_that_was_damaged_or_not_finished_is_fetched_again(
    project: Project, index: dict[str, Wheel], here: Here, tmp_path: Path
) -> None:
    vendor.fill(project, here, tmp_path / "v")
    damaged, half = (tmp_path / "v" / "wheels" / name for name in WHEELS)
    damaged.write_bytes(b"sox")
    os.replace(half, half.with_name(f".{half.name}.part"))
    (half.parent / ".of-an-older-lock.whl.part").touch()
    vendor.fill(project, here, tmp_path / "v")
    assert files_in(tmp_path / "v") == {SUMS, *read_sums(tmp_path / "v")}
    assert damaged.read_bytes() == b"six"


def test_an_index_that_gives_other_bytes_is_refused_and_leaves_nothing(
    project: Project, index: dict[str, Wheel], here: Here, tmp_path: Path
) -> None:
    (name, *_) = index
    (tmp_path / "index" / name).write_bytes(b"sox")
    with pytest.raises(HashDiffers, match=r"six-1\.17\.0.*lock\.txt says") as problem:
        vendor.fill(project, here, tmp_path / "v")
    assert problem.value.exit_code == 6
    assert files_in(tmp_path / "v") == set()


def test_what_no_lock_names_any_more_goes_and_other_peoples_files_stay(
    project: Project, index: dict[str, Wheel], here: Here, tmp_path: Path
) -> None:
    folder, mine = tmp_path / "v", tmp_path / "v" / "images" / "holiday.jpg"
    vendor.fill(project, here, folder)
    mine.write_bytes(b"photo")
    (tmp_path / "letter").write_bytes(b"dear")
    with (folder / SUMS).open("a") as sums:
        sums.write(f"{'0' * 64}  wheels/../../letter\n{'0' * 64}  ../letter\n")
    old = index.popitem()[0]
    vendor.fill(project, here, folder)
    assert not (folder / "wheels" / old).exists()
    assert mine.exists()
    assert (tmp_path / "letter").exists()


def test_an_asset_that_cannot_be_had_is_named_and_left_out(
    toy: Path, index: dict[str, Wheel], here: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (toy / "best.pt").unlink()
    vendor.fill(load_project(toy), here, tmp_path / "v")
    assert "best is left out: " in capsys.readouterr().out
    assert files_in(tmp_path / "v") == {SUMS, *(f"wheels/{name}" for name in WHEELS)}


def test_images_are_saved_once_and_again_when_damaged(
    project: Project, index: dict[str, Wheel], toy: Path, state: Path, tmp_path: Path
) -> None:
    engine, folder = docker(toy, state), tmp_path / "v"
    (state / "images").write_text(f"{engine.base.local}\n")
    vendor.fill(project, engine, folder)
    assert words(state, "done").count("save") == 2  # the base, and all stages
    kept = json.loads((folder / "images.json").read_text())
    assert set(kept) == set(words(state, "images"))
    vendor.fill(project, engine, folder)
    assert words(state, "done").count("save") == 2
    (folder / kept[engine.base.local]).write_bytes(b"rot")
    vendor.fill(project, engine, folder)
    assert words(state, "done").count("save") == 3
    assert files_in(folder) == {SUMS, *read_sums(folder)}


# --- choosing files -----------------------------------------------------------------------------------------------------------


def artifact(name: str, total: str) -> str:
    return f'{{ url = "https://index.invalid/{name}", size = 3, hashes = {{ sha256 = "{total}" }} }}'


def test_the_files_chosen_are_those_that_an_installer_would_take_of_those_the_lock_knows(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = {letter: letter * 64 for letter in "abcdef"}
    known = " ".join(f"--hash=sha256:{totals[letter]}" for letter in "abcdf")
    for path in toy.glob("docker/*/requirements.txt"):
        path.write_text(f"lib==1 {known}\nold==2 {known}\n")
    built = [
        artifact("lib-1-cp311-cp311-manylinux_2_17_x86_64.whl", totals["a"]),
        artifact("lib-1-cp311-cp311-manylinux_2_5_x86_64.whl", totals["f"]),
        artifact("lib-1-cp311-cp311-manylinux_2_28_x86_64.whl", totals["e"]),  # better, but came after the lock
        artifact("lib-1-cp312-cp312-manylinux_2_28_x86_64.whl", totals["b"]),
        artifact("lib-1-cp311-cp311-manylinux_2_28_aarch64.whl", totals["c"]),
    ]
    text = f"""
lock-version = "1.0"
created-by = "uv"
packages = [
  {{ name = "lib", version = "1", wheels = [{", ".join(built)}] }},
  {{ name = "old", version = "2", marker = "python_version < '3.12'", sdist = {artifact("old-2.tar.gz", totals["d"])} }},
]
"""

    def ask(argv: list[str], *_: object, **__: object) -> int:
        Path(argv[argv.index("--output-file") + 1]).write_text(text)
        return 0

    monkeypatch.setattr(wheels.proc, "stream", ask)
    (toy / "requirements").mkdir()
    for name in ("build", "host"):
        (toy / "requirements" / f"{name}.txt").write_text(f"lib==1 {known}\nold==2 {known}\n")
    monkeypatch.setattr(wheels, "PYTHON", "3.12")  # of the stages: nobody there needs the old one
    monkeypatch.setattr(wheels, "HOST_PYTHONS", ("3.11", "3.12"))
    found = [file.name for file in wheels.wanted(toy)]
    assert found == [
        "lib-1-cp311-cp311-manylinux_2_17_x86_64.whl",
        "lib-1-cp312-cp312-manylinux_2_28_x86_64.whl",
        "old-2.tar.gz",
    ]
    monkeypatch.setattr(wheels, "HOST_PYTHONS", ("3.12",))
    assert [file.name for file in wheels.wanted(toy)] == found[1:2]


# --- taking from the folder ---------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(toy: Path, index: dict[str, Wheel], state: Path, tmp_path: Path) -> Path:
    """Return a folder with everything, made by a docker that then forgets its images."""
    engine, folder = docker(toy, state), tmp_path / "filled"
    (state / "images").write_text(f"{engine.base.local}\n")
    vendor.fill(load_project(toy), engine, folder)
    (state / "images").write_text("")
    (state / "done").write_text("")
    return folder


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

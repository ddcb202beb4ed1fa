"""Downloads are kept only with the recorded hash."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright import assets, environments
from edgewright.config import Asset
from edgewright.errors import HashDiffers, StageFailed

CONTENT = b"weights" * 1000


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(assets, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(environments, "CACHE", tmp_path / "cache")
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "best.pt").write_bytes(CONTENT)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "www"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def asset(server: str, **changes: object) -> Asset:
    known = {"name": "best", "url": f"{server}/best.pt", "sha256": hashlib.sha256(CONTENT).hexdigest(), "licence": "x"}
    return Asset.model_validate({**known, "size": len(CONTENT), **changes})


def kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache" / "assets").rglob("*") if path.is_file()]


def test_a_download_is_kept_and_used_again(server: str, tmp_path: Path) -> None:
    path = assets.obtain(asset(server))
    assert path.read_bytes() == CONTENT
    (tmp_path / "www" / "best.pt").unlink()
    assert assets.obtain(asset(server)) == path
    assert kept(tmp_path) == [path]


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"size": 10}])
def test_a_download_that_is_not_what_was_recorded_is_not_kept(
    server: str, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(HashDiffers):
        assets.obtain(asset(server, **change))
    assert kept(tmp_path) == []


def test_a_server_that_is_not_there_is_one_clear_line(server: str, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"absent\.pt cannot be downloaded") as problem:
        assets.obtain(asset(server, url=f"{server}/absent.pt"))
    assert "EDGEWRIGHT_ASSETS=" in problem.value.hint
    assert kept(tmp_path) == []


def test_offline_takes_only_what_is_there(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageFailed, match="OFFLINE=1"):
        assets.obtain(asset(server), offline=True)
    monkeypatch.setenv("EDGEWRIGHT_ASSETS", str(tmp_path / "www"))
    assert assets.obtain(asset(server), offline=True).read_bytes() == CONTENT

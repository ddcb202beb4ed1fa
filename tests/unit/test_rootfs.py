"""An image's contents as one digest: whatever a container could tell counts, times do not."""

from __future__ import annotations

import io
import tarfile

import pytest

from edgewright.rootfs import Contents, entries


def contents(**changed: object) -> Contents:
    """Return the contents of a small root file system, of which one file may be made otherwise."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in (
            ("opt/a", b"one"),
            (".dockerenv", b""),
            ("etc/hosts", b"x"),
            ("proc/1", b"x"),
            ("opt/b", b"2"),
        ):
            entry = tarfile.TarInfo(name)
            if name == "opt/a":
                data = changed.get("data", data)
                for field in {*changed} - {"data"}:
                    setattr(entry, field, changed[field])
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("opt/link")
        link.type, link.linkname = tarfile.SYMTYPE, "a"
        tar.addfile(link)
    stream.seek(0)
    return Contents(dict(entries(stream)))


@pytest.mark.parametrize("changed", [{"data": b"two"}, {"mode": 0o755}, {"uid": 7}, {"gid": 7}, {"name": "opt/c"}])
def test_what_a_container_could_tell_makes_a_difference(changed: dict[str, object]) -> None:
    one, two = contents(), contents(**changed)
    assert one.digest != two.digest
    assert one.differing(two)[0] == "opt/a"


def test_times_make_none() -> None:
    assert contents(mtime=1).digest == contents(mtime=2).digest


def test_what_the_engine_puts_into_every_container_is_left_out() -> None:
    assert sorted(contents().entries) == ["opt/a", "opt/b", "opt/link"]

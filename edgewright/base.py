"""The system that images start from: the public one, pinned by digest, or one made here by mmdebstrap.

Source of the archive's form: moby image-spec v1.2 (`docker save`), which docker and podman both load.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgewright import archives, digest, log, proc
from edgewright.config import read_toml
from edgewright.errors import EngineMissing, StageFailed
from edgewright.supply import NETWORK, Supply

EPOCH = "0"  # SOURCE_DATE_EPOCH: the same packages give the same tar


@dataclass(frozen=True)
class Base:
    """The pinned public image and the recipe of the local one (docker/base.toml)."""

    public: str
    suite: str
    packages: tuple[str, ...]
    leave_out: tuple[str, ...]

    @property
    def local(self) -> str:
        """Return the local image's name; its tag follows from the recipe, not from the bytes, which Debian updates."""
        recipe = digest.of_value([self.suite, self.packages, self.leave_out])
        return f"localhost/edgewright-base:{self.suite}-{recipe[:12]}"

    @property
    def kept(self) -> str:
        """Return the public image's name in an archive, which cannot keep a name by digest."""
        return f"localhost/edgewright-base:{self.public.rpartition(':')[2][:12]}"

    def identity(self, name: str) -> str:
        """Return what stands for the base in fingerprints: the same for the public image, pulled or from an archive."""
        return self.public if name == self.kept else name


def load_base(root: Path) -> Base:
    """Read docker/base.toml."""
    raw = read_toml(root / "docker" / "base.toml")
    local = raw["local"]
    return Base(raw["public"], local["suite"], tuple(local["packages"]), tuple(local["leave_out"]))


def present(program: str, base: Base) -> str | None:
    """Return the base image that `program` (docker or podman) has already, the public one first."""
    names = (base.public, base.kept, base.local)
    return next((name for name in names if proc.capture([program, "image", "inspect", name])[0] == 0), None)


def obtain(program: str, base: Base, supply: Supply = NETWORK) -> str:
    """Load the base from the vendor's folder or pull it; where no registry can be reached, make the local one, and say so."""
    for name in (base.kept, base.local):
        if archives.load(program, name, supply):
            return name
    supply.require_network("the base image")
    log.say("base", f"pulling {base.public.partition('@')[0]}")
    code, output = proc.capture([program, "pull", "--quiet", base.public], timeout_s=600)
    if code == 0:
        return base.public
    reason = output.splitlines()[-1][:160] if output else f"exit code {code}"
    log.say("base", f"no registry ({reason})")
    if not shutil.which("mmdebstrap"):
        raise EngineMissing(
            f"the base image cannot be pulled ({reason}), and mmdebstrap, which makes one, is not installed",
            "sudo apt-get install mmdebstrap   or   make deploy … ENGINE=venv",
        )
    return make_local(program, base)


def make_local(program: str, base: Base) -> str:
    """Make the local base with mmdebstrap and load it into `program`; return its name."""
    with tempfile.TemporaryDirectory(prefix="edgewright-base-") as scratch:
        layer, archive = Path(scratch, "layer.tar"), Path(scratch, "image.tar")
        argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(base.packages)}"]
        argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in base.leave_out]
        argv += [base.suite, str(layer)]
        text = f"making {base.local} with mmdebstrap"
        code, lines = log.watch("base", text, argv, Path(scratch, "log"), env={"SOURCE_DATE_EPOCH": EPOCH})
        if code:
            raise StageFailed(f"mmdebstrap ended with {code}: {lines[-1] if lines else 'no message'}", "make doctor")
        write_archive(layer, archive, base.local)
        code, output = proc.capture([program, "load", "--input", str(archive)], timeout_s=300)
        if code:
            raise StageFailed(f"{program} load: {output}", "make doctor")
        log.say("base", f"{base.local}  {log.size(layer.stat().st_size)}")
    return base.local


def write_archive(layer: Path, archive: Path, name: str) -> None:
    """Wrap a root file system's tar into an image archive: the same tar gives the same bytes (`docker import` stamps the time)."""
    layer_sum = digest.of_file(layer)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_sum}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "edgewright: mmdebstrap"}],
        },
        sort_keys=True,
    ).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": [f"{layer_sum}/layer.tar"]}]).encode()
    with tarfile.open(archive, "w") as tar:
        for path, content in ((config_name, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        entry = tarfile.TarInfo(f"{layer_sum}/layer.tar")
        entry.size = layer.stat().st_size
        with layer.open("rb") as content_file:
            tar.addfile(entry, content_file)

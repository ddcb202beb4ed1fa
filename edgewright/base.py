"""The system that images start from: the public one, pinned by digest, or one made here by mmdebstrap; and what is in it.

Source of the archive's form: moby image-spec v1.2 (`docker save`), which docker and podman both load.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgewright import archives, digest, files, log, proc, rootfs
from edgewright.config import read_toml
from edgewright.environments import CACHE
from edgewright.errors import EngineMissing, StageFailed
from edgewright.supply import NETWORK, Supply

EPOCH = "0"  # SOURCE_DATE_EPOCH: the same packages give the same tar
# docker and podman both print a line like this for each image that they have, and what they like about the others.
INSPECT = "{{.Id}} {{json .RepoTags}}"
INSPECTED = re.compile(r"(?:sha256:)?([0-9a-f]{64}) (\[.*\]|null)")


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


@dataclass(frozen=True)
class Foundation:
    """A base image that an engine has: the name to build from, and its id, the sha256 of a configuration that names its layers."""

    name: str
    image: str


def load_base(root: Path) -> Base:
    """Read docker/base.toml."""
    raw = read_toml(root / "docker" / "base.toml")
    local = raw["local"]
    return Base(raw["public"], local["suite"], tuple(local["packages"]), tuple(local["leave_out"]))


def present(program: str, base: Base) -> Foundation | None:
    """Return the base image that `program` (docker or podman) has already, the public one first."""
    _, text = proc.capture([program, "image", "inspect", "--format", INSPECT, base.public, base.kept, base.local])
    found = {}
    for image, tags in (match.groups() for match in map(INSPECTED.fullmatch, text.splitlines()) if match):
        # A name by digest is no tag: what has neither of the tags was found by it.
        name = next((name for name in (base.kept, base.local) if name in (json.loads(tags) or [])), base.public)
        found[name] = Foundation(name, image)
    return next((found[name] for name in (base.public, base.kept, base.local) if name in found), None)


def contents(program: str, foundation: Foundation) -> str:
    """Return the digest of all files in a base image: what stands for it in keys, however it came and whatever it is called.

    It is computed once for each image id, and kept: no image with another content can have that id.
    """
    path = CACHE / "bases" / f"{foundation.image}-{rootfs.VERSION}"
    with contextlib.suppress(OSError):
        if re.fullmatch(r"[0-9a-f]{64}", total := path.read_text()):
            return total
    log.say("base", "reading what is in it; this is kept")
    total = rootfs.read(program, foundation.image).digest
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, total)
    return total


def obtain(program: str, base: Base, supply: Supply = NETWORK) -> Foundation:
    """Load the base from the vendor's folder or pull it; where no registry can be reached, make the local one, and say so."""
    _bring(program, base, supply)
    foundation = present(program, base)
    if not foundation:
        raise StageFailed(f"{program} does not have the base image that it has just been given", "make doctor")
    return foundation


def _bring(program: str, base: Base, supply: Supply) -> None:
    if any(archives.load(program, name, supply) for name in (base.kept, base.local)):
        return
    supply.require_network("the base image")
    log.say("base", f"pulling {base.public.partition('@')[0]}")
    code, output = proc.capture([program, "pull", "--quiet", base.public], timeout_s=600)
    if code == 0:
        return
    reason = output.splitlines()[-1][:160] if output else f"exit code {code}"
    log.say("base", f"no registry ({reason})")
    if not shutil.which("mmdebstrap"):
        raise EngineMissing(
            f"the base image cannot be pulled ({reason}), and mmdebstrap, which makes one, is not installed",
            "sudo apt-get install mmdebstrap   or   make deploy … ENGINE=venv",
        )
    make_local(program, base)


def make_local(program: str, base: Base) -> None:
    """Make the local base with mmdebstrap and load it into `program`."""
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

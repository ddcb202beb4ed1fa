"""`make doctor`: what this machine has of what a build needs; each line that is not good comes with a hint."""

from __future__ import annotations

import os
import platform
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from edgewright import base, log, proc
from edgewright.boards import ports
from edgewright.config import load_project
from edgewright.containers import secrets
from edgewright.engine import Check
from edgewright.engines import ENGINES
from edgewright.environments import CACHE
from edgewright.errors import EdgewrightError, EngineMissing

# All images together, as `docker images` counted them on 2026-11-24 (train and export
# share torch), and room to build.
NEEDED_BYTES = 16e9
TIMEOUT_S = 5


def checks(root: Path) -> Iterator[Check]:
    """Yield one check after the other; slow ones (the network) last."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    yield Check(
        "system",
        platform.machine() in ("x86_64", "AMD64"),
        system,
        "the locks are for x86-64 (docker emulates it elsewhere)",
    )
    for name, make in ENGINES.items():
        try:
            yield Check(name, True, make(root).version())
        except EngineMissing as reason:
            yield Check(name, False, str(reason), reason.hint)
    yield _gpu()
    yield from _boards(root)
    for place, path in (("cache", CACHE), ("build", root)):
        yield _disk(place, path)
    given = (
        ", ".join(f"{secret}={path}" for secret, path in secrets().items())
        or "none (only needed behind a corporate proxy)"
    )
    yield Check("secrets", True, given)
    yield _registry(root)


def show(root: Path) -> bool:
    """Print every check; return whether some engine answers."""
    answers = False
    for check in checks(root):
        log.say(check.name, f"{'✓' if check.good else '✗'} {check.text}", "" if check.good else "yellow")
        if not check.good and check.hint:
            log.say("", f"  hint: {check.hint}", "dim")
        answers |= check.good and check.name in ENGINES
    return answers


def _gpu() -> Check:
    code, text = proc.capture(["nvidia-smi", "-L"])
    if code:
        return Check("gpu", False, "no NVIDIA GPU found: training runs on the CPU", "GPU=1 needs an NVIDIA driver")
    toolkit = shutil.which("nvidia-ctk")
    hint = "install nvidia-container-toolkit, so that containers see the GPU"
    return Check("gpu", bool(toolkit), text.splitlines()[0] + ("" if toolkit else ", but no container toolkit"), hint)


def _boards(root: Path) -> Iterator[Check]:
    """A board that is not plugged in is no fault: whatever is built is rehearsed on a virtual one."""
    for device in load_project(root).devices.values():
        if device.board is None:
            continue
        try:
            at = ports.find(device.board, "", device.title)
            # It is not opened: that restarts some boards.
            usable = os.access(at, os.R_OK | os.W_OK)
            text = f"{device.title} at {at}{'' if usable else ': permission denied'}"
            yield Check("board", usable, text, "" if usable else ports.way_in(at))
        except ports.NoBoard:
            yield Check("board", True, f"no {device.title} on USB")
        except EdgewrightError as problem:
            yield Check("board", False, str(problem), problem.hint)


def _disk(name: str, path: Path) -> Check:
    at = next(parent for parent in [path, *path.parents] if parent.exists())
    free = shutil.disk_usage(at).free
    text = f"{log.size(free)} free at {path}"
    return Check(
        name,
        free > NEEDED_BYTES,
        text,
        f"all stages need about {log.size(int(NEEDED_BYTES))}: docker system prune, make clean",
    )


def _registry(root: Path) -> Check:
    """Ask the public base image's registry for its API; any answer of HTTP means that it can be reached."""
    host = "registry-1.docker.io"  # where an image name without a host is pulled from
    try:
        urllib.request.urlopen(f"https://{host}/v2/", timeout=TIMEOUT_S, context=ssl.create_default_context())
    except urllib.error.HTTPError:
        pass
    except (TimeoutError, urllib.error.URLError, ssl.SSLError) as problem:
        text = f"{host} cannot be reached ({getattr(problem, 'reason', problem)})"
        if shutil.which("mmdebstrap"):
            return Check("registry", True, f"{text}: mmdebstrap makes the base image instead")
        return Check("registry", False, f"{text}: no base image for containers", "sudo apt-get install mmdebstrap")
    return Check("registry", True, f"{host} answers; base {base.load_base(root).public.partition('@')[0]}")

"""Run in vela's environment: MODEL CONFIG EXPECTED PATCH… compiles with the patched package and the stock one, and compares.

The stock package is a copy of which the patches have been taken off again, and which then is what the wheel's RECORD says.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from shutil import copytree, ignore_patterns

import patch_ng

SITE = Path(sysconfig.get_path("purelib"))
ACCELERATORS = ("ethos-u55-64", "ethos-u55-256")


def stock(folder: Path, patches: list[Path]) -> None:
    """Copy the package into `folder` and take the patches off the copy."""
    copytree(SITE / "ethosu", folder / "ethosu", ignore=ignore_patterns("__pycache__", "*.so"))
    for path in (SITE / "ethosu").glob("*.so"):
        (folder / "ethosu" / path.name).symlink_to(path)  # nothing may be executed below /tmp
    for path in sorted(patches, reverse=True):
        assert patch_ng.fromfile(str(path)).revert(root=str(folder)), path
    rows = csv.reader((distribution("ethos-u-vela").read_text("RECORD") or "").splitlines())
    recorded = {name: digest for name, digest, _ in rows if name.startswith("ethosu/")}
    for path in (path for path in folder.rglob("*.py")):
        found = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")
        assert recorded[path.relative_to(folder).as_posix()] == f"sha256={found}", path


def compiled(package: Path, model: Path, config: Path, accelerator: str) -> dict[str, bytes]:
    """Return what Vela of that folder writes."""
    argv = [sys.executable, "-m", "ethosu.vela", str(model), "--accelerator-config", accelerator]
    argv += ["--config", str(config), "--system-config", "My_Sys_Cfg", "--memory-mode", "My_Mem_Mode_Parent"]
    with tempfile.TemporaryDirectory() as output:
        environment = {**os.environ, "PYTHONPATH": str(package)}
        subprocess.run([*argv, "--output-dir", output], env=environment, check=True, stdout=subprocess.DEVNULL)
        return {path.name: path.read_bytes() for path in sorted(Path(output).iterdir())}


def main(model: Path, config: Path, expected: Path, *patches: Path) -> None:
    """Compare, and print a line for each accelerator."""
    for line in expected.read_text().splitlines():
        sha256, name = line.split("  ")
        assert hashlib.sha256((SITE / name).read_bytes()).hexdigest() == sha256, name
    with tempfile.TemporaryDirectory() as folder:
        stock(Path(folder), list(patches))
        for accelerator in ACCELERATORS:
            ours, theirs = (compiled(package, model, config, accelerator) for package in (SITE, Path(folder)))
            assert len(ours) == 2, accelerator
            assert ours == theirs, accelerator
            sha256 = hashlib.sha256(ours[f"{model.stem}_vela.tflite"]).hexdigest()
            print(f"{accelerator}: same {sha256}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""Apply a folder of git patches to this environment's packages and check the result: patch.py [--write] FOLDER

The folder holds *.patch, applied in the order of their names, and EXPECTED, the sha256 of every file that they touch (`sha256sum`
format, paths relative to site-packages). Applying them to other sources than they were made for ends here with an error, never with
a half-patched package. With --write, EXPECTED is written instead (`make lock`). A library applies them, because neither base image
has git or patch.
"""

from __future__ import annotations

import hashlib
import os
import py_compile
import shutil
import sys
import sysconfig
from pathlib import Path

import patch_ng

SITE = Path(sysconfig.get_path("purelib"))


def main(folder: Path, write: bool) -> None:
    """Patch, check, and renew the byte code of what was patched."""
    patches = [patch_ng.fromfile(str(path)) for path in sorted(folder.glob("*.patch"))]
    names = sorted({item.target.decode().removeprefix("b/") for patch in patches for item in patch or []})
    for name in names:
        own_copy(SITE / name)
    for patch in patches:
        if not patch or not patch.apply(root=str(SITE)):
            sys.exit(f"error: a patch of {folder} does not apply to {SITE}")
    found = {name: hashlib.sha256((SITE / name).read_bytes()).hexdigest() for name in names}
    listing = "".join(f"{sha256}  {name}\n" for name, sha256 in found.items())
    if write:
        (folder / "EXPECTED").write_text(listing)
    elif set(listing.splitlines()) != set((folder / "EXPECTED").read_text().splitlines()):
        sys.exit(f"error: after patching the files are\n{listing}which {folder / 'EXPECTED'} does not say")
    for name in names:
        # Byte code that is not checked against its source would still be the unpatched file's.
        py_compile.compile(
            str(SITE / name), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
    print(listing, end="")


def own_copy(path: Path) -> None:
    """Replace a file by a copy: uv links files from its cache, and a patch must not reach that."""
    copy = path.with_name(path.name + ".copy")
    shutil.copy2(path, copy)
    os.replace(copy, path)


if __name__ == "__main__":
    main(Path(sys.argv[-1]), write="--write" in sys.argv)

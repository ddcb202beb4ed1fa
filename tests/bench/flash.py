"""How long a flash takes at 921600 baud on a virtual board, against the time that its bytes take on the line.

Run by `inv bench --release FOLDER`, a bundle. The line is paced to ten bits a byte in each direction; erasing and programming take
no time there, so what is above 1 is protocol and our own. Prints seconds, the least that they could be, and the ratio.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import zlib
from pathlib import Path

from edgewright.boards import bundles
from edgewright.boards.flash import LOADERS
from edgewright.boards.virtual.line import BITS, Faults
from tests.boards.toy_board import PROJECT, Toy, standing

BAUD = 921600
PACKET, FRAMED = 128, 133  # bytes of an XMODEM packet: what it carries, what is sent


def main(folder: Path) -> None:
    """Measure and print."""
    made = bundles.open_bundle(folder)
    device = PROJECT.devices[made.manifest["device"]]
    with (
        tempfile.TemporaryDirectory() as scratch,
        standing(device, Path(scratch), Toy(), Faults(slow=BAUD)) as (_, target),
    ):
        writes = bundles.writes_of(made, target.firmware, target.board, "")
        loader, started = LOADERS[target.board.loader], time.monotonic()
        written = loader.write(target.port, target.board, writes, lambda *_: None)
        whole_s = time.monotonic() - started
    count = bytes_on_the_line(target.board.loader, made.model.read_bytes())
    least_s = count * BITS / BAUD
    print(
        json.dumps(
            {
                "bytes": written.bytes,
                "on_the_line": count,
                "least_s": round(least_s, 1),
                "writing_s": round(written.seconds, 1),
                "whole_s": round(whole_s, 1),
                "ratio": round(written.seconds / least_s, 2),
            }
        )
    )


def bytes_on_the_line(loader: str, content: bytes) -> int:
    """Return how many bytes carry the file: esptool compresses, XMODEM frames each packet and waits for a byte."""
    if loader == "esptool":
        return len(zlib.compress(content, 9))
    return -(-len(content) // PACKET) * (FRAMED + 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""What a run costs that has nothing to do, and how that grows with the data set: 8 images and 8,000, in one run.

Run by `inv bench --model MODEL.tflite --data FOLDER`, a data set with images/ and labels/, whose images are copied until there are
enough. Prints seconds of the best of three later `inv verify` of each, and how many of them the data takes: it is not read again.
As `python -m tests.bench.repeat MODEL DATA ENGINE …` it does so in these engines.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COUNTS = (8, 8000)
IMAGES = (".jpg", ".jpeg", ".png")


def main(model: Path, data: Path, engine: str) -> None:
    """Measure and print."""
    took: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["EDGEWRIGHT_STORE"] = str(Path(scratch, "store"))
        for count in COUNTS:
            folder = Path(scratch, f"data-{count}")
            fill(folder, data, count)
            print(f"{count} images: {verify(model, folder, engine):.1f} s the first time", file=sys.stderr)
            took[count] = min(verify(model, folder, engine) for _ in range(3))
    few, many = COUNTS
    found = {"engine": engine or "default", "images": list(COUNTS)}
    found |= {
        "nothing_to_do_s": [round(took[few], 2), round(took[many], 2)],
        "more_s": round(took[many] - took[few], 2),
    }
    print(json.dumps(found))


def fill(folder: Path, data: Path, count: int) -> None:
    """Copy a data set's images and labels, half of them for training, under new names until there are `count`."""
    for split, half in (("train", count // 2), ("val", count - count // 2)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        pairs = list(endless(data / "images" / split, half))
        for number, image in enumerate(pairs):
            label = data / "labels" / split / f"{image.stem}.txt"
            shutil.copyfile(image, folder / "images" / split / f"{number:05}{image.suffix}")
            shutil.copyfile(label, folder / "labels" / split / f"{number:05}.txt")


def endless(folder: Path, count: int) -> Iterator[Path]:
    """Yield a folder's images again and again, `count` in all."""
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    for number in range(count):
        yield images[number % len(images)]


def verify(model: Path, data: Path, engine: str) -> float:
    """Return the seconds that a run takes."""
    words = ["verify", "--device=esp32s3", f"--model={model}", f"--data={data}", "--frames=4", f"--engine={engine}"]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.monotonic() - begun


if __name__ == "__main__":
    for name in sys.argv[3:] or [""]:
        main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), name)

"""The data stage: draw the sample set or check the user's; then manifest, data.yaml, calibration, contact sheet."""

from __future__ import annotations

import shutil
from dataclasses import asdict

import calibration
import figures
import numpy as np
import stage
from check import Rules, check
from manifest import as_manifest, as_yaml
from sheet import draw_sheet, save_sheet


def main(request: stage.Request) -> None:
    """Nothing is written before the data has been found good, except the drawn set."""
    parameters, output = request.parameters, request.output
    root, drawn = request.inputs.get("dataset"), None
    if root is None:
        settings = figures.parse_settings(parameters["sample"])
        root, drawn = output / "dataset", asdict(settings)
        shutil.rmtree(root, ignore_errors=True)
        figures.write_set(root, settings, with_keypoints=parameters["task"] == "pose")
    rules = Rules(parameters["task"], parameters["max_pose_classes"], parameters["keypoint_values"])
    data = check(root, parameters["yaml"], rules)

    split = parameters["calibration_split"]
    paths = [root / item.image for item in data.items[split]]
    count = parameters["calibration_count"]
    if len(paths) < count:
        print(f"calibration: {split} has {len(paths):,} images, fewer than {count:,}", flush=True)
    array = calibration.collect(paths, count, parameters["fit"], parameters["imgsz"])
    with (output / "calibration.npy").open("wb") as file:
        np.save(file, array, allow_pickle=False)
    title = (
        ("Your data set", data.source) if drawn is None else (f"Sample set: {drawn['name']}", f"seed {drawn['seed']}")
    )
    save_sheet(draw_sheet(data, *title), output / "contact_sheet.png")
    (output / "data.yaml").write_text(as_yaml(data), encoding="utf-8")
    (output / "manifest.json").write_text(as_manifest(data, drawn), encoding="utf-8")


if __name__ == "__main__":
    stage.run(main)

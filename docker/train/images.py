"""A data set as ultralytics wants it: its augmentation and batching, over images and labels that `dataset` has read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset import BOX_COLUMNS, DataSet, Picture, read_labels
from ultralytics.data.dataset import YOLODataset

NOWHERE = Path("/nonexistent")


class Images(YOLODataset):  # type: ignore[misc]
    """The images of one split. Reads only images and labels: no cache, no `.npy`; and it writes nothing."""

    def __init__(self, pictures: Sequence[Picture], data: DataSet, **settings: Any) -> None:
        self.pictures = pictures
        pose = settings["task"] == "pose"
        described = {
            "names": data.names,
            "kpt_shape": [data.keypoints, 3],
            "flip_idx": list(data.flip_idx) if pose else [],
        }
        super().__init__(img_path="", data=described, **settings)
        self.npy_files = [NOWHERE] * len(self.im_files)  # an image is what its own file says

    def get_img_files(self, img_path: str) -> list[str]:
        """Return the images in the manifest's order."""
        return [str(picture.image) for picture in self.pictures]

    def get_labels(self) -> list[dict[str, Any]]:
        """Read all labels: boxes `[n, 4]` (centre, size), keypoints `[n, k, 3]`, all as fractions of the image."""
        return [self._label(picture) for picture in self.pictures]

    def _label(self, picture: Picture) -> dict[str, Any]:
        keypoints = self.data["kpt_shape"][0]
        rows = read_labels(picture.labels, keypoints)
        return {
            "im_file": str(picture.image),
            "cls": rows[:, :1],
            "bboxes": rows[:, 1:BOX_COLUMNS],
            "segments": [],
            "keypoints": rows[:, BOX_COLUMNS:].reshape(len(rows), keypoints, 3) if self.use_keypoints else None,
            "normalized": True,
            "bbox_format": "xywh",
        }

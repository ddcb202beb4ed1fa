"""One training run: ultralytics' trainer over our data set, from our network, into a scratch folder."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import stage
import torch
from dataset import DataSet, Picture
from images import Images
from meter import Meter
from network import Start, build, transfer
from stage import Refused
from torch import nn
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.pose import PoseTrainer

SHORT = {"box_loss": "box", "pose_loss": "pose", "kobj_loss": "visibility", "cls_loss": "class", "dfl_loss": "edges"}


class Run(DetectionTrainer):  # type: ignore[misc]
    """ultralytics' trainer, with its ways in (data, network) and out (files, progress) replaced.

    After `train()`: `best` is the network of the best epoch, `metrics` what the validation set says of exactly that.
    """

    def __init__(self, data: DataSet, start: Start, ema_tau: float, scratch: Path, settings: Mapping[str, Any]) -> None:
        self.source = data
        self.start = start
        self.ema_tau = ema_tau
        self.best_epoch = 0
        self.best_state: dict[str, torch.Tensor] = {}
        callbacks: dict[str, list[Callable[[Run], None]]] = defaultdict(list)
        callbacks["on_train_start"] = [Run._begin]
        callbacks["on_train_batch_start"] = [Run._count]
        callbacks["on_train_batch_end"] = [Run._report]
        where = {"project": str(scratch), "name": "run", "exist_ok": True}
        super().__init__(overrides={**settings, **where}, _callbacks=callbacks)

    # what goes in

    def get_dataset(self) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
        """Describe the data set in ultralytics' words."""
        self.data = {"names": self.source.names, "nc": len(self.source.names), "kpt_shape": [self.source.keypoints, 3]}
        return self.source.train, self.source.val

    def setup_model(self) -> None:
        """Build the network after ultralytics has set the seeds, so that a random start is always the same."""
        self.model = build(self.args.task, self.source, self.start)
        taken = transfer(self.model, self.start)
        print(f"starts from {self.start.name}: {taken} of {len(self.model.state_dict())} tensors fit", flush=True)

    def build_dataset(self, img_path: tuple[Picture, ...], mode: str = "train", batch: int | None = None) -> Images:
        """Open one split. Validation is on square images, as the boards see them, not on ultralytics' padded ones."""
        return Images(
            img_path, self.source, imgsz=self.args.imgsz, batch_size=batch, augment=mode == "train", hyp=self.args,
            rect=False, stride=32, prefix=f"{mode}: ", task=self.args.task,
        )  # fmt: skip

    # what comes out

    def save_model(self) -> None:
        """Remember the best epoch's weights, in the precision of the file; ultralytics writes 25 MB every epoch."""
        if self.best_fitness == self.fitness:
            self.best_epoch = self.epoch + 1
            self.best_state = {name: tensor.detach().clone() for name, tensor in halved(self.ema.ema).items()}

    def final_eval(self) -> None:
        """Measure the weights that will be written, and draw their plots."""
        self.ema.ema.load_state_dict(self.best_state)
        self.validator.args.plots = True
        self.metrics, self.fitness = self.validate()

    def plot_training_labels(self) -> None:
        """Leave out the statistics of the labels: 14 s on one core for what the data stage's contact sheet shows."""

    def best_network(self) -> nn.Module:
        """Build the network of the best epoch anew, without what training has left in the one that was trained."""
        model = build(self.args.task, self.source, self.start)
        model.load_state_dict(self.best_state)
        return model

    def _begin(self) -> None:
        self.ema.decay = lambda updates: 0.9999 * (1 - math.exp(-updates / self.ema_tau))
        self.validator.args.plots = False  # until the final evaluation
        self.meter = Meter(self.epochs, len(self.train_loader))
        self.batches = 0

    def _count(self) -> None:
        self.batches += 1

    def _report(self) -> None:
        losses = {SHORT[name]: float(value) for name, value in zip(self.loss_names, self.tloss, strict=True)}
        if not all(math.isfinite(value) for value in losses.values()):
            raise Refused(
                f"epoch {self.epoch + 1}: the loss is no longer a number",
                hint=f"lr0 = {self.args.lr0 / 10:g} under [train] in the recipe",
            )
        line = self.meter.step(self.epoch, self.batches - self.epoch * len(self.train_loader) - 1, losses)
        if line:
            stage.progress(*line)


class PoseRun(Run, PoseTrainer):  # type: ignore[misc]
    """The same for keypoints."""


RUNS = {"detect": Run, "pose": PoseRun}


def halved(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the state of a network as float16, except for counters."""
    return {
        name: tensor.half() if tensor.dtype.is_floating_point else tensor for name, tensor in model.state_dict().items()
    }

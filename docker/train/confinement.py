"""ultralytics 8.2.24, kept to itself: nothing fetched, nothing reported, nothing drawn behind our back.

The package is not patched in this environment (only export needs that); here its module attributes are replaced before
a trainer is made. Each replacement stands beside its reason.
"""

from __future__ import annotations

import functools
import logging
import re
import warnings
from types import SimpleNamespace
from typing import Any

from matplotlib import font_manager
from PIL import ImageFont
from ultralytics.engine import trainer, validator
from ultralytics.models.yolo.detect import train as detect_train
from ultralytics.models.yolo.detect import val as detect_val
from ultralytics.models.yolo.pose import train as pose_train
from ultralytics.models.yolo.pose import val as pose_val
from ultralytics.utils import LOGGER, plotting


def confine() -> None:
    """Make the replacements; to be called once, before a trainer is made."""
    _quieten()
    # Integrations (ClearML, Comet, MLflow, W&B, the ultralytics hub, …) look for accounts and packages: none are wanted.
    trainer.callbacks.add_integration_callbacks = _nothing
    # The check fetches yolov8n.pt to compare it with and without AMP. A loss that is no number is caught in any case.
    trainer.check_amp = _always
    # A missing Arial.ttf would be fetched; matplotlib brings a font that holds more of the alphabets.
    plotting.check_font = _font
    # Pillow lays text out with the system's libfribidi where there is one, and a container has none.
    plotting.ImageFont = SimpleNamespace(
        truetype=functools.partial(ImageFont.truetype, layout_engine=ImageFont.Layout.BASIC),
        load_default=ImageFont.load_default,
    )
    # Progress is the meter's: one plain line, not a bar that redraws itself.
    for module in (trainer, validator):
        module.TQDM = functools.partial(module.TQDM, disable=True)
    # Plots are made in threads that scale one shared batch of images in place: who comes first would show.
    for module in (detect_train, detect_val, pose_train, pose_val):
        module.plot_images = functools.partial(plotting.plot_images, threaded=False)


def _quieten() -> None:
    """Keep ultralytics' warnings, without emoji, and nothing else of what it says."""
    LOGGER.setLevel(logging.WARNING)
    for handler in LOGGER.handlers:
        handler.setLevel(logging.WARNING)
        handler.addFilter(_plain)
    # From torch: a scheduler that is stepped first, and, on a GPU, kernels without a deterministic variant.
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")


def _plain(record: logging.LogRecord) -> bool:
    text = re.sub(r"\x1b\[\d+m", "", record.getMessage())
    record.msg, record.args = re.sub(r"\s*WARNING \N{WARNING SIGN}\ufe0f\s*", "", text).strip(), ()
    record.msg = f"warning: {record.msg}"
    return True


def _nothing(*_: Any) -> None:
    """Stand in for a function that would do something unwanted."""


def _always(*_: Any) -> bool:
    """Stand in for a check that would go online."""
    return True


def _font(*_: Any) -> str:
    return str(font_manager.findfont("DejaVu Sans"))

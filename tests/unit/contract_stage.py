"""For the tests of the contract: the modules of the verify stage that check it, and the facts of configs/firmwares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from stage_modules import DOCKER, imported
from tflite_maker import Sketch

from edgewright.config import load_project

FACTS = {name: firmware.facts for name, firmware in load_project(DOCKER.parent).firmwares.items()}
XIAO, XIAO_HEAD, XIAO_2 = "esp32s3-sscma-1.x", "esp32s3-sscma-1.0-head", "esp32s3-sscma-2.x"
GROVE, GROVE_2 = "grove-vision-ai-v2-sscma-1.x", "grove-vision-ai-v2-sscma-2.x"
HIMAX_POSE, HIMAX_OD = "grove-vision-ai-v2-himax-pose", "grove-vision-ai-v2-himax-od"
COMPILED = ("ETHOS_U", "TRANSPOSE")
# What reads a .tflite file and checks it against a firmware.
MODULES = (
    "stage",
    "tflite_schema",
    "tflite_model",
    "network",
    "heads",
    "checks",
    "command_stream",
    "acceptance",
    "contract",
)
Checker = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def verify() -> Iterator[SimpleNamespace]:
    """The modules under test."""
    with imported(MODULES, "verify") as found:
        yield found


@pytest.fixture
def check(verify: SimpleNamespace) -> Checker:
    """Write a sketch as a file, read it, and check it against a firmware."""

    def checked(sketch: Sketch, firmware: str | dict[str, Any] = XIAO, arena: Any = None) -> list[Any]:
        content = sketch.file()
        network = verify.network.parse(content, "model.tflite")
        shape = network.inputs[0].shape
        shapes = [tensor.shape for tensor in network.outputs]
        heads = verify.heads.recognise(shape[1], shapes) if len(shape) == 4 else None
        facts = FACTS[firmware] if isinstance(firmware, str) else firmware
        return list(verify.contract.check(network, heads, facts, arena or arena_of(1000), content))

    return checked


def arena_of(low: int, high: int = 0, **more: Any) -> SimpleNamespace:
    """What docker/verify/arena.py would have measured."""
    high = high or low
    return SimpleNamespace(
        **{"bytes": low, "activations": low, "persistent": 0, "low": low, "high": high, "source": "TFLM", "problem": ""}
        | more
    )


def broken(checks: Sequence[Any]) -> list[Any]:
    """The violations."""
    return [one for one in checks if one.passes is False]


def warned(checks: Sequence[Any], rule: str = "") -> list[Any]:
    """The warnings, or those of one rule."""
    return [one for one in checks if one.passes is None and rule in ("", one.rule)]


def only(checks: Sequence[Any]) -> Any:
    """The one violation there is."""
    wrong = broken(checks)
    assert len(wrong) == 1, [one.text for one in wrong]
    assert "\n" not in wrong[0].text + wrong[0].hint
    return wrong[0]

"""What the tests on virtual boards share; what needs no environment stands in toy_board.py."""

from __future__ import annotations

import pytest
from toy_board import PROJECT

from edgewright.config import Device


@pytest.fixture(params=["esp32s3", "grove-vision-ai-v2"])
def device(request: pytest.FixtureRequest) -> Device:
    """Return each board in turn."""
    return PROJECT.devices[request.param]

"""The real pip-audit over the real locks, where a service answers."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path

import pytest

from edgewright.audit import audit
from edgewright.errors import EngineMissing, StageFailed

ROOT = Path(__file__).resolve().parents[2]


def test_every_lock_is_asked_about() -> None:
    try:
        audit(ROOT, datetime.date.today())
    except EngineMissing as reason:
        pytest.skip(str(reason))
    except StageFailed as findings:
        # An advisory of today is no fault of yesterday's commit: it is told, here and by `make audit`, and fails nobody's change.
        warnings.warn(str(findings), stacklevel=1)

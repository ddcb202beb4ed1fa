"""The real pip-audit over the real locks, where a service answers."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from edgewright.audit import audit
from edgewright.errors import EngineMissing

ROOT = Path(__file__).resolve().parents[2]


def test_every_finding_in_the_locks_is_excused_with_a_reason_and_a_date() -> None:
    try:
        audit(ROOT, datetime.date.today())
    except EngineMissing as reason:
        pytest.skip(str(reason))

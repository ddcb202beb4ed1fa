"""What was proved about a model, told at the terminal; one that the board cannot run goes no further."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path

from edgewright import documents, log
from edgewright.build import Build
from edgewright.config import shown
from edgewright.errors import DoesNotFit, OutputMissing, WrongInput
from edgewright.plan import PAGE, VERDICT

FAILS = "fails"  # the verdict's state where something is violated


def require(walk: Build) -> None:
    """Tell what was found; raise DoesNotFit where the board cannot run the model, or it fails the recipe's gates."""
    found = [(name, record) for name, record in walk.done.items() if VERDICT in record.outputs]
    if not found:
        return  # a pipeline without a verdict
    name, record = found[-1]
    report = documents.read(walk.volume, record, VERDICT, documents.Report)
    verdict = report.verdict
    fails = verdict.state == FAILS
    log.say(name, f"{'✗' if fails else '✓'} {verdict.summary}", "red" if fails else "green")
    # A single violation is the summary, and the error below: three times would be too often.
    violations = verdict.violations if len(verdict.violations) > 1 else []
    for mark, style, lines in (("✗", "red", violations), ("!", "yellow", verdict.warnings)):
        for line in lines:
            log.say("", f"{mark} {line.text}", style)
            if line.hint:
                log.say("", f"  hint: {line.hint}", "dim")
    for text in (*verdict.lines, *verdict.partial, *verdict.notes):
        log.say("", text)
    page = shown(walk.volume / record.path(PAGE))
    log.say("", f"report: {page}", "dim")
    if fails:
        first = verdict.violations[0] if len(verdict.violations) == 1 else None
        what = first.text if first else f"{len(verdict.violations)} violations"
        raise DoesNotFit(
            f"{report.model.name} does not run on {walk.plan.device.name}: {what}",
            first.hint if first else f"see {page}",
        )


def open_page(walk: Build) -> None:
    """Open the report of when this name was last built for this device, in the browser if this machine has one."""
    pages = [walk.volume / record.path(PAGE) for record in walk.last().values() if PAGE in record.outputs]
    if not pages:
        plan = walk.plan
        raise WrongInput(
            f"no report of {plan.name} for {plan.device.name} yet", f"make verify DEVICE={plan.device.name}"
        )
    page: Path = pages[-1]
    if not page.exists():
        raise OutputMissing(f"{shown(page)} is missing", f"make verify DEVICE={walk.plan.device.name}")
    opened = (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and webbrowser.open(page.as_uri())
    log.say("report", f"{shown(page)}{'' if opened else ': open it in a browser'}")

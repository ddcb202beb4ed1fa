"""What can go wrong, by kind: each class has the exit code that a script can rely on."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class EdgewrightError(Exception):
    """A failure with a known cause: a lower-case fact with file and value, and a hint that can be typed."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class WrongInput(EdgewrightError):
    """The user's option, file or configuration cannot be used."""

    exit_code = 2


class EngineMissing(EdgewrightError):
    """No engine answers, or what an engine needs is not there."""

    exit_code = 3


class StageFailed(EdgewrightError):
    """A stage, or the building of its environment, ended with an error."""

    exit_code = 4


class OutputMissing(EdgewrightError):
    """A stage ended well but left a promised file out."""

    exit_code = 5


class HashDiffers(EdgewrightError):
    """A download or a recorded file does not have the expected sha256."""

    exit_code = 6


class DoesNotFit(EdgewrightError):
    """The board cannot run the model."""

    exit_code = 7


class BoardFailed(EdgewrightError):
    """The board is not there, does not answer, or not as it should; the text says what state it is in."""

    exit_code = 8


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "perhaps you meant 'x'" for the known word closest to `word`, or the list of all that are known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"perhaps you meant '{close[0]}'" if close else f"known: {', '.join(names)}"


@contextmanager
def full_disk_as_error() -> Iterator[None]:
    """Turn what any write may meet, and no check can foresee, into an error that says what to do."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" at {problem.filename}" if problem.filename else ""
        raise StageFailed(f"the disk is full{where}", "make clean   or   docker system prune") from None

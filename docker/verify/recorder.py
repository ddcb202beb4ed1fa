"""Print what TFLM's recording allocator counts for one file: `recorder.py ARENA_BYTES < model.tflite`, figures on stderr.

A process of its own, since TFLM prints through C, and a damaged file may crash it.
"""

from __future__ import annotations

import sys

from tflite_micro.python.tflite_micro import runtime

FAILED = 3  # exit code: TFLM has said why on stderr; Python's own for what went wrong here is 1


def main() -> None:
    """Allocate, and print the allocations; nothing is computed, as that takes no more of the arena."""
    try:
        interpreter = runtime.Interpreter.from_bytes(sys.stdin.buffer.read(), arena_size=int(sys.argv[1]))
    except (
        Exception
    ) as problem:  # RuntimeError from TFLM; its wrapper reads the file once more, and a broken offset leads anywhere
        print(problem, file=sys.stderr)
        sys.exit(FAILED)
    interpreter.print_allocations()


if __name__ == "__main__":
    main()

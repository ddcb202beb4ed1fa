"""How much of the tensor arena a network takes: TFLM's own count, and what that means for a 32-bit board and its kernels."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import esp_nn
from isolation import ending
from network import Network
from planner import Buffer, extent, plan

ARENAS = (2**24, 2**26, 2**28)  # bytes, tried in turn; 256 MiB is far above any board
PATIENCE_S = 300  # TFLM's planner takes a second for a thousand tensors, and time with the square of them
FIGURE = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
SHORT = re.compile(r"Requested: (\d+), available (\d+)")  # from both ends of single_arena_buffer_allocator.cc
NO_KERNEL = re.compile(r"Didn't find op for builtin opcode '(\w+)'")
NO_CUSTOM_KERNEL = "Failed to get registration from op code CUSTOM"

# What TFLM 0.dev20261023 keeps on a 64-bit machine, for files that it cannot allocate there. The first four are structures of
# its own as its recording allocator prints them, the others what nets of one to 269 operators leave beside those, rounded up.
EVAL_TENSOR = 24
NODE = 64
INPUT_OR_OUTPUT = 64 + 32 + 8  # TfLiteTensor, its quantisation, a pointer
CHANNEL = 8  # multiplier and shift of a convolution's output channel
ALLOCATORS = 544
KERNEL = 96  # an operator's own data and its options
NPU_KERNEL = 32  # ethosu.cc: three numbers, and handles of two scratch buffers

RECORDED = "TFLM's recording allocator on a 64-bit host, reference kernels"
VELA = "Vela's plan in the file; the rest estimated from TFLM's structures on a 64-bit host"
PLANNED = "our own copy of TFLM's planner; the rest estimated from TFLM's structures on a 64-bit host"


@dataclass(frozen=True)
class Arena:
    """An arena in bytes: `activations` at its head, `persistent` structures at its tail, `bytes` both, on a 64-bit machine.

    `low` and `high` bound the same on a 32-bit board, scratch memory of its kernels included. `buffers` is the plan of the
    head there. `problem` says in one line why TFLM could not allocate: then the figures are our planner's and an estimate.
    """

    bytes: int
    activations: int
    persistent: int
    low: int
    high: int
    source: str
    buffers: tuple[Buffer, ...]
    problem: str = ""


@dataclass(frozen=True)
class Recording:
    """What TFLM said: the arena's two ends in bytes, or why there are none."""

    head: int = 0
    tail: int = 0
    problem: str = ""


def measure(content: bytes, network: Network, kernels: str) -> Arena:
    """Measure the arena that a file's network takes on a board with these kernels.

    `kernels` is "reference", or "cmsis-nn", whose scratch the operators that Vela leaves to the CPU do not need, or "esp-nn" for
    any release of it, "esp-nn 2023" for one: see esp_nn.py. A file compiled by Vela brings its plan along; nothing is run then.
    """
    plain = plan(network)
    recording = Recording(problem=check_plan(network)) if network.compiled else record(content, network)
    if network.compiled or recording.problem:
        head, tail, source = extent(plain), estimate(network), VELA if network.plan else PLANNED
    else:
        head, tail, source = recording.head, recording.tail, RECORDED
    plans = [plan(network, esp_nn.requests(network, release)) for release in releases(kernels)]
    heads = [extent(one) for one in plans] or [head]
    # On 32 bits pointers are half as large, and with them at most the whole of each structure; numbers, among them two for each
    # channel of a convolution, stay as they are. So half is less than the board has, and all is more: a handle of 4 bytes for
    # each scratch buffer comes on top there, but each tensor saves 12 and each operator 32.
    return Arena(
        bytes=head + tail,
        activations=head,
        persistent=tail,
        low=min(heads) + tail // 2,
        high=max(*heads, head) + tail,
        source=source,
        buffers=plans[0] if plans else plain,
        problem=recording.problem,
    )


def releases(kernels: str) -> tuple[str, ...]:
    """Return the releases of ESP-NN that a board may have, the oldest first; none where it has other kernels."""
    family, _, release = kernels.partition(" ")
    if family != "esp-nn":
        return ()
    return tuple(one for one in esp_nn.RELEASES if release in ("", one))


def check_plan(network: Network) -> str:
    """Return why TFLM would not take Vela's plan, or nothing (AllocationInfoBuilder::GetOfflinePlannedOffsets)."""
    if network.plan and len(network.plan) != len(network.tensors):
        return f"its plan has {len(network.plan)} offsets for {len(network.tensors)} tensors"
    return ""


def record(content: bytes, network: Network) -> Recording:
    """Let TFLM, which has no kernel for the NPU, allocate the file in arenas that grow until it fits."""
    recording = Recording(problem="not tried")
    for size in ARENAS:
        try:
            done = subprocess.run(
                [sys.executable, str(Path(__file__).with_name("recorder.py")), str(size)],
                input=content,
                capture_output=True,
                timeout=PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Recording(problem=f"TFLM had not planned the arena after {PATIENCE_S} s")
        said = done.stderr.decode(errors="replace")
        recording = understand(said, done.returncode, network)
        if not (recording.problem and SHORT.search(said)):
            break
    return recording


def understand(said: str, code: int, network: Network) -> Recording:
    """Turn what the recorder printed and its exit code into figures, or into one line on why there are none."""
    if code == 1 and "Traceback (most recent call last)" in said:
        raise RuntimeError(said)  # the recorder's own fault, not the file's
    if code < 0:
        return Recording(problem=f"TFLM {ending(code)}")
    figures = {end: int(size) for end, size in FIGURE.findall(said)}
    if code == 0 and {"head", "tail"} <= figures.keys():
        return Recording(figures["head"], figures["tail"])
    if missing := NO_KERNEL.search(said):
        return Recording(problem=f"TFLM has no kernel for {missing[1]}")
    if NO_CUSTOM_KERNEL in said:
        names = sorted({operator.name for operator in network.operators if operator.name.startswith("CUSTOM")})
        return Recording(problem=f"TFLM has no kernel for {', '.join(names) or 'a custom operator'}")
    if short := SHORT.search(said):
        return Recording(problem=f"an arena of {ARENAS[-1]:,} bytes is too small: TFLM asked for {int(short[1]):,}")
    lines = ["".join(filter(str.isprintable, line)).strip() for line in said.splitlines()]
    first = next(filter(None, lines), f"exit code {code}")
    return Recording(problem=f"TFLM could not allocate it: {first[:160]}")


def estimate(network: Network) -> int:
    """Estimate the persistent bytes on a 64-bit machine, from counts."""
    channels = sum(
        network.tensors[operator.outputs[0]].shape[-1]
        for operator in network.operators
        if operator.name.endswith("CONV_2D") and operator.outputs and network.tensors[operator.outputs[0]].shape
    )
    kernel = NPU_KERNEL if network.compiled else KERNEL
    return (
        ALLOCATORS
        + EVAL_TENSOR * len(network.tensors)
        + (NODE + kernel) * len(network.operators)
        + INPUT_OR_OUTPUT * (len(network.inputs) + len(network.outputs))
        + CHANNEL * channels
    )

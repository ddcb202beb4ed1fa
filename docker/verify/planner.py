"""Where TFLM puts each buffer of the tensor arena: its greedy planner and its lifetimes, done again so that the plan can be seen.

Source: tensorflow/tflite-micro 90b983c, tensorflow/lite/micro/{micro_allocation_info.cc, micro_allocator.cc,
memory_planner/greedy_memory_planner.cc}. The XIAO's firmware (Seeed-Studio/sscma-example-esp32 f8732c1) has the same planner.
No operator works in place for it, RESHAPE neither: every tensor that is no constant has bytes of its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from network import NPU, Network, Operator

ALIGNMENT = 16  # bytes; MicroArenaBufferAlignment()
UNPLANNED = -1  # kOnlinePlannedBuffer: the file says nothing of where it lies
UNSET = -1  # kUninitializedLifetime
REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")
Requests = Mapping[int, Sequence[int]]  # scratch bytes that kernels ask for, by operator


@dataclass(frozen=True)
class Buffer:
    """A place in the arena, in bytes; `first` and `last` are the operators between which it is taken, both included."""

    name: str
    first: int
    last: int
    offset: int
    bytes: int
    scratch: bool


@dataclass(frozen=True)
class Wanted:
    """A buffer before it has a place, its lifetime in TFLM's count: 0 is before the first operator, which is 1."""

    name: str
    first: int
    last: int
    bytes: int
    scratch: bool
    offset: int = UNPLANNED


def plan(network: Network, requests: Requests | None = None) -> tuple[Buffer, ...]:
    """Place all that is no constant: tensors where the file's own plan has them, else, with scratch, where TFLM would.

    `requests` come on top of what TFLM's own kernels ask for. The arena's activations end where the last buffer ends:
    see `extent`.
    """
    wanted = [*tensors(network), *scratch(network, requests or {})]
    return tuple(
        Buffer(
            name=one.name,
            first=max(0, one.first - 1),
            last=max(0, one.last - 1),
            offset=offset,
            bytes=one.bytes,
            scratch=one.scratch,
        )
        for one, offset in zip(wanted, place(wanted), strict=True)
    )


def extent(buffers: Sequence[Buffer]) -> int:
    """Bytes from the arena's start to the end of the last buffer."""
    return max((buffer.offset + buffer.bytes for buffer in buffers), default=0)


def tensors(network: Network) -> list[Wanted]:
    """List every tensor that is no constant and has bytes, in the file's order, with its lifetime."""
    first, last = lifetimes(network)
    offsets = dict(enumerate(network.plan))
    return [
        Wanted(
            name=tensor.name,
            first=first[tensor.index],
            last=last[tensor.index],
            bytes=aligned(tensor.bytes),
            scratch=False,
            offset=max(UNPLANNED, offsets.get(tensor.index, UNPLANNED)),
        )
        for tensor in network.tensors
        if not tensor.stored and tensor.bytes > 0
    ]


def lifetimes(network: Network) -> tuple[list[int], list[int]]:
    """Return when each tensor is first made and last used, in TFLM's count (AllocationInfoBuilder::MarkAllocationLifetimes).

    A tensor that nothing makes, as Vela's scratch, begins before everything else.
    """
    first, last = ([UNSET] * len(network.tensors) for _ in range(2))
    for tensor in network.inputs:
        first[tensor.index] = last[tensor.index] = 0
    for operator in network.operators:
        now = operator.index + 1
        for index in present(operator.outputs):
            first[index] = now if first[index] == UNSET else first[index]
        for index in present((*operator.inputs, *operator.outputs)):
            last[index] = now
    end = len(network.operators)
    for tensor in network.outputs:
        first[tensor.index] = end if first[tensor.index] == UNSET else first[tensor.index]
        last[tensor.index] = end
    return first, last


def scratch(network: Network, requests: Requests) -> list[Wanted]:
    """List the scratch buffers, each alive during its own operator only, in the order in which kernels ask."""
    return [
        Wanted(f"scratch of {operator.index} {operator.name}", now, now, aligned(size), scratch=True)
        for now, operator in enumerate(network.operators, start=1)
        for size in (*requests.get(operator.index, ()), *own_requests(network, operator))
    ]


def own_requests(network: Network, operator: Operator) -> tuple[int, ...]:
    """Return the scratch bytes that TFLM's own kernel asks for (reduce_common.cc, transpose_conv.cc, ethos_u/ethosu.cc).

    Other kernels that ask (SVDF, LSTM, MIRROR_PAD, DETECTION_POSTPROCESS) no firmware here has.
    """
    inputs = [network.tensors[index] for index in present(operator.inputs)]
    if operator.name == NPU:
        addresses = len(operator.inputs) + len(operator.outputs)
        return 8 * addresses, 4 * addresses  # uint64_t and, on the 32-bit board, size_t
    if not inputs or not present(operator.outputs):
        return ()
    output = network.tensors[present(operator.outputs)[0]]
    values = prod(output.shape)
    if operator.name in REDUCTIONS and len(inputs) > 1:
        counters = (4 * len(inputs[0].shape), 4 * prod(inputs[1].shape))
        sums = operator.name in ("MEAN", "SUM") and inputs[0].type in ("int8", "int16")
        return (4 * values, *counters) if sums else counters
    if operator.name == "TRANSPOSE_CONV":
        return {"int8": (4 * values,), "int16": (8 * values,)}.get(output.type, ())
    return ()


def place(wanted: Sequence[Wanted]) -> list[int]:
    """Return each buffer's offset: the largest first, each into the first gap among those alive when it is.

    Of equals the one added last is placed first, and what the file has planned comes before all (CalculateOffsetsIfNeeded).
    """
    offsets = [one.offset for one in wanted]
    planned = [index for index, offset in enumerate(offsets) if offset != UNPLANNED]
    others = [index for index, offset in reversed(list(enumerate(offsets))) if offset == UNPLANNED]
    placed: list[tuple[int, Wanted]] = []  # by offset; of equal offsets the earlier placed one first
    for index in planned + sorted(others, key=lambda index: -wanted[index].bytes):
        if offsets[index] == UNPLANNED:
            offsets[index] = gap(placed, wanted[index])
        at = bisect_right(placed, offsets[index], key=lambda entry: entry[0])
        placed.insert(at, (offsets[index], wanted[index]))
    return offsets


def gap(placed: Sequence[tuple[int, Wanted]], wanted: Wanted) -> int:
    """Return the first offset at which a buffer fits between those that are alive when it is."""
    end = 0
    for offset, other in placed:
        if other.first > wanted.last or wanted.first > other.last:
            continue
        if offset - end >= wanted.bytes:
            break
        end = max(end, offset + other.bytes)
    return end


def present(indices: Sequence[int]) -> list[int]:
    """Leave out the -1 that stands for an input left out."""
    return [index for index in indices if index >= 0]


def aligned(size: int) -> int:
    """Round up to the arena's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT

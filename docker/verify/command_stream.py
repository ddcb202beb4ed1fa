"""What Vela has compiled: for which NPU, where in the file it lies, and what it has left to the CPU.

A command stream begins with four words: `COP1`, the driver's action 1 (these words), the config word and the id word of the NPU
that it was compiled for (ethos-u-core-driver 0.16.0, ethosu_driver.c and ethosu_device_u55_u65.c).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from checks import Check, compile_hint, export_hint, many
from network import NPU, Network, Tensor

MAGIC, ACTION = 0x31504F43, 1
PRODUCTS = {0: "Ethos-U55", 1: "Ethos-U65", 2: "Ethos-U85"}
ALIGNMENT = 16  # bytes; schema.fbs: Buffer.data has force_align 16


@dataclass(frozen=True)
class Header:
    """The NPU that a stream was compiled for."""

    product: int
    macs: int
    version: int
    architecture: tuple[int, int, int]  # major, minor, patch


def read_header(stream: bytes) -> Header | None:
    """Read the header of a command stream, if it has one."""
    if len(stream) < 16:
        return None
    magic, action, config, identity = struct.unpack("<4I", stream[:16])
    if magic != MAGIC or action & 0xFF != ACTION:
        return None
    architecture = (identity >> 28, identity >> 20 & 0xFF, identity >> 16 & 0xF)
    return Header(config >> 28, 1 << (config & 0xF), config >> 4 & 0xF, architecture)


def for_other_processor(network: Network, firmware: Mapping[str, Any]) -> bool:
    """Whether it is compiled where there is no NPU, or is not where the CPU lacks operators that it needs."""
    if network.compiled:
        return not firmware["npu"]
    return bool(firmware["npu"] and set(network.count()) - set(firmware["operators"]))


def check_npu(network: Network, firmware: Mapping[str, Any], content: bytes) -> list[Check]:
    """Compare what the NPU gets with what it is; nothing where there is neither an NPU nor a command stream for one."""
    npu = firmware["npu"]
    if not npu or for_other_processor(network, firmware):
        return []  # the operators say so
    streams = [network.tensors[operator.inputs[0]] for operator in network.operators if operator.name == NPU]
    if not streams:
        text = "not compiled: the NPU has nothing to do"
        return [Check("npu", None, "no command stream", npu["accelerator"], text, compile_hint(firmware))]
    problems = Counter(problem for tensor in streams for problem in differences(tensor, npu, content))
    checks = [
        Check("npu", False, text, npu["accelerator"], f"{text} ({of(number, len(streams))})", compile_hint(firmware))
        for text, number in problems.items()
    ]
    if not problems:
        found = many(len(streams), "command stream")
        checks = [Check("npu", True, found, npu["accelerator"], f"{found} for {npu['accelerator']}")]
    return checks + left_over(network)


def of(number: int, total: int) -> str:
    """Say in how many of the streams."""
    return f"in {number} of {many(total, 'command stream')}"


def differences(tensor: Tensor, npu: Mapping[str, Any], content: bytes) -> Iterator[str]:
    """Say in what a stream is not for this NPU. The driver refuses each."""
    header = read_header(content[tensor.offset : tensor.offset + tensor.stored])
    if header is None:
        yield "no command stream where one should be"
        return
    if header.product != npu["product"]:
        named = [PRODUCTS.get(product, f"product {product}") for product in (header.product, npu["product"])]
        yield f"compiled for {named[0]}, the board has {named[1]}"
    if header.macs != npu["macs"]:
        yield f"compiled for {header.macs} MACs a cycle, the board's {npu['accelerator']} has {npu['macs']}"
    if header.version != npu["command_stream_version"]:
        yield f"command stream version {header.version}, the board's driver takes {npu['command_stream_version']}"
    major, minor, _ = npu["architecture"]
    if header.architecture[0] != major or header.architecture[1] > minor:
        compiled, there = (".".join(map(str, version)) for version in (header.architecture, npu["architecture"]))
        yield f"compiled for architecture {compiled}, the board has {there}"


def left_over(network: Network) -> list[Check]:
    """Warn of operators that the CPU computes."""
    left = {name: number for name, number in network.count().items() if name != NPU}
    if not left:
        return []
    names = ", ".join(f"{name} ×{number}" for name, number in left.items())
    found = many(sum(left.values()), "operator")
    return [
        Check(
            "npu",
            None,
            found,
            "0 operators",
            f"{found} left to the CPU: {names}",
            "Vela's estimate does not count their time",
        )
    ]


def check_alignment(network: Network, firmware: Mapping[str, Any]) -> list[Check]:
    """Look where constant data lies in the file: the NPU's driver refuses other addresses, kernels read them slowly or wrongly."""
    npu = firmware["npu"]
    alignment = npu["alignment"] if npu else ALIGNMENT
    if npu and not network.compiled:
        return []
    read = {index for operator in network.operators for index in operator.inputs if not npu or operator.name == NPU}
    constants = [tensor for tensor in network.tensors if tensor.index in read and tensor.stored]
    wrong = [tensor for tensor in constants if tensor.offset % alignment]
    allowed = f"multiples of {alignment} bytes"
    if not wrong:
        return [Check("alignment", True, allowed, allowed, f"constant data lies at {allowed}")]
    found = f"{len(wrong)} of {len(constants)} elsewhere"
    text = (
        f"{len(wrong)} of {many(len(constants), 'constant')} not at {allowed} ({wrong[0].name} at {wrong[0].offset:,})"
    )
    if npu:
        return [
            Check("alignment", False, found, allowed, f"{text}: the NPU's driver refuses that", compile_hint(firmware))
        ]
    text += ": vector instructions may read them slowly or wrongly"
    return [Check("alignment", None, found, allowed, text, export_hint(firmware))]

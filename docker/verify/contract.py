"""Whether a firmware takes a model: every rule of its contract, each with what was found and what is allowed.

Nothing stops at the first violation: whoever mends a model wants to know all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from acceptance import check_outputs, side
from checks import FULL_INTEGER, Check, compile_hint, dimensions, export_hint, many
from command_stream import check_alignment, check_npu, for_other_processor
from heads import Heads
from network import NPU, Network

if TYPE_CHECKING:
    from arena import Arena

KIB = 1024
SCALE_TOLERANCE = 1e-3  # of the input's scale: converters write 1/255 as they like


def check(
    network: Network, heads: Heads | None, firmware: Mapping[str, Any], arena: Arena | None, content: bytes
) -> list[Check]:
    """Check a model, read from `content`, against a firmware's facts (Firmware.facts of edgewright); each rule gives a line.

    `heads` is what the shapes of all its outputs amount to, `arena` what was measured; nothing where there is none.
    """
    return [
        *check_slot(network, firmware),
        *check_arena(network, firmware, arena),
        *check_operators(network, firmware),
        *check_input(network, firmware),
        *check_outputs(network, heads, firmware),
        *check_npu(network, firmware, content),
        *check_alignment(network, firmware),
    ]


def summary(checks: list[Check], network: Network, firmware: Mapping[str, Any]) -> str:
    """Say in one line whether the model fits, with the figures that decide it, or the first thing that is wrong."""
    wrong = [one for one in checks if one.passes is False]
    if wrong:
        what = wrong[0].text if len(wrong) == 1 else f"{len(wrong)} violations"
        return f"does not fit {firmware['name']}: {what}"
    doubtful = any(one.rule == "arena" and one.passes is None for one in checks)
    figures = ", ".join(one.short for one in checks if one.short) or many(network.size, "byte")
    return f"{'may fit' if doubtful else 'fits'} {firmware['name']}: {figures}"


def check_slot(network: Network, firmware: Mapping[str, Any]) -> list[Check]:
    """The file fits into its place in flash, which begins at a sector."""
    slot, address, alignment = firmware["slot_bytes"], firmware["address"], firmware["address_alignment"]
    found, allowed = many(network.size, "byte"), many(slot, "byte")
    fits = network.size <= slot
    text = f"file of {network.size:,} bytes in {slot:,} bytes of flash at 0x{address:X}"
    hint = "" if fits else FULL_INTEGER if floating(network) else "give a smaller network"
    checks = [Check("slot", fits, found, allowed, text if fits else f"{text}: {network.size - slot:,} too many", hint)]
    if address % alignment:
        text = f"address 0x{address:X} is no multiple of {alignment:,}"
        hint = f"mend configs/firmwares/{firmware['name']}.toml"
        checks.append(Check("slot", False, f"0x{address:X}", f"multiples of {alignment:,}", text, hint))
    return checks


def check_operators(network: Network, firmware: Mapping[str, Any]) -> list[Check]:
    """Every operator is one that the firmware registers; one that is not compiled for the board's NPU is one line, not ten."""
    counts, registered = network.count(), set(firmware["operators"])
    missing = {name: number for name, number in counts.items() if name not in registered}
    found, allowed = many(len(counts), "operator"), many(len(registered), "operator")
    short = f"{len(counts)} of {allowed}"
    if not missing:
        return [Check("operators", True, found, allowed, f"{short} that the firmware registers", "", short)]
    if firmware["npu"] and for_other_processor(network, firmware):
        text = f"not compiled by Vela: {len(missing)} of {found} are not registered, the NPU is to compute them"
        hint = FULL_INTEGER if floating(network) else compile_hint(firmware)
        return [Check("operators", False, f"no {NPU}; {', '.join(missing)}", NPU, text, hint)]
    return [
        Check(
            "operators",
            False,
            f"{name} ×{number}",
            "registered",
            missing_text(name, number),
            way_out(name, network, firmware),
        )
        for name, number in missing.items()
    ]


def missing_text(name: str, number: int) -> str:
    """Say what is missing; a command stream on a board without an NPU is more than an operator that is not there."""
    if name == NPU:
        return f"compiled by Vela ({NPU} ×{number}), and this board has no NPU"
    return f"operator {name} ×{number} is not registered"


def way_out(name: str, network: Network, firmware: Mapping[str, Any]) -> str:
    """What helps against a missing operator."""
    if name == NPU:
        return "give the file from before Vela"
    if floating(network):
        return FULL_INTEGER
    if network.compiled:
        return f"Vela left it on the CPU; {export_hint(firmware)}"
    return export_hint(firmware)


def floating(network: Network) -> bool:
    """Whether any of its operators gives floating-point numbers."""
    return any(
        network.tensors[index].type.startswith("float") for operator in network.operators for index in operator.outputs
    )


def check_arena(network: Network, firmware: Mapping[str, Any], arena: Arena | None) -> list[Check]:
    """Compare bounds for the board, not the host's own figure, with the arena that the firmware sets aside."""
    limit = firmware["arena_bytes"]
    allowed = many(limit, "byte")
    if arena is None:
        return [Check("arena", None, "nothing", allowed, "arena not measured")]
    if for_other_processor(network, firmware):
        text = f"arena not judged: {arena.bytes:,} bytes as the file is, other amounts once it is for this board"
        return [Check("arena", None, many(arena.bytes, "byte"), allowed, text)]
    checks = []
    if arena.problem:
        hint = f"the figures come from {arena.source}" if arena.high else ""
        checks.append(Check("arena", None, "nothing", allowed, f"not measured: {arena.problem}", hint))
    if not arena.high:
        return checks
    passes = False if arena.low > limit else None if arena.high > limit else True
    text = f"arena {arena.bytes:,} of {limit:,} bytes on a 64-bit host, {arena.low:,} to {arena.high:,} on the board"
    text += {False: "", None: ": may not fit", True: ""}[passes]
    short = f"arena {round(arena.bytes / KIB):,} of {limit // KIB:,} KiB"
    hint = "" if passes else smaller(network, firmware, arena)
    return [*checks, Check("arena", passes, many(arena.bytes, "byte"), allowed, text, hint, short)]


def smaller(network: Network, firmware: Mapping[str, Any], arena: Arena) -> str:
    """Name the largest image size below the model's that would surely fit: activations grow with its square."""
    size, step = side(network), firmware["input"]["multiple_of"] if firmware["input"] else 32
    ranges = [accepted["imgsz"] for accepted in firmware["accepts"]]
    for other in range((size - 1) // step * step, 0, -step):
        needs = arena.persistent + (arena.high - arena.persistent) * (other / size) ** 2
        if needs <= firmware["arena_bytes"] and any(low <= other <= high for low, high in ranges):
            return f"IMGSZ={other} needs about {round(needs, -3):,.0f} bytes"
    return "give a smaller network"


def check_input(network: Network, firmware: Mapping[str, Any]) -> list[Check]:
    """The input is what the firmware's pre-processing writes."""
    wanted = firmware["input"]
    if not wanted:
        return []
    if len(network.inputs) != 1:
        found = many(len(network.inputs), "input")
        return [
            Check("input", False, found, "1 input", f"{found}; the firmware writes one image", export_hint(firmware))
        ]
    wrong = check_image(network.inputs[0].shape, firmware) + check_quantisation(network, firmware)
    if wrong:
        return wrong
    tensor = network.inputs[0]
    text = f"{tensor.type} {dimensions(tensor.shape)}, scale {tensor.scales[0]:.6g}, zero point {tensor.zero_points[0]}"
    return [Check("input", True, text, f"{wanted['type']} [1, S, S, C]", f"input {text}")]


def check_image(shape: tuple[int, ...], firmware: Mapping[str, Any]) -> list[Check]:
    """The violations of the input's shape."""
    wanted, found, hint = firmware["input"], dimensions(shape), export_hint(firmware)
    channels, step = wanted["channels"], wanted["multiple_of"]
    either = " or ".join(map(str, channels))

    def violation(allowed: str, text: str, hint: str = hint) -> Check:
        return Check("input", False, found, allowed, f"input {found} {text}", hint)

    if len(shape) != 4:
        return [violation("[1, S, S, C]", f"has {many(len(shape), 'dimension')}; the firmware writes [1, S, S, C]")]
    batch, height, width, depth = shape
    checks = [] if batch == 1 else [violation("1 image", f"takes {many(batch, 'image')}; the firmware writes one")]
    if depth not in channels and batch == 1 and height in channels:
        return [violation("[1, S, S, C]", "has its channels first; the firmware writes them last")]
    if depth not in channels:
        checks.append(violation(f"{either} channels", f"has {many(depth, 'channel')}; the firmware writes {either}"))
    if height != width:
        checks.append(violation("a square", "is not square", f"IMGSZ={max(min(height, width) // step, 1) * step}"))
    elif height % step:
        below = height // step * step
        hints = f"IMGSZ={below} or IMGSZ={below + step}" if below else f"IMGSZ={step}"
        checks.append(violation(f"multiples of {step}", f"has a side that is no multiple of {step}", hints))
    return checks


def check_quantisation(network: Network, firmware: Mapping[str, Any]) -> list[Check]:
    """The violations of the input's type and scale: the firmware writes bytes, and looks at neither."""
    wanted, tensor = firmware["input"], network.inputs[0]
    if tensor.type != wanted["type"]:
        text = f"input is {tensor.type}; the firmware writes {wanted['type']}"
        return [Check("input", False, tensor.type, wanted["type"], text, FULL_INTEGER)]
    hint = "calibrate with images whose values span 0 to 255 as 0 to 1, as make deploy does"
    scale = tensor.scales[0] if len(tensor.scales) == 1 else 0.0
    zero_point = tensor.zero_points[0] if len(tensor.zero_points) == 1 else 0
    checks = []
    if abs(scale - wanted["scale"]) > SCALE_TOLERANCE * wanted["scale"]:
        text = f"input scale {scale:.6g}; what the firmware writes has {wanted['scale']:.6g}"
        checks.append(Check("input", False, f"{scale:.6g}", f"{wanted['scale']:.6g}", text, hint))
    if zero_point != wanted["zero_point"]:
        text = f"input zero point {zero_point}; what the firmware writes has {wanted['zero_point']}"
        checks.append(Check("input", False, str(zero_point), str(wanted["zero_point"]), text, hint))
    return checks

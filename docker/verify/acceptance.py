"""Which decoder of the firmware takes a model's outputs, and what the outputs break of its rules.

SSCMA goes through its decoders and takes the first whose test of shapes passes; Himax's apps have one each, and test nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from checks import FULL_INTEGER, Check, dimensions, export_hint, many, span
from heads import BINS, Heads, anchors, recognise
from network import Network, Tensor

OUTPUTS = {"raw-pose": 7, "raw-detect": 6, "decoded": 1, "boxes-scores": 2}


@dataclass(frozen=True)
class Claim:
    """The entry of the firmware's `accepts` that takes the model, and the outputs as its decoder sees them."""

    accepted: Mapping[str, Any]
    heads: Heads


def side(network: Network) -> int:
    """Return the side of a square NHWC input, else 0."""
    shape = network.inputs[0].shape if network.inputs else ()
    return shape[1] if len(shape) == 4 and shape[1] == shape[2] else 0


def claim(network: Network, firmware: Mapping[str, Any]) -> Claim | None:
    """Return the first form of the firmware that takes the outputs, as far as shapes decide that."""
    shapes = [tensor.shape for tensor in network.outputs]
    for accepted in firmware["accepts"]:
        number = OUTPUTS[accepted["form"]]
        if len(shapes) < number or (accepted["exact_count"] and len(shapes) > number):
            continue
        heads = recognise(side(network), shapes[:number])
        if heads and heads.form == accepted["form"] and within(heads.classes, accepted["classes"]):
            return Claim(accepted, heads)
    return None


def within(value: int, limits: Sequence[int]) -> bool:
    """Whether a range with both its ends has the value."""
    return limits[0] <= value <= limits[1]


def check_outputs(network: Network, heads: Heads | None, firmware: Mapping[str, Any]) -> list[Check]:
    """Check types, form, counts, order and representable scores of the outputs, then list the firmware's faults that they meet."""
    checks = check_values(network)
    claimed = claim(network, firmware)
    if claimed is None:
        return [*checks, refuse(network, heads, firmware), *list_defects(None, firmware)]
    checks += [check_form(network, heads, claimed), *check_ranges(claimed), *check_order(claimed, firmware)]
    return [*checks, *check_scores(network, claimed), *list_defects(claimed.heads, firmware)]


def check_values(network: Network) -> list[Check]:
    """The firmware casts to int8 unasked, and knows one scale for each output."""
    checks, number = [], len(network.outputs)
    other = [tensor for tensor in network.outputs if tensor.type != "int8"]
    if other:
        types = ", ".join(sorted({tensor.type for tensor in other}))
        text = f"{len(other)} of {many(number, 'output')} {types}: the firmware reads int8 whatever they are"
        checks.append(Check("outputs", False, types, "int8", text, FULL_INTEGER))
    wrong = [tensor for tensor in network.outputs if tensor.type == "int8" and not single(tensor)]
    if wrong:
        scales = many(len(wrong[0].scales), "scale")
        text = f"{len(wrong)} of {many(number, 'output')} without one scale each ({wrong[0].name} has {scales})"
        checks.append(Check("quantisation", False, scales, "1 scale", text, "quantise activations per tensor"))
    if not checks:
        checks.append(Check("outputs", True, "int8", "int8", "outputs are int8 with one scale each"))
    return checks


def check_form(network: Network, heads: Heads | None, claimed: Claim) -> Check:
    """Say what the firmware takes the model for; that can be less than it is."""
    number, there, title = OUTPUTS[claimed.heads.form], len(network.outputs), claimed.accepted["title"]
    found, allowed, form = many(there, "output"), many(number, "output"), claimed.heads.form
    if heads and heads.form != form:
        text = f"a {heads.form} model with {many(heads.classes, 'class')} runs as {title}: only {allowed} of {there} are read"
        return Check("form", False, heads.form, form, text, "train with one class")
    if there > number:
        return Check("outputs", None, found, allowed, f"{found}: {title} reads the first {number}", "export no others")
    text = f"{found} of the form {form}, decoded as {title}"
    return Check("form", True, found, allowed, text, short=f"{found} as the firmware expects")


def check_ranges(claimed: Claim) -> list[Check]:
    """Numbers of classes, of keypoints, and the side of the input."""
    accepted, heads = claimed.accepted, claimed.heads
    values = [("classes", "class", heads.classes), ("imgsz", "pixel", heads.imgsz)]
    if accepted["keypoints"]:
        values.append(("keypoints", "keypoint", heads.keypoints))
    checks = []
    for rule, noun, value in values:
        low, high = accepted[rule]
        found, allowed = many(value, noun), span(accepted[rule])
        if low <= value <= high:
            checks.append(Check(rule, True, found, allowed, f"{found} of {allowed}"))
            continue
        hint = (
            f"IMGSZ={low if value < low else high}" if rule == "imgsz" else f"train with {span(accepted[rule], noun)}"
        )
        text = f"{found}, and {accepted['title']} of this firmware takes {allowed}"
        checks.append(Check(rule, False, found, allowed, text, hint))
    return checks


def check_order(claimed: Claim, firmware: Mapping[str, Any]) -> list[Check]:
    """A firmware that reads outputs by number needs its own order."""
    order, roles = claimed.accepted["order"], list(claimed.heads.roles)
    if not order:
        return []
    found, allowed = " ".join(roles), " ".join(order)
    if roles == list(order):
        return [Check("order", True, found, allowed, f"outputs in the order {allowed}")]
    text = f"outputs in the order {found}; this firmware reads {allowed}"
    return [Check("order", False, found, allowed, text, export_hint(firmware))]


def check_scores(network: Network, claimed: Claim) -> list[Check]:
    """Warn where the largest int8 stands for a score that the firmware does not show."""
    limit = claimed.accepted["score"] / 100
    outputs = zip(claimed.heads.roles, network.outputs, strict=False)  # there may be more outputs than are read
    reached = {role: top for role, tensor in outputs if (top := largest_score(role, tensor)) is not None}
    low = {role: score for role, score in reached.items() if score <= limit}
    allowed, shown = f"more than {limit:.2f}", f"the firmware shows {limit:.2f} and more"
    if reached and not low:
        least = min(reached, key=lambda role: reached[role])
        text = f"scores reach {reached[least]:.2f} ({least}) or more; {shown}"
        return [Check("scores", True, f"{reached[least]:.2f}", allowed, text)]
    hint = "calibrate with more images, with objects of every size"
    return [
        Check("scores", None, f"{score:.2f}", allowed, f"{role} cannot exceed a score of {score:.2f}; {shown}", hint)
        for role, score in low.items()
    ]


def largest_score(role: str, tensor: Tensor) -> float | None:
    """Return the score, 0 to 1, that the largest int8 of an output of scores stands for; nothing for other outputs."""
    if tensor.type != "int8" or not single(tensor) or not (role.startswith("cls") or role == "scores"):
        return None
    top = (127 - tensor.zero_points[0]) * tensor.scales[0]
    return top if role == "scores" else 1 / (1 + math.exp(-min(top, 50.0)))  # cls holds logits


def single(tensor: Tensor) -> bool:
    """Whether it has one scale for all its values."""
    return len(tensor.scales) == len(tensor.zero_points) == 1 and tensor.scales[0] > 0


def refuse(network: Network, heads: Heads | None, firmware: Mapping[str, Any]) -> Check:
    """Say why no decoder takes the outputs, as nearly as shapes tell, and what the firmware does then."""
    known = "; ".join(f"{entry['title']} ({many(OUTPUTS[entry['form']], 'output')})" for entry in firmware["accepts"])
    whole = heads if side(network) else None
    reason = explain(whole, network, firmware, known) if whole else explain_shapes(network, firmware, known)
    then = f"; {firmware['unrecognised']}" if firmware["unrecognised"] else ""
    return replace(reason, text=reason.text + then)


def explain(heads: Heads, network: Network, firmware: Mapping[str, Any], known: str) -> Check:
    """Say why a known form is not taken: its classes, or it is another firmware's."""
    for accepted in firmware["accepts"]:
        if accepted["form"] == heads.form:
            allowed, found = span(accepted["classes"]), many(heads.classes, "class")
            text = f"{found}, and {accepted['title']} takes {allowed}"
            return Check("classes", False, found, allowed, text, f"train with {span(accepted['classes'], 'class')}")
    found = f"{many(len(network.outputs), 'output')} of the form {heads.form}"
    if heads.form == "decoded":
        found = f"one decoded output {dimensions(network.outputs[0].shape)}, as stock ultralytics exports it"
    return Check("form", False, heads.form, known, f"{found}; this firmware decodes {known}", export_hint(firmware))


def explain_shapes(network: Network, firmware: Mapping[str, Any], known: str) -> Check:
    """Say what is wrong with shapes that are no form at all."""
    shapes, size, hint = [tensor.shape for tensor in network.outputs], side(network), export_hint(firmware)
    found = " ".join(dimensions(shape) for shape in shapes)
    if not size:
        return Check("form", False, found, known, "outputs cannot be told apart: the input is no square image", hint)
    for accepted in firmware["accepts"]:
        number = OUTPUTS[accepted["form"]]
        if accepted["exact_count"] and len(shapes) > number and recognise(size, shapes[:number]):
            text = f"{len(shapes)} outputs, and {accepted['title']} takes exactly {number}"
            return Check("outputs", False, many(len(shapes), "output"), many(number, "output"), text, hint)
    for shape in shapes:
        if len(shape) != 3:
            text = f"an output {dimensions(shape)} with {many(len(shape), 'dimension')}, not 3"
            return Check("outputs", False, dimensions(shape), "3 dimensions", text, hint)
    if len(shapes) in (6, 7) and sum(shape[2] == BINS for shape in shapes) == 6:
        text = f"{BINS} classes: their outputs cannot be told from boxes, which have {BINS} columns, too"
        return Check("classes", False, f"{BINS} classes", f"not {BINS}", text, "train with one class more or less")
    for shape in shapes:
        if len(shapes) == 7 and shape[1] == sum(anchors(size).values()) and shape[2] % 3:
            text = f"{shape[2]} keypoint columns are no multiple of 3: x, y and visibility each"
            fix = "label keypoints with a visibility: kpt_shape: [17, 3]"
            return Check("keypoints", False, f"{shape[2]} columns", "a multiple of 3", text, fix)
    text = f"outputs {found} are of no form that this firmware decodes: {known}"
    return Check("form", False, found, known, text, hint)


def list_defects(heads: Heads | None, firmware: Mapping[str, Any]) -> list[Check]:
    """The firmware's known faults whose conditions this model meets."""
    checks = []
    for defect in firmware["defects"]:
        wanted = {key: defect[key] for key in ("form", "task", "classes", "imgsz") if defect[key] is not None}
        met = {key: getattr(heads, key, None) for key in wanted}
        if all(met[key] == want if isinstance(want, str) else met[key] in want for key, want in wanted.items()):
            checks.append(Check("defect", None, "a fault of the firmware", "", defect["text"], defect["hint"]))
    return checks

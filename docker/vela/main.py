"""Compile an int8 .tflite for the Ethos-U55: Vela's command stream, and its summary as JSON.

Inputs: `model`, any quantised .tflite, and `config`, the vendor's ini. Parameters: Vela's own options of the same names. A file
that Vela has compiled already goes through as it is: whether it suits the board, verify says.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ethosu.vela.tflite.BuiltinOperator import BuiltinOperator
from ethosu.vela.tflite.Model import Model
from stage import Refused, Request, progress, run

OPERATOR_NAMES = {value: name for name, value in vars(BuiltinOperator).items() if not name.startswith("_")}
NPU = "ethos-u"  # custom code of the operator that holds a command stream


def main(request: Request) -> None:
    """Write `model_vela.tflite`, `vela.json` and, unchanged, what was compiled into the request's folder."""
    model = request.inputs["model"]
    if check(model):
        report = {"operators": count_operators(model.read_bytes()), "compiled_elsewhere": True}
        shutil.copyfile(model, request.output / "model_vela.tflite")
        (request.output / "vela.json").write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
        progress(1, 1, "compiled by Vela already: nothing to do")
        return
    shutil.copyfile(model, request.output / "model_int8.tflite")
    with tempfile.TemporaryDirectory() as scratch:
        progress(0, 1, "compiling")
        compile_model(model, request, Path(scratch))
        (compiled,) = Path(scratch).glob("*_vela.tflite")
        (summary,) = Path(scratch).glob("*_summary_*.csv")
        operators = count_operators(compiled.read_bytes())
        report = {**summarise(summary), "operators": operators, "vela": version("ethos-u-vela"), **request.parameters}
        (request.output / "model_vela.tflite").write_bytes(compiled.read_bytes())
    (request.output / "vela.json").write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
    progress(1, 1, describe(report))


def check(model: Path) -> bool:
    """Return whether Vela has been at it; refuse what it would answer with a traceback, or by leaving all to the CPU."""
    content = model.read_bytes()
    if content[4:8] != b"TFL3":
        raise Refused(f"{model.name}: not a TFLite file", "MODEL= takes an int8 .tflite, as `make deploy` exports it")
    try:
        operators = count_operators(content)
        inputs = [tensor.Type() for tensor in input_tensors(content)]
    except Exception:  # the flatbuffer's own reader raises whatever a broken offset leads to
        raise Refused(
            f"{model.name}: truncated or damaged TFLite file ({len(content)} bytes)", "copy it again"
        ) from None
    if NPU in operators:
        return True
    if inputs and inputs[0] not in (3, 9):  # TensorType UINT8, INT8 (tensorflow/lite/schema/schema.fbs)
        raise Refused(
            f"{model.name}: its input is not int8, the NPU computes integers only", "give the full-integer file"
        )
    return False


def compile_model(model: Path, request: Request, scratch: Path) -> None:
    """Run Vela's command line; it names the result after `model` and writes into `scratch`."""
    options = request.parameters
    # The program is started as a module, so that it is this environment's and no other that PATH has.
    argv = [sys.executable, "-m", "ethosu.vela", str(model), "--output-dir", str(scratch)]
    argv += ["--accelerator-config", options["accelerator"], "--config", str(request.inputs["config"])]
    argv += ["--system-config", options["system_config"], "--memory-mode", options["memory_mode"]]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout, flush=True)
    if done.returncode or not list(scratch.glob("*_vela.tflite")):
        last = (done.stdout.strip().splitlines() or ["it printed nothing"])[-1]
        raise Refused(f"{model.name}: Vela cannot compile it: {last}", "see the step's log.txt for all that Vela said")


def summarise(path: Path) -> dict[str, Any]:
    """Read Vela's CSV: cycles at the core's clock, and kilobytes as Vela counts them (1024)."""
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    return {
        "cycles_total": round(float(row["cycles_total"])),
        "cycles_npu": round(float(row["cycles_npu"])),
        "core_clock_hz": round(float(row["core_clock"])),
        "inference_ms_estimated": round(1000 * float(row["inference_time"]), 3),
        "sram_kib": float(row["sram_memory_used"]),
        "flash_kib": float(row["off_chip_flash_memory_used"]),
        "macs": int(float(row["nn_macs"])),
    }


def count_operators(content: bytes) -> dict[str, int]:
    """Count a model's operators by TFLite's names; a custom operator is counted under its own."""
    model = Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(graph.Operators(i).OpcodeIndex()) for i in range(graph.OperatorsLength())]
    names = Counter(code.CustomCode().decode() if code.CustomCode() else _builtin(code) for code in codes)
    return dict(sorted(names.items()))


def _builtin(code: Any) -> str:
    # The schema kept an 8-bit field for old readers; codes above 127 stand in the newer one.
    return OPERATOR_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]


def input_tensors(content: bytes) -> list[Any]:
    """Return the flatbuffer tables of the first subgraph's input tensors."""
    graph = Model.GetRootAs(content, 0).Subgraphs(0)
    return [graph.Tensors(graph.Inputs(i)) for i in range(graph.InputsLength())]


def describe(report: dict[str, Any]) -> str:
    """Say in one line what Vela expects of the compiled model."""
    left = {name: count for name, count in report["operators"].items() if name != NPU}
    cpu = ", ".join(f"{count} {name}" for name, count in left.items()) or "none"
    cycles, time_ms = report["cycles_total"] / 1e6, report["inference_ms_estimated"]
    return (
        f"{cycles:.1f} M cycles, {time_ms:.1f} ms estimated, SRAM {report['sram_kib']:.0f} KiB, "
        f"flash {report['flash_kib']:.0f} KiB, operators left to the CPU: {cpu}"
    )


if __name__ == "__main__":
    run(main)

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
from stage import Refused, Request, progress, run
from tflite_model import Table, builtin_code, read, read_file
from tflite_schema import TYPES

OPERATOR_NAMES = {value: name for name, value in vars(BuiltinOperator).items() if not name.startswith("_")}
NPU = "ethos-u"  # custom code of the operator that holds a command stream


def main(request: Request) -> None:
    """Write `model_vela.tflite`, `vela.json` and, unchanged, what was compiled into the request's folder."""
    model = request.inputs["model"]
    operators = check(model)
    if NPU in operators:
        report = {"operators": operators, "compiled_elsewhere": True}
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
        operators = count_operators(read(compiled.read_bytes(), compiled.name))
        report = {**summarise(summary), "operators": operators, "vela": version("ethos-u-vela"), **request.parameters}
        (request.output / "model_vela.tflite").write_bytes(compiled.read_bytes())
    (request.output / "vela.json").write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
    progress(1, 1, describe(report))


def check(model: Path) -> dict[str, int]:
    """Count its operators; refuse what Vela would answer with a traceback, or by leaving all to the CPU."""
    _, tables = read_file(model)
    if not tables["subgraphs"]:
        raise Refused(f"{model.name}: no network in it", "export the network again")
    operators, graph = count_operators(tables), tables["subgraphs"][0]
    kinds = [TYPES.get(graph["tensors"][index]["type"], ("", 0))[0] for index in graph["inputs"]]
    if NPU not in operators and kinds and kinds[0] not in ("uint8", "int8"):
        raise Refused(
            f"{model.name}: its input is not int8, the NPU computes integers only", "give the full-integer file"
        )
    return operators


def compile_model(model: Path, request: Request, scratch: Path) -> None:
    """Run Vela's command line; it names the result after `model` and writes into `scratch`."""
    options = request.parameters
    # The program is started as a module, so that it is this environment's and no other that PATH has.
    argv = [sys.executable, "-m", "ethosu.vela", str(model), "--output-dir", str(scratch)]
    argv += ["--accelerator-config", options["accelerator"], "--config", str(request.inputs["config"])]
    argv += ["--system-config", options["system_config"], "--memory-mode", options["memory_mode"]]
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="backslashreplace", check=False
    )
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


def count_operators(model: Table) -> dict[str, int]:
    """Count a model's operators by TFLite's names; a custom operator is counted under its own."""
    codes = [model["operator_codes"][operator["opcode_index"]] for operator in model["subgraphs"][0]["operators"]]
    return dict(sorted(Counter(code["custom_code"] or _builtin(code) for code in codes).items()))


def _builtin(code: Table) -> str:
    number = builtin_code(code)
    return OPERATOR_NAMES.get(number, f"operator {number}")


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

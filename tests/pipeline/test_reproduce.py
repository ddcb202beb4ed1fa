"""`make reproduce` with real tools: Vela gives the same bytes in every engine, and a bit that differs is found and named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tflite_maker import Made, Node, tflite_file

from edgewright.engine import Engine
from tests.conftest import Workspace

DEVICE = "grove-vision-ai-v2"
# What a stage would do that depends on the order of a set: another bit under another hash seed.
FLAW = """
    if os.environ["PYTHONHASHSEED"] == "1":
        path = request.output / "model_int8.tflite"
        content = bytearray(path.read_bytes())
        content[content.index(b"constant!")] ^= 1
        path.write_bytes(content)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace whose pipeline is Vela alone."""
    made = Workspace(tmp_path / "one")
    path = made.root / "configs" / "devices" / f"{DEVICE}.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("pipeline")]
    path.write_text("\n".join(['pipeline = ["vela"]', *lines]))
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a network of one addition of a constant."""
    tensors = [Made("a", (1, 8, 8, 4)), Made("b", (1, 1, 1, 16), data=b"constant!1234567"), Made("c", (1, 8, 8, 4))]
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tflite_file(tensors, [Node("ADD", (0, 0), (2,))], [0], [2]))
    return path


def test_vela_gives_the_same_in_another_engine_under_other_conditions(
    workspace: Workspace, model: Path, engine: Engine
) -> None:
    if not engine.hermetic:
        pytest.skip("venv is what the others are compared with")
    code, text = workspace.run("reproduce", device=DEVICE, model=model, engine=engine.name, against="venv")
    assert code == 0, text
    assert "3 of 3 outputs are the same bytes twice" in text
    found = json.loads((workspace.root / "build" / "reproduce" / "digests.json").read_text())
    assert found["engines"] == [engine.name, "venv"]
    assert all(first == second for first, second in found["outputs"].values())


def test_a_bit_that_differs_is_named_and_both_files_are_kept(workspace: Workspace, model: Path) -> None:
    main = workspace.root / "docker" / "vela" / "main.py"
    text = main.read_text().replace("import csv\n", "import csv\nimport os\n")
    last = "    progress(1, 1, describe(report))\n"
    assert last in text
    main.write_text(text.replace(last, FLAW + last))
    code, said = workspace.run("reproduce", device=DEVICE, model=model, engine="venv", against="venv")
    assert code == 6, said
    assert "error: vela: model_int8.tflite is not the same twice" in said
    assert "b: 1 of 16 values (int8) differ, by up to 1 step" in said
    # The second build has both: its own, and the first's, which its next steps would have worked on.
    kept = {path.read_bytes() for path in (workspace.root / "build" / "reproduce").glob("*/vela-*/model_int8.tflite")}
    assert len(kept) == 2
    assert sum(a != b for a, b in zip(*kept, strict=True)) == 1

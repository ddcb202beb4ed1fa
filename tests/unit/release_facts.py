"""A manifest.json and a report.json as `make deploy` writes them: of a real run (coco8-pose, 4 frames), cut to what tests need."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

COMPILED = "1ad8d941fcc307e1f2ae569935a3e2d01bf7835085c86c319ed934f2f4090e95"
WEIGHTS = "6b5bd2af01d5c7667289462f391b7869da3b19b72d2c575b61de01ff1c45578e"
OWN = "9afa02dc13e6f5b69de6a2a63eb5ea739b9ec9aacaf6aac878ada64dbd0ac61d"
LISTING = "06aa1bbbe64da3e98c5deeb4cbbba474a719897bcdc324e2111cf55eef51db5a"
DEVICE_RUNG = "TFLM, int8: the device's own kernels"
FLOAT_RUNG = "weights in torch"

_DATASET = {"file": "coco8-pose", "sha256": "24a093835e5a1d688650805e466b12d77ee137367c88b9cbbc9d556a5fff1da0"}
_CONFIG = {"file": "we2.ini", "sha256": "2b5eb919cdf2ebc021bdf9556e10b329c375765aeed00c09a97b84e4ed356e41"}
ASSET = {
    "asset": "yolov8n-pose",
    "sha256": "c6fa93dd1ee4a2c18c900a45c1d864a1c6f7aba75d84f91648a30b7fb641d212",
    "url": "https://github.com/ultralytics/assets/releases/download/v8.2.0/yolov8n-pose.pt",
    "licence": "AGPL-3.0",
}


def _step(stage: str, inputs: Json, outputs: Json, packages: Json, **parameters: Any) -> Json:
    return {
        "stage": stage,
        "key": (stage.encode().hex() * 64)[:64],
        "environment": (stage.encode()[::-1].hex() * 64)[:64],
        "isolation": "container",
        "platform": "linux-x86_64",
        "schema": 1,
        "inputs": inputs,
        "outputs": outputs,
        "packages": packages,
        "patches": {},
        "parameters": parameters,
        "variables": {"TZ": "UTC"},
    }


def _from(step: str, role: str, sha256: str) -> Json:
    return {"step": step, "role": role, "sha256": sha256}


def _steps() -> list[Json]:
    weights, exported = {"file": "best.pt", "sha256": WEIGHTS}, "8240604bc6231f19" * 4
    trained, numbers, torch = "6c5b104522cc0c1d" * 4, {"numpy": "1.24.3"}, {"torch": "2.1.2", "ultralytics": "8.2.24"}
    listing = _from("data", "manifest", LISTING)
    sample = {"name": "figures", "train": 1024, "val": 128}
    return [
        _step(
            "data", {"dataset": _DATASET}, {"manifest": LISTING}, {"pyyaml": "6.0.3"}, imgsz=192, sample=sample, yaml=""
        ),
        _step(
            "train",
            {"dataset": _DATASET, "manifest": listing, "weights": weights},
            {"weights": trained},
            {**numbers, **torch},
            epochs=50,
            gpu=False,
            imgsz=192,
        ),
        _step(
            "export",
            {"weights": _from("train", "weights", trained)},
            {"model": exported},
            {**numbers, **torch, "tensorflow": "2.13.1"},
            imgsz=192,
        ),
        _step(
            "vela",
            {"config": _CONFIG, "model": _from("export", "model", exported)},
            {"model": COMPILED},
            {"numpy": "1.26.4"},
        ),
        _step(
            "verify",
            {"dataset": _DATASET, "manifest": listing, "model": _from("vela", "model", COMPILED)},
            {"page": "f7" * 32, "verdict": "31" * 32},
            {**numbers, **torch},
            frames=256,
        ),
    ]


def manifest() -> Json:
    """Return the manifest of weights that were trained further on the user's images, for the board with an NPU."""
    return {
        "edgewright": "0.1.0",
        "name": "figures-pose",
        "recipe": "figures-pose",
        "device": "grove-vision-ai-v2",
        "firmware": {"name": "grove-vision-ai-v2-sscma-1.x", "address": 4194304},
        "engine": {"name": "docker", "hermetic": True, "for_release": True},
        "model": {"bytes": 2307888, "sha256": COMPILED, "from": _from("vela", "model", COMPILED)},
        "steps": _steps(),
    }


def sample() -> Json:
    """Return the manifest of the drawn set: nothing was given."""
    found = manifest()
    data, train = found["steps"][:2]
    data["inputs"], data["outputs"]["dataset"] = {}, "ee" * 32
    del train["inputs"]["weights"]
    for step in found["steps"]:
        if "dataset" in step["inputs"]:
            step["inputs"]["dataset"] = _from("data", "dataset", "ee" * 32)
    return found


def finished() -> Json:
    """Return the manifest of a user's own .tflite for the board that takes it as it is."""
    found = manifest()
    given = {"file": "own.tflite", "sha256": OWN}
    outputs = {"page": "f7" * 32, "verdict": "31" * 32}
    found |= {"device": "esp32s3", "firmware": {"name": "esp32s3-sscma-1.x", "address": 4194304}}
    found |= {"model": {"bytes": 3385696, "sha256": OWN, "from": given}}
    return {**found, "steps": [_step("verify", {"model": given}, outputs, {"ultralytics": "8.2.24"}, frames=256)]}


def _rung(name: str, title: str, figures: tuple[float, float, float, float], drift: tuple[float, float] | None) -> Json:
    agreement = drift and {
        "matched": 5,
        "lost": 0,
        "extra": 0,
        "keypoint_drift_px": {"mean": drift[0], "p95": drift[1]},
        "box_drift_px": {"mean": 0.5279, "p95": 0.8401},
    }
    keys = dict(zip(("ap", "ap50", "box_ap", "box_ap50"), figures, strict=True))
    return {"name": name, "title": title, "decoder": "firmware", **keys, "agreement": agreement}


def report() -> Json:
    """Return the report on `manifest()`."""
    return {
        "schema": 1,
        "title": "model_vela.tflite on Seeed Grove Vision AI V2 (Himax WiseEye2)",
        "verdict": {
            "state": "passes",
            "summary": "fits grove-vision-ai-v2-sscma-1.x: arena 294 of 1,110 KiB",
            "lines": [],
            "violations": [],
            "warnings": [{"text": "cls8 cannot exceed a score of 0.50", "hint": "calibrate with more images"}],
            "partial": [],
            "notes": ["sigmas of COCO were assumed"],
        },
        "model": {
            "name": "model_vela.tflite",
            "sha256": COMPILED,
            "bytes": 2307888,
            "form": "raw-pose",
            "task": "pose",
            "imgsz": 192,
            "classes": 1,
            "keypoints": 17,
            "names": ["person"],
            "operators": [{"name": "ETHOS_U", "count": 1, "runs": "NPU"}],
        },
        "device": {"name": "grove-vision-ai-v2", "title": "Seeed Grove Vision AI V2 (Himax WiseEye2)"},
        "firmware": {
            "name": "grove-vision-ai-v2-sscma-1.x",
            "title": "SSCMA 1.x for Grove Vision AI V2",
            "versions": "AT+VER? gives a digit as hardware",
            "address": 4194304,
            "slot_bytes": 10485760,
            "arena_bytes": 1136640,
        },
        "contract": [],
        "arena": {"bytes": 301056, "buffers": []},
        "accuracy": {
            "source": "folders, val",
            "frames": 4,
            "of": 4,
            "people": 14,
            "rungs": [
                _rung("torch", FLOAT_RUNG, (0.1627, 0.2871, 0.4793, 0.631), None),
                _rung("onnx", "ONNX", (0.1626, 0.287, 0.4792, 0.6309), (0.132, 0.224)),
                _rung("device", DEVICE_RUNG, (0.1719, 0.2872, 0.499, 0.6311), (2.8877, 8.6385)),
            ],
            "kernels": {"equal": True},
            "keypoints": [],
            "gates": [],
        },
        "outputs": [{"name": "box16", "scale": 0.05794480815529823, "zero_point": -72}],
        "speed": {
            "milliseconds": [67.827, 67.827],
            "estimate": True,
            "notes": ["an estimate of Vela's, not a measurement"],
        },
        "versions": {"torch": "2.1.2"},
    }


def detecting() -> Json:
    """Return a report on a detection model: no keypoints in anything."""
    found = report()
    found["model"] |= {"task": "detect", "form": "raw-detect", "keypoints": None, "classes": 2, "names": ["cat", "dog"]}
    for rung in found["accuracy"]["rungs"]:
        rung |= {"ap": None, "ap50": None}
        if rung["agreement"]:
            rung["agreement"]["keypoint_drift_px"] = None
    return found


def unmeasured() -> Json:
    """Return the report on `finished()`, without images: only the kernels were compared, on noise."""
    found = report()
    found["device"] = {"name": "esp32s3", "title": "Seeed XIAO ESP32S3"}
    found["firmware"] |= {"name": "esp32s3-sscma-1.x", "title": "SSCMA 1.x for XIAO ESP32S3", "arena_bytes": 1048576}
    found["model"] |= {"sha256": OWN, "names": []}
    found["accuracy"] |= {"source": "noise", "frames": 0, "of": 0, "people": 0, "rungs": []}
    found["verdict"]["notes"] = ["AP was not measured: no images"]
    return {**found, "speed": None}

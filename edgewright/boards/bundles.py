"""What is to be flashed: a bundle in dist/, and whether it may be written to a board, before the first byte is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright import log, sums
from edgewright.boards.loader import Write
from edgewright.bundle import BESIDE, LABELS, MANIFEST, MODEL_FILE
from edgewright.config import Board, Device, Project, shown
from edgewright.errors import DoesNotFit, HashDiffers, WrongInput
from edgewright.firmware import Firmware, Region
from edgewright.foreign import Foreign
from edgewright.plan import DETECTIONS, VERDICT
from edgewright.verdict import FAILS

FEW = 5  # names in a message
READ = {MANIFEST, *(BESIDE[role] for role in (LABELS, VERDICT, DETECTIONS))}
READ_BYTES = 200_000_000  # detections.json of a hundred thousand frames has half of it


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are what its sums say."""

    folder: Path
    manifest: dict[str, Any]
    texts: Mapping[str, bytes]  # of READ, as they were when the sums were taken

    @property
    def model(self) -> Path:
        """The file that goes onto the board."""
        return self.folder / MODEL_FILE

    @property
    def labels(self) -> list[str]:
        """Class names, as far as they are known."""
        return self.texts.get(BESIDE[LABELS], b"").decode(errors="replace").splitlines()

    def document(self, role: str) -> dict[str, Any] | None:
        """What was proved, or measured: a JSON file of the bundle by its role, if it has one."""
        return _document(self.folder, self.texts, BESIDE[role]) if BESIDE[role] in self.texts else None

    @property
    def estimate_ms(self) -> list[float] | None:
        """From what to what the proof estimates the network's time on the board, ms, if it does."""
        report = self.document(VERDICT) or {}
        return (report.get("speed") or {}).get("milliseconds")


def find(dist: Path, device: Device, name: str = "", given: str = "", firmware: str = "") -> Bundle:
    """Return the bundle that is given by its folder, or the last one made for a device, of that name, for that firmware."""
    if given:
        folder = Path(given).expanduser()
        if not (folder / MANIFEST).is_file():
            raise WrongInput(f"RELEASE={folder}: no bundle: it has no {MANIFEST}", "RELEASE=dist/…")
        return open_bundle(folder)
    made = {path: _told(path) for path in dist.glob(f"*/{MANIFEST}")}
    fitting = [path for path, (on, _) in made.items() if on == device.name]
    for word, value, fits in (
        ("NAME", name, lambda path: path.parent.name.startswith(f"{name}-{device.name}-")),
        ("FIRMWARE", firmware, lambda path: made[path][1] == firmware),
    ):
        fitting = [path for path in fitting if not value or fits(path)]
        if value and not fitting:
            hint = f"make deploy DEVICE={device.name} {word}={value}"
            raise WrongInput(f"{word}={value}: nothing like that for {device.name} in {shown(dist)}/", hint)
    if not fitting:
        raise WrongInput(f"nothing for {device.name} in {shown(dist)}/", f"make deploy DEVICE={device.name}")
    newest = max(fitting, key=lambda path: (path.stat().st_mtime_ns, path))
    if others := sorted(path.parent.name for path in fitting if path != newest)[:FEW]:
        text = f"takes the newest bundle, {newest.parent.name}; NAME= or RELEASE= choose another: {', '.join(others)}"
        log.say("flash", text, "dim")
    return open_bundle(newest.parent)


def find_any(dist: Path, device: Device, name: str, firmware: str) -> Bundle | None:
    """Return the same, or nothing where there is none and none is asked for by its name."""
    try:
        return find(dist, device, name, firmware=firmware)
    except WrongInput:
        if name:
            raise
        return None


def open_bundle(folder: Path) -> Bundle:
    """Verify every sum of a bundle; the first byte goes nowhere before."""
    try:
        contents = sums.read(folder, lambda name: READ_BYTES if name in READ else 0)
        lines = list(sums.differences(contents))
    except Foreign as problem:
        lines = [str(problem)]
    if lines:
        raise HashDiffers(f"{shown(folder)}: {lines[0]}", "make deploy writes it again; a release: get it again")
    try:
        manifest = _document(folder, contents.texts, MANIFEST)
        manifest["device"], manifest["firmware"]["name"], manifest["firmware"]["address"], manifest["model"]["sha256"]
    except (LookupError, TypeError):
        raise _odd(folder / MANIFEST) from None
    return Bundle(folder, manifest, contents.texts)


def _document(folder: Path, texts: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        found = json.loads(texts[name].decode())
    except (ValueError, LookupError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _odd(folder / name)
    return found


def _odd(path: Path) -> WrongInput:
    return WrongInput(f"{shown(path)}: not as Edgewright writes it", "make deploy")


def _told(manifest: Path) -> tuple[str, str]:
    """Return a bundle's device and firmware; of what is none, nothing."""
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        return str(content["device"]), str(content["firmware"]["name"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return "", ""


def board_of(device: Device) -> Board:
    """Return how a device is flashed, or refuse one of which nobody has written that down."""
    if not device.board:
        raise WrongInput(
            f"configs/devices/{device.name}.toml: no [board]: how to flash it is not known", "make devices"
        )
    return device.board


def firmware_of(project: Project, made: Bundle, device: Device) -> Firmware:
    """Return the firmware that a bundle was made for; refuse what is for another board, or for one that answers nobody."""
    if made.manifest["device"] != device.name:
        theirs = made.manifest["device"]
        raise WrongInput(f"{shown(made.folder)} was made for {theirs}, not {device.name}", f"DEVICE={theirs}")
    firmware: Firmware = project.pick("firmware", made.manifest["firmware"]["name"])
    if firmware.at is None:
        raise WrongInput(
            f"{firmware.name} answers no command: nobody could tell whether the model runs",
            "flash it with the vendor's own tool",
        )
    if made.manifest["firmware"]["address"] != firmware.address:
        address = made.manifest["firmware"]["address"]
        raise WrongInput(
            f"{shown(made.folder / MANIFEST)}: address {address:#x}, but {firmware.name} reads its model at {firmware.address:#x}",
            f"make deploy DEVICE={device.name} FIRMWARE={firmware.name}",
        )
    return firmware


def writes_of(made: Bundle, firmware: Firmware, board: Board, image: str) -> list[Write]:
    """Return what is written where; refuse what would not run, not fit, or overwrite what is not ours."""
    report = made.document(VERDICT)
    if report and report["verdict"]["state"] == FAILS:
        raise DoesNotFit(f"{shown(made.folder)}: {report['verdict']['summary']}", "see its report.html")
    model = Write(made.model, firmware.address)
    size = made.model.stat().st_size
    if size > firmware.slot_bytes:
        raise DoesNotFit(
            f"{shown(made.model)}: {size:,} bytes, and the slot at {firmware.address:#x} has {firmware.slot_bytes:,}",
            "a smaller IMGSZ= does not help: a network with fewer channels does",
        )
    _keep_clear(model, size, [*firmware.keeps, *board.keeps], board)
    return [*_firmware_image(board, image, firmware), model] if image else [model]


def _keep_clear(write: Write, size: int, keeps: Sequence[Region], board: Board) -> None:
    """Refuse a write that touches what firmware or board keep in flash, whole sectors counted, for these are erased."""
    first = write.address - write.address % board.sector_bytes
    last = -(-(write.address + size) // board.sector_bytes) * board.sector_bytes - 1
    if last >= board.flash_bytes:
        raise DoesNotFit(f"{shown(write.path)}: ends at {last:#x}, behind the flash of {board.flash_bytes:,} bytes")
    for region in keeps:
        low, high = region.range
        if first <= high and last >= low:
            raise DoesNotFit(
                f"{shown(write.path)}: {write.address:#x} to {last:#x} would overwrite {region.name} at {low:#x}",
                "mend the address in configs/firmwares/",
            )


def _firmware_image(board: Board, given: str, firmware: Firmware) -> list[Write]:
    path = Path(given).expanduser()
    where = f"FIRMWARE_IMAGE={given}"
    if not path.is_file():
        raise WrongInput(f"{where}: no such file", f"get it from {board.source}")
    size, head = path.stat().st_size, path.open("rb").read(16)
    if not head.startswith(bytes.fromhex(board.firmware_magic)):
        raise WrongInput(
            f"{where}: no firmware for this chip: it begins with {head[:4].hex()}", f"get it from {board.source}"
        )
    if not 0 < size <= board.firmware_bytes:
        raise WrongInput(
            f"{where}: {size:,} bytes; a firmware has at most {board.firmware_bytes:,}", f"get it from {board.source}"
        )
    if head[4:8] == b"TFL3":
        raise WrongInput(f"{where}: this is a model", f"MODEL={given}")
    return [Write(path, board.firmware_address)]

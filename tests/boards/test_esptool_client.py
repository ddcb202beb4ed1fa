"""The unmodified esptool cannot tell a virtual ESP32-S3's loader from a real one's."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgewright.boards.virtual.esp_rom import EspRom
from edgewright.boards.virtual.wire import Memory, Reset, Unplugged

ADDRESS, SIZE, SECTOR = 0x400000, 8 << 20, 4096
PACKED = (b"edgewright" * 7000)[: 1 << 16]
NOISE = bytes(i * i * 31 % 251 ^ i >> 8 for i in range((1 << 16) - 3))
NO_RESET = ("--before", "no-reset", "--after", "no-reset")

Run = Callable[..., str]


class Pty:
    """A wire that is a bare pseudo-terminal: it has no control lines, and nobody notices who opens it."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self.pulled = False

    def read(self, timeout_s: float) -> bytes:
        if self.pulled:
            raise Unplugged
        if not select.select([self.master], [], [], min(timeout_s, 0.1))[0]:
            return b""
        return os.read(self.master, 1 << 16)

    def unread(self, data: bytes) -> None:
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.master, data) :]


class Chip:
    """A chip that is always in its loader, and counts what led it there."""

    def __init__(self, memory: Memory, chip_id: int) -> None:
        self.rom, self.memory, self.wire = EspRom(memory, chip_id=chip_id), memory, Pty()
        self.resets: list[bool] = []  # whether into the loader

    def live(self) -> None:
        while True:
            try:
                self.rom.run(self.wire)
            except Reset as reset:
                self.resets.append(reset.download)
            except Unplugged:
                return


@pytest.fixture
def chip(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chip]:
    chip = Chip(Memory(tmp_path / "flash.bin", SIZE, SECTOR), getattr(request, "param", 9))
    thread = threading.Thread(target=chip.live)
    thread.start()
    yield chip
    chip.wire.pulled = True
    thread.join()
    chip.memory.close()


@pytest.fixture
def esptool(chip: Chip) -> Run:
    """Run esptool's command line, and return what it says."""

    def run(*words: str, fails: bool = False) -> str:
        command = [sys.executable, "-m", "esptool", "--port", chip.wire.port, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, "COLUMNS": "200"})
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_with_its_stub_it_writes_verifies_reads_and_erases(chip: Chip, esptool: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(PACKED)
    chip.memory.program(ADDRESS - SECTOR, b"\0" * SIZE)
    said = esptool("--baud", "921600", "write-flash", hex(ADDRESS), str(tmp_path / "in"))
    for words in ("ESP32-S3 (QFN56) (revision v0.2)", "Embedded PSRAM 8MB (AP_3v3)", "30:ed:a0:00:00:01"):
        assert words in said
    for words in ("Stub flasher running", f"Wrote {1 << 16} bytes (", "Hash of data verified"):
        assert words in said
    assert chip.memory.read(ADDRESS - SECTOR, SECTOR) == b"\0" * SECTOR
    assert chip.memory.read(ADDRESS, 1 << 16) == PACKED
    assert chip.memory.read(ADDRESS + (1 << 16), SECTOR) == b"\0" * SECTOR

    said = esptool("read-flash", hex(ADDRESS + 1), "10000", str(tmp_path / "out"))
    assert "already running" in said, "nothing has reset the chip: a pseudo-terminal has no lines for it"
    assert (tmp_path / "out").read_bytes() == PACKED[1:10001]

    assert "Verification successful" in esptool(*NO_RESET, "verify-flash", hex(ADDRESS), str(tmp_path / "in"))
    assert chip.resets == [True], "esptool has left its stub"
    esptool("--after", "watchdog-reset", "erase-region", hex(ADDRESS), hex(SECTOR))
    assert chip.resets == [True, False]
    assert chip.memory.read(ADDRESS, SECTOR + 1) == b"\xff" * SECTOR + PACKED[SECTOR : SECTOR + 1]
    assert "Verification failed" in esptool("verify-flash", hex(ADDRESS), str(tmp_path / "in"), fails=True)


def test_without_its_stub_it_writes_verifies_and_reads(chip: Chip, esptool: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NOISE)
    rom = ("--no-stub", "--chip", "esp32s3", *NO_RESET)
    assert "Hash of data verified" in esptool(*rom, "write-flash", "-u", hex(ADDRESS), str(tmp_path / "in"))
    assert chip.memory.read(ADDRESS, len(NOISE)) == NOISE
    (tmp_path / "in").write_bytes(PACKED)
    assert "compressed)" in esptool(*rom, "write-flash", "-z", hex(ADDRESS), str(tmp_path / "in"))
    assert chip.memory.read(ADDRESS, len(PACKED)) == PACKED
    esptool(*rom, "read-flash", hex(ADDRESS), "1000", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == PACKED[:1000]
    esptool(*rom, "erase-region", hex(ADDRESS), hex(SECTOR))
    assert chip.memory.read(ADDRESS, SECTOR + 1) == b"\xff" * SECTOR + PACKED[SECTOR : SECTOR + 1]
    assert chip.resets == []


def test_it_writes_what_cannot_be_compressed_with_its_stub(chip: Chip, esptool: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NOISE)
    assert "Hash of data verified" in esptool(*NO_RESET, "write-flash", "-u", hex(ADDRESS + 8), str(tmp_path / "in"))
    assert chip.memory.read(ADDRESS + 8, len(NOISE)) == NOISE


def test_it_finds_eight_megabytes(esptool: Run) -> None:
    said = esptool("--chip", "esp32s3", *NO_RESET, "flash-id")
    assert "Manufacturer: c8" in said
    assert "Device: 4017" in said
    assert "Detected flash size: 8MB" in said
    assert "MAC:                30:ed:a0:00:00:01" in esptool(*NO_RESET, "read-mac")


@pytest.mark.parametrize("chip", [5], indirect=True)
def test_it_refuses_another_chip(chip: Chip, esptool: Run) -> None:
    said = esptool("--chip", "esp32s3", *NO_RESET, "flash-id", fails=True)
    assert "This chip is ESP32-C3, not ESP32-S3. Wrong chip argument?" in said

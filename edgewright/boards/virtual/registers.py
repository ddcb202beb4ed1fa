"""The registers of a virtual ESP32-S3 that its loaders' clients read and write: eFuses, watchdog, the flash chip's bus.

Addresses and bits: esptool 5.6, targets/esp32s3.py and loader.py (run_spiflash_command). All other registers are memory.
"""

from __future__ import annotations

SPI, EFUSE, RTC_CNTL = 0x60002000, 0x60007000, 0x60008000
UART_CLKDIV = 0x60000014
MAGIC = 0x40001000  # in ROM, another value on every chip; clients ask for it where the chip has no number
SPI_ADDRESS, SPI_USER2, SPI_MISO_LENGTH, SPI_WORD0 = SPI + 0x04, SPI + 0x20, SPI + 0x28, SPI + 0x58
SPI_START = 1 << 18
WATCHDOG_CONFIG, WATCHDOG_TIMEOUT, WATCHDOG_LOCK = RTC_CNTL + 0x98, RTC_CNTL + 0x9C, RTC_CNTL + 0xB0
WATCHDOG_KEY = 0x50D83AA1
OPTION1 = RTC_CNTL + 0x12C  # bit 0: the next reset leads into the loader
CRYSTAL_HZ = 40_000_000

# JEDEC: GigaDevice, GD25Q; SFDP revision 1.6 with one basic table, then the maker's own one, whose number clients look at.
MAKER, FAMILY = 0xC8, 0x40
SFDP = bytes.fromhex("53464450060101ff 00060110300000ff c8000103900000ff")


class Registers:
    """32-bit words by address; writing some of them does something."""

    def __init__(self, mac: bytes, flash_bytes: int) -> None:
        self._flash_bytes = flash_bytes
        block1 = EFUSE + 0x44
        self._words = {
            MAGIC: 0x9,
            UART_CLKDIV: CRYSTAL_HZ // 115200,
            block1: int.from_bytes(mac[2:], "big"),
            block1 + 0x04: int.from_bytes(mac[:2], "big"),
            block1 + 0x0C: 2 << 18,  # package QFN56 (0), revision v0.2, no flash in the package: it is an ESP32-S3R8
            block1 + 0x10: 1 << 7 | 1 << 3,  # 8 MB of PSRAM at 3.3 V, by AP Memory
        }

    @property
    def watchdog(self) -> bool:
        """Whether the watchdog runs, which nobody here will feed."""
        return bool(self.read(WATCHDOG_CONFIG) >> 31)

    @property
    def download(self) -> bool:
        """Whether the next reset leads into the loader."""
        return bool(self.read(OPTION1) & 1)

    def read(self, address: int) -> int:
        """Return a word."""
        return self._words.get(address, 0)

    def write(self, address: int, value: int, mask: int = 0xFFFFFFFF) -> None:
        """Write those bits of a word that are set in `mask`."""
        if address in (WATCHDOG_CONFIG, WATCHDOG_TIMEOUT) and self.read(WATCHDOG_LOCK) != WATCHDOG_KEY:
            return
        self._words[address] = self.read(address) & ~mask | value & mask
        if address == SPI and value & SPI_START:
            bits = self.read(SPI_MISO_LENGTH) + 1
            self._words[SPI_WORD0] = self._ask_flash() & ((1 << bits) - 1)
            self._words[SPI] = 0  # done

    def change_baud(self, baud: int) -> None:
        """Set the divider of the UART; its line is as fast as it is."""
        self.write(UART_CLKDIV, CRYSTAL_HZ // max(baud, 1))

    def _ask_flash(self) -> int:
        """Return what the flash chip answers to the command in the bus's registers, its first byte lowest."""
        command = self.read(SPI_USER2) & 0xFF
        if command == 0x9F:  # RDID
            return MAKER | FAMILY << 8 | (self._flash_bytes.bit_length() - 1) << 16
        if command == 0x5A:  # RDSFDP
            address = self.read(SPI_ADDRESS)
            return int.from_bytes(SFDP[address : address + 4].ljust(4, b"\xff"), "little")
        if command == 0x35:  # RDSR2, with quad enable: the bootloader has set it
            return 0x02
        return 0

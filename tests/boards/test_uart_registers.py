"""What boards write to make their serial port ready, by the names that ST gives registers and fields in its SVD files.

pyOCD brings some of these files, LabWired descriptors that were made from others; for a chip that has none there
stands one of its family.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from driftc.boards import load

Register = tuple[str, list[tuple[str, int, int]]]  # its name; each field's name, lowest bit and width

SOURCES = {
    "nucleo-f091rc": "STM32F0xx.svd",
    "nucleo-f103rb": "STM32F103xx.svd",
    "nucleo-f446re": "STM32F41x.svd",
    "nucleo-l4r5zi": "STM32L4x5.svd",
    "nucleo-h743zi": "stm32h735",
    "nucleo-u575zi-q": "stm32u575",
    "b-u585i-iot02a": "stm32u575",
    "nucleo-wba52cg": "stm32wba52",
}
U5 = [
    "RCC.CR: HSION=1", "RCC.CCIPR1: USART1SEL=2", "RCC.AHB2ENR1: GPIOAEN=1", "RCC.APB2ENR: USART1EN=1",
    "GPIOA.MODER: MODE9=2 MODE10=2", "GPIOA.AFRH: AFSEL9=7 AFSEL10=7",
]  # fmt: skip
# Mode 2 is an alternate function; of an STM32F103 at 2 MHz, by configuration 2; its configuration 1 is an open input.
SETUPS = {
    "nucleo-f091rc": [
        "RCC.AHBENR: IOPAEN=1", "RCC.APB1ENR: USART2EN=1", "GPIOA.MODER: MODER2=2 MODER3=2",
        "GPIOA.AFRL: AFRL2=1 AFRL3=1",
    ],
    "nucleo-f103rb": ["RCC.APB2ENR: IOPAEN=1", "RCC.APB1ENR: USART2EN=1", "GPIOA.CRL: MODE2=2 CNF2=2 MODE3=0 CNF3=1"],
    "nucleo-f446re": [
        "RCC.AHB1ENR: GPIOAEN=1", "RCC.APB1ENR: USART2EN=1", "GPIOA.MODER: MODER2=2 MODER3=2",
        "GPIOA.AFRL: AFRL2=7 AFRL3=7",
    ],
    "nucleo-l4r5zi": [
        "RCC.AHB2ENR: GPIOGEN=1", "RCC.APB1ENR1: PWREN=1", "RCC.APB1ENR2: LPUART1EN=1", "PWR.CR2: IOSV=1",
        "GPIOG.MODER: MODER7=2 MODER8=2", "GPIOG.AFRL: AFRL7=8", "GPIOG.AFRH: AFRH8=8",
    ],
    "nucleo-h743zi": [
        "RCC.AHB4ENR: GPIODEN=1", "RCC.APB1LENR: USART3EN=1", "GPIOD.MODER: MODE8=2 MODE9=2",
        "GPIOD.AFRH: AFSEL8=7 AFSEL9=7",
    ],
    "nucleo-u575zi-q": U5,
    "b-u585i-iot02a": U5,
    "nucleo-wba52cg": [
        "RCC.AHB2ENR: GPIOAEN=1 GPIOBEN=1", "RCC.APB2ENR: USART1EN=1", "GPIOA.MODER: MODE8=2", "GPIOA.AFRH: AFSEL8=7",
        "GPIOB.MODER: MODE12=2", "GPIOB.AFRH: AFSEL12=7",
    ],
}  # fmt: skip
PORTS = {"stm32": ["SR", "DR", "BRR", "CR1"], "stm32v2": ["CR1", "CR3", "BRR", "ISR", "RDR", "TDR"]}
OFFSETS = {"stm32": [0x00, 0x04, 0x08, 0x0C], "stm32v2": [0x00, 0x08, 0x0C, 0x1C, 0x24, 0x28]}


def folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    return Path(spec.origin).parent


def of_svd(name: str) -> Iterator[tuple[int, Register]]:
    with zipfile.ZipFile(folder("pyocd") / "debug" / "svd" / "svd_data.zip") as files:
        root = ElementTree.fromstring(files.read(name))
    peripherals = {peripheral.findtext("name", ""): peripheral for peripheral in root.iter("peripheral")}
    for name, peripheral in peripherals.items():
        base = int(peripheral.findtext("baseAddress", ""), 0)
        source = peripherals[peripheral.get("derivedFrom", name)]
        for register in source.iter("register"):
            fields = [
                (
                    field.findtext("name", ""),
                    int(field.findtext("bitOffset", ""), 0),
                    int(field.findtext("bitWidth", ""), 0),
                )
                for field in register.iter("field")
            ]
            yield base + int(register.findtext("addressOffset", ""), 0), (f"{name}.{register.findtext('name')}", fields)


def of_descriptors(chip: str) -> Iterator[tuple[int, Register]]:
    yaml = pytest.importorskip("yaml")
    chips = folder("labwired") / "configs" / "chips"
    for block in yaml.safe_load((chips / f"{chip}.yaml").read_text())["peripherals"]:
        config = block.get("config") or {}
        path = chips / config.get("debug_schema", config.get("path", "-"))
        if not block["id"].startswith(("rcc", "gpio", "usart")) or not path.is_file():
            continue
        for register in yaml.safe_load(path.read_text())["registers"]:
            ranges = [(field["name"], min(field["bit_range"]), max(field["bit_range"])) for field in register["fields"]]
            fields = [(name, low, high - low + 1) for name, low, high in ranges]
            block_name = block["id"].upper()
            short = register["id"].removeprefix(f"{block_name}_").removeprefix("GPIO_").removeprefix("USART_")
            yield block["base_address"] + register["address_offset"], (f"{block_name}.{short}", fields)


@cache
def registers(source: str) -> dict[int, list[Register]]:
    found: dict[int, list[Register]] = {}
    for address, register in of_svd(source) if source.endswith(".svd") else of_descriptors(source):
        found.setdefault(address, []).append(register)
    return found


@pytest.mark.parametrize("name", SETUPS)
def test_setup(name: str) -> None:
    uart = load(name).uart
    assert uart is not None
    known = registers(SOURCES[name])
    said = []
    for address, clear, bits in uart.setup:
        register, fields = known[address][0]
        touched = [
            (low, f"{field}={bits >> low & (1 << width) - 1}")
            for field, low, width in fields
            if (clear | bits) >> low & (1 << width) - 1
        ]
        said.append(f"{register}: " + " ".join(text for _, text in sorted(touched)))
    assert said == SETUPS[name]


@pytest.mark.parametrize("name", SETUPS)
def test_port(name: str) -> None:
    """The registers that the driver uses, and at which address the port is."""
    uart = load(name).uart
    assert uart is not None
    known = registers(SOURCES[name])
    for offset, register in zip(OFFSETS[uart.driver], PORTS[uart.driver], strict=True):
        names = [found.partition(".")[2].partition("_")[0] for found, _ in known[uart.base + offset]]
        assert register in names, (hex(offset), names)

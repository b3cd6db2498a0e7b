"""Arduino: a library, whose header lies in src/ and compiles the self-test in."""

from __future__ import annotations

import re
from typing import Any

from driftc.codegen.export.package import Files, Package
from driftc.codegen.export.target import Target

# As library.properties names them: boards whose int has 32 bits. Teensy calls itself avr.
ARCHITECTURES = (
    *("apollo3", "esp32", "esp8266", "mbed", "mbed_edge", "mbed_giga", "mbed_nano", "mbed_nicla", "mbed_opta"),
    *("mbed_portenta", "mbed_rp2040", "nrf52", "renesas_portenta", "renesas_uno", "rp2040", "sam", "samd", "stm32"),
)


class Arduino(Target):
    name = "arduino"
    public = "src/"
    needs_mail = "library.properties"

    def sources(self, package: Package) -> Files:
        found = super().sources(package)
        header = f"{self.public}{package.name}.h"
        guard = f"#define {package.upper}_H\n"
        found[header] = package.c[f"{package.name}.h"].replace(
            guard, guard + package.render("arduino/_prelude.h.j2"), 1
        )
        return found

    def values(self, package: Package) -> dict[str, Any]:
        text = "".join(package.c[name] for name in package.public)
        functions = set(re.findall(rf"\b{package.name}_(\w+)\(", text)) - {"t"}
        return {"architectures": ARCHITECTURES, "functions": sorted(functions)}

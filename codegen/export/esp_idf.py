"""ESP-IDF: a component, with Kconfig, linker fragment and the registry's manifest."""

from __future__ import annotations

from driftc.codegen.export.package import Package
from driftc.codegen.export.target import Target


class EspIdf(Target):
    name = "esp-idf"
    needs_mail = "idf_component.yml"

    def slow(self, package: Package) -> str:
        return "all ESP32s"

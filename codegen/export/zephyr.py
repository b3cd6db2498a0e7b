"""Zephyr: a module, with Kconfig and a sample that twister knows."""

from __future__ import annotations

from driftc.codegen.export.target import Target


class Zephyr(Target):
    name = "zephyr"

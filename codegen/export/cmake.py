"""CMake: a library that `find_package` and `add_subdirectory` take."""

from __future__ import annotations

from driftc.codegen.export.target import Target


class CMake(Target):
    name = "cmake"

"""Arduino libraries: Arduino's own builder compiles them for a Cortex-M4 of ours, and QEMU runs the sketch."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from exported import MODELS, export, shell

PLATFORM = Path(__file__).resolve().parents[2] / "support" / "platforms" / "arduino"
SKETCH = """
#include <ic.h>
#include <kws.h>
IC_STATIC_MEMORY(ic_memory);
KWS_STATIC_MEMORY(kws_memory);
static ic_t ic;
static kws_t kws;
void setup()
{
    Serial.begin(115200);
    if (ic_init(&ic, &ic_memory) == 0 && ic_selftest(&ic) == 0)
        Serial.println("ic: OK");
    if (kws_init(&kws, &kws_memory) == 0 && kws_selftest(&kws) == 0)
        Serial.println("kws: OK");
}
void loop()
{
}
"""


def printed(sketch: Path, libraries: Path, build: Path) -> str:
    """What the sketch prints on the emulated board."""
    for command in ("arduino-builder", "arduino-ctags", "qemu-system-arm"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is absent; .ci/tools installs it")
    build.mkdir()
    builder = f"arduino-builder -compile -quiet -hardware {PLATFORM}/hardware -tools /usr/bin -fqbn driftc:arm:qemu"
    shell(f"{builder} -libraries {libraries} -build-path {build} {sketch}", build)
    machine = "qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none"
    console = "-semihosting-config enable=on,target=native"
    return shell(f"{machine} {console} -kernel {build}/{sketch.name}.elf 2>&1", build)


@pytest.mark.parametrize("name", MODELS)
def test_example_prints_ok(name: str, models: Path, tmp_path: Path) -> None:
    package = export(models, name, "arduino", tmp_path / "libraries")
    sketch = package / "examples" / "SelfTest" / "SelfTest.ino"
    assert printed(sketch, tmp_path / "libraries", tmp_path / "build") == f"{name}: OK\n"


def test_two_models_in_one_sketch(models: Path, tmp_path: Path) -> None:
    for name in ("ic", "kws"):
        export(models, name, "arduino", tmp_path / "libraries")
    sketch = tmp_path / "Both" / "Both.ino"
    sketch.parent.mkdir()
    sketch.write_text(SKETCH)
    assert printed(sketch, tmp_path / "libraries", tmp_path / "build") == "ic: OK\nkws: OK\n"


def test_author_needs_a_mail(models: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"--author Ada: library.properties needs a mail address"):
        export(models, "kws", "arduino", tmp_path, "--author", "Ada")
    assert list(tmp_path.iterdir()) == []

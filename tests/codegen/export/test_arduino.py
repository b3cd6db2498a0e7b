"""Arduino libraries: an `arduino-cli` of ours calls Arduino's own builder, for a Cortex-M4 that QEMU runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from exported import MODELS, STAND_INS, export, readme_commands, shell

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


def printed(commands: str, library: Path) -> str:
    """What the sketch prints on the emulated board."""
    for command in ("arduino-builder", "arduino-ctags", "qemu-system-arm"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is absent; .ci/tools installs it")
    return shell(commands, library, path=STAND_INS)


@pytest.mark.parametrize("name", MODELS)
def test_readme_commands_print_ok(name: str, models: Path, tmp_path: Path) -> None:
    package = export(models, name, "arduino", tmp_path / "libraries")
    (try_it,) = readme_commands(package)
    assert printed(try_it, package) == f"{name}: OK\n"


def test_two_models_in_one_sketch(models: Path, tmp_path: Path) -> None:
    for name in ("ic", "kws"):
        export(models, name, "arduino", tmp_path / "libraries")
    sketch = tmp_path / "Both" / "Both.ino"
    sketch.parent.mkdir()
    sketch.write_text(SKETCH)
    (try_it,) = readme_commands(tmp_path / "libraries" / "ic")
    assert printed(try_it.replace("examples/SelfTest", str(sketch.parent)), tmp_path / "libraries" / "ic") == (
        "ic: OK\nkws: OK\n"
    )


def test_author_needs_a_mail(models: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"--author Ada: library.properties needs a mail address"):
        export(models, "kws", "arduino", tmp_path, "--author", "Ada")
    assert list(tmp_path.iterdir()) == []

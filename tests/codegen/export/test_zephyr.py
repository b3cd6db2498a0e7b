"""Zephyr modules: the files fit together.

No Zephyr is in reach of the tests. Its Kconfig library is, and a `west` of ours builds the sample with this machine's
compiler; module.yml and sample.yaml are held to the keys that Zephyr's own schemas have.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from exported import MODELS, STAND_INS, both_selftests, export, readme_commands, shell, tools

# After zephyr_module.py and twister's schema.
MODULE = """
type: map
mapping:
  name: {required: true, type: str}
  build:
    type: map
    mapping: {cmake: {type: str}, kconfig: {type: str}}
  samples: {type: seq, sequence: [{type: str}]}
"""
SAMPLE = """
type: map
mapping:
  sample: {required: true, type: map, mapping: {name: {required: true, type: str}, description: {type: str}}}
  tests:
    required: true
    type: map
    mapping:
      regex;(.*):
        type: map
        mapping:
          tags: {type: str}
          integration_platforms: {type: seq, sequence: [{type: str}]}
          harness: {type: str}
          harness_config: {type: map, mapping: {type: {type: str}, regex: {type: seq, sequence: [{type: str}]}}}
"""


def run(commands: str, folder: Path) -> str:
    return shell(commands, folder, path=(STAND_INS, tools() / "venv" / "bin"))


@pytest.mark.parametrize("name", MODELS)
def test_files_fit_together(name: str, models: Path, tmp_path: Path) -> None:
    package = export(models, name, "zephyr", tmp_path)
    (try_it,) = readme_commands(package)
    assert run(try_it, package).endswith(f"\n{name}: OK\n")


def test_two_modules_in_one_program(models: Path, tmp_path: Path) -> None:
    for name in ("ic", "vww"):
        export(models, name, "zephyr", tmp_path)
    sample = shutil.copytree(tmp_path / "ic" / "samples" / "selftest", tmp_path / "both")
    lists = (sample / "CMakeLists.txt").read_text()
    here = "${CMAKE_CURRENT_SOURCE_DIR}"
    (sample / "CMakeLists.txt").write_text(lists.replace(f"{here}/../..", f"{here}/../ic {here}/../vww"))
    text = (sample / "prj.conf").read_text()
    (sample / "prj.conf").write_text(text + "CONFIG_VWW=y\nCONFIG_VWW_SELFTEST=y\n")
    (sample / "src" / "main.c").write_text(both_selftests("ic", "vww"))
    printed = run("west build -b mps2/an385 both -d build\nwest build -d build -t run\n", tmp_path)
    assert printed.endswith("\nic: OK\nvww: OK\n")


def test_yaml_has_the_keys_that_zephyr_knows(models: Path, tmp_path: Path) -> None:
    package = export(models, "kws", "zephyr", tmp_path)
    for schema, file in ((MODULE, "zephyr/module.yml"), (SAMPLE, "samples/selftest/sample.yaml")):
        (tmp_path / "schema.yml").write_text(schema)
        shell(f"pykwalify -d {package / file} -s schema.yml", tmp_path, path=tools() / "venv" / "bin")
    found = yaml.safe_load((package / "zephyr" / "module.yml").read_text(encoding="utf-8"))
    assert found["name"] == "kws"
    assert (package / found["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (package / found["build"]["kconfig"]).is_file()
    assert (package / found["samples"][0] / "selftest" / "sample.yaml").is_file()

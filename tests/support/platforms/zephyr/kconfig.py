"""prj.conf evaluated against the modules' Kconfig files: kconfig.py PRJ_CONF OUTPUT KCONFIG..."""

import sys
import tempfile
from pathlib import Path

import kconfiglib  # type: ignore[import-not-found]

config, output, *sources = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    root = Path(folder, "Kconfig")
    own = 'config SPEED_OPTIMIZATIONS\n\tbool\n\tprompt "Optimise for speed"\n'
    own += 'config MAIN_STACK_SIZE\n\tint\n\tprompt "Size of the stack of main"\n\tdefault 1024\n'
    root.write_text(own + "".join(f'source "{source}"\n' for source in sources))
    kconf = kconfiglib.Kconfig(str(root), warn_to_stderr=False)
    kconf.load_config(config)
if kconf.warnings:
    sys.exit("\n".join(kconf.warnings))
chosen = [name for name, symbol in kconf.syms.items() if symbol.str_value == "y"]
Path(output).write_text("".join(f"set(CONFIG_{name} y)\n" for name in chosen))

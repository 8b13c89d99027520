"""Python reads this before a flow wherever its folder is on the path: each step then finds an empty machine.

``LEARN_MACHINE`` names the folder that plays the machine's disk. It is emptied before every step and is the
step's working directory, so whatever a step finds there it has fetched itself. One step at a time
(``--max-workers 1``).
"""

import os
import shutil
import sys
from pathlib import Path

_disk = os.environ.get("LEARN_MACHINE", "")
if _disk and "step" in sys.orig_argv and any(word.endswith("_flow.py") for word in sys.orig_argv):
    shutil.rmtree(_disk, ignore_errors=True)
    Path(_disk).mkdir(parents=True)
    os.chdir(_disk)
    with Path(os.environ["LEARN_MACHINE_STEPS"]).open("a", encoding="utf-8") as _steps:
        _steps.write(sys.orig_argv[sys.orig_argv.index("step") + 1] + "\n")

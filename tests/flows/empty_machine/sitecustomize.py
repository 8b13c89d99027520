"""Python reads this before the flow where a test puts its folder on the path: each step finds an empty machine.

`LEARN_TEST_MACHINE` names the folder that stands for the machine's disk; it is emptied before every step, so whatever a
step finds there it has fetched itself. One step at a time (`--max-workers 1`).
"""

import os
import shutil
import sys
from pathlib import Path

_disk = os.environ.get("LEARN_TEST_MACHINE", "")
if _disk and "step" in sys.orig_argv and any(word.endswith("_flow.py") for word in sys.orig_argv):
    shutil.rmtree(_disk, ignore_errors=True)
    Path(_disk).mkdir(parents=True)
    os.chdir(_disk)
    with Path(os.environ["LEARN_TEST_STEPS"]).open("a", encoding="utf-8") as _steps:
        _steps.write(sys.orig_argv[sys.orig_argv.index("step") + 1] + "\n")

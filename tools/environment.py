"""Make the environment of this checkout in .venv. Needs nothing but Python.

A lock is held by this process and by the pip that it starts, so a second call waits even for a
pip whose parent was killed. An environment that was not completed is made anew.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv"
COMPLETE = FOLDER / "complete"
SOURCES = [ROOT / "pyproject.toml", ROOT / "constraints.txt", Path(__file__)]
OLDEST = (3, 11)


def main() -> int:
    """Make the environment unless it is there; return the exit status."""
    if sys.version_info < OLDEST:
        print(f"Python {'.'.join(map(str, OLDEST))} or newer is needed; this is {sys.version}.")
        return 1
    lock = os.open(ROOT / ".venv.lock", os.O_RDWR | os.O_CREAT, 0o644)
    os.set_inheritable(lock, True)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if is_current():
        return 0
    venv.create(FOLDER, clear=True, with_pip=True)
    command = [FOLDER / "bin" / "python", "-m", "pip", "install", "--constraint", "constraints.txt"]
    done = subprocess.run(
        [*command, "--editable", ".[test]"], cwd=ROOT, pass_fds=[lock], check=False
    )
    if done.returncode == 0:
        COMPLETE.touch()
    return done.returncode


def is_current() -> bool:
    """Tell whether the environment is complete and newer than what it is made from."""
    if not COMPLETE.exists():
        return False
    return all(path.stat().st_mtime <= COMPLETE.stat().st_mtime for path in SOURCES)


if __name__ == "__main__":
    sys.exit(main())

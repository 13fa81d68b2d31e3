"""How a worker process finds the trial function and gets ready to run it."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping
from functools import reduce
from importlib import import_module
from pathlib import Path

from reprostats.provenance import git_commit, lock_files
from reprostats.records.checksum import canonical_json
from reprostats.study.code import function_name
from reprostats.study.command import Command
from reprostats.study.contents import Content
from reprostats.study.tracing import TrialFunction


def worker_setup(
    function: TrialFunction, code: Mapping[str, str], files: Mapping[str, Content], folder: Path
) -> str:
    """Say as JSON what a worker needs to run trials of a function.

    Parameters
    ----------
    function
        The trial function.
    code
        What `reprostats.study.code.code_dependencies` gives for it.
    files
        What belongs to the identity of its trials beside the code, by name.
    folder
        Of the study.
    """
    here = Path.cwd()
    setup = {
        "function": function_name(function),
        "loads_torch": not isinstance(function, Command),
        "code": code,
        "files": files,
        "folder": str(folder),
        "working_folder": str(here),
        "sys_path": [entry or os.getcwd() for entry in sys.path],  # noqa: PTH109
        "git_commit": git_commit(here),
        "lock_files": lock_files(here),
    }
    if not _is_importable(function):
        setup["pickled"] = base64.b64encode(_pickled_by_value(function)).decode()
    return canonical_json(setup)


def _is_importable(function: TrialFunction) -> bool:
    """Tell whether another process finds the function by its name on the same path."""
    if isinstance(function, Command):
        return False
    top = function.__module__.partition(".")[0]
    # Asks the finders (an editable installation has one of its own), not what is imported here.
    if top == "__main__" or not any(each.find_spec(top, None) for each in sys.meta_path):
        return False
    try:
        module = import_module(function.__module__)
        found = reduce(getattr, function.__qualname__.split("."), module)
    except (ImportError, AttributeError):
        return False
    return found is function  # type: ignore[comparison-overlap]


def _pickled_by_value(function: TrialFunction) -> bytes:
    """Pickle a function of a script or notebook with what it refers to there."""
    import cloudpickle

    module = sys.modules[function.__module__]
    # What a script defines is always pickled by value. A command is values and no code.
    if module.__name__ == "__main__" or isinstance(function, Command):
        return bytes(cloudpickle.dumps(function))
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(function))
    finally:
        cloudpickle.unregister_pickle_by_value(module)

"""The files of a checkpoint: written in one step, with a SHA-256 of each, and checked when read.

A checkpoint is a folder: ``model.safetensors``, ``optimiser.safetensors``, ``progress.safetensors``
(losses and states of random generators) and ``state.json`` (everything else, and a SHA-256 of each
file and of itself). It appears under its name in one step when it is whole. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from reprostats.errors import DamagedFileError, InputError

FORMAT = 1
_STATE = "state.json"
_NAME = re.compile(r"epoch-\d{6}-step-\d{8}")
Tensors = dict[str, torch.Tensor]


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the folder of the newest checkpoint, damaged or not; None if there is none."""
    return next(checkpoints_in(Path(folder)), None)


def checkpoints_in(folder: Path) -> Iterator[Path]:
    """Return the folders of all checkpoints, the newest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    yield from sorted((path for path in found if _NAME.fullmatch(path.name)), reverse=True)


def checkpoint_name(epoch: int, step: int) -> str:
    """Return the name of the folder of a checkpoint; names sort by time.

    Examples
    --------
    >>> checkpoint_name(epoch=3, step=50)
    'epoch-000003-step-00000050'
    """
    return f"epoch-{epoch:06d}-step-{step:08d}"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensors], state: dict[str, Any]) -> None:
    """Write a checkpoint in one step: it has its name when all of it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        contents = {name: save(_own_copies(each)) for name, each in tensors.items()}
        state["files"] = {name: _sha256(data) for name, data in contents.items()}
        contents[_STATE] = _sealed(state)
        for name, data in contents.items():
            _write_to_disk(unfinished / name, data)
        unfinished.chmod(0o755)
        _sync(unfinished)
        unfinished.replace(path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _own_copies(tensors: Tensors) -> Tensors:
    """Return tensors as safetensors wants them: in a row, and no two in the same memory."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _write_to_disk(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sealed(state: Mapping[str, Any]) -> bytes:
    """Return JSON of which a first line with its SHA-256 shows whether it is whole."""
    text = json.dumps(state, indent=1)
    return f'{{"sha256": "{_sha256(text.encode())}", "state":\n{text}\n}}\n'.encode()


def _unsealed(data: bytes) -> Any:
    first, _, rest = data.partition(b"\n")
    text = rest.removesuffix(b"\n}\n")
    if f'"{_sha256(text)}"'.encode() not in first:
        raise ValueError("its checksum is wrong")
    return json.loads(text)


def read_checkpoint(path: Path) -> tuple[dict[str, Any], list[Tensors]]:
    """Read a checkpoint and check every byte of it.

    Returns
    -------
    state, tensors
        Its plain values, and the tensors of each file in the order in which they were written.

    Raises
    ------
    DamagedFileError
        If a file is missing or not as it was written.
    InputError
        If the checkpoint has another format.
    """
    try:
        state = _unsealed((path / _STATE).read_bytes())
        if state["format"] != FORMAT:
            raise InputError(
                f"{path}: has format {state['format']}; this version reads format {FORMAT}."
            )
        tensors = [_read_tensors(path, name, wanted) for name, wanted in state["files"].items()]
    except (OSError, ValueError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        reason = "a file is missing" if isinstance(error, FileNotFoundError) else error
        raise DamagedFileError(f"{path}: damaged: {reason}.") from None
    return state, tensors


def _read_tensors(path: Path, name: str, wanted: str) -> Tensors:
    data = (path / name).read_bytes()
    if _sha256(data) != wanted:
        raise ValueError(f"the checksum of {name} is wrong")
    return dict(load(data))


def remove_unfinished(folder: Path) -> None:
    """Remove what a training that was killed while it wrote left behind."""
    for path in folder.glob(".epoch-*.part"):
        shutil.rmtree(path, ignore_errors=True)


def set_aside(folder: Path, after: str) -> None:
    """Rename checkpoints beyond the one a training goes on from: they were damaged."""
    for path in list(checkpoints_in(folder)):
        if path.name > after:
            aside = path.with_name(f"{path.name}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            path.replace(aside)

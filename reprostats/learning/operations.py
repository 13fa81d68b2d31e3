"""A trace of single operations: which one gives another result from the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
import xxhash
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reprostats.learning.fingerprint import dense, quick_digest, tensors_in

_MODULE = "reprostats module"
_OVERWRITES = tuple(
    f"aten.{name}_."
    for name in (
        "bernoulli",
        "cauchy",
        "copy",
        "exponential",
        "fill",
        "geometric",
        "log_normal",
        "normal",
        "random",
        "uniform",
        "zero",
    )
)


class Operation(NamedTuple):
    """One operation of a trace.

    Parameters
    ----------
    phase
        ``"forward"``, ``"backward"`` or ``"update"``; what runs outside of all counts as forward.
    place
        Module in which it ran, or in whose backward pass; empty outside of modules.
    name
        Such as ``"aten.convolution_backward.default"``.
    given
        Digest of the tensors before, and of the numbers and words that go with them.
    gave
        Digest of the tensors after.
    """

    phase: str
    place: str
    name: str
    given: bytes
    gave: bytes


class OperationTrace(TorchDispatchMode):
    """Takes down every operation while it is active.

    Parameters
    ----------
    where
        Gives phase and module of what is running, unless it is a backward pass.
    operations
        What is appended to.
    save
        Number of the operation whose results are saved, or None.
    folder
        Where to.
    """

    def __init__(
        self,
        where: Callable[[], tuple[str, str]],
        operations: list[Operation],
        save: int | None,
        folder: Path,
    ) -> None:
        super().__init__()
        self.active = False
        self._where = where
        self._operations = operations
        self._save = save
        self._folder = folder

    def __torch_dispatch__(
        self, func: Any, types: object, args: Any = (), kwargs: Any = None
    ) -> object:
        """Run an operation and take it down."""
        kwargs = kwargs or {}
        if not self.active or "empty" in str(func):  # fresh memory holds anything
            return func(*args, **kwargs)
        # What is overwritten as a whole may have held anything before.
        read = args[1:] if str(func).startswith(_OVERWRITES) else args
        filled = {each.name for each in func._schema.arguments if each.is_out}
        named = {name: value for name, value in kwargs.items() if name not in filled}
        given = quick_digest((read, named)) + _settings((read, named))
        result = func(*args, **kwargs)
        changed = (result, args, kwargs) if func._schema.is_mutable else result
        if len(self._operations) == self._save:
            save_all(self._folder / "operation.safetensors", changed)
        phase, place = self._place()
        operation = Operation(phase, place, str(func), given, quick_digest(changed))
        self._operations.append(operation)
        return result

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take nothing down meanwhile: what runs is the trace's own."""
        before, self.active = self.active, False
        try:
            yield
        finally:
            self.active = before

    def _place(self) -> tuple[str, str]:
        node: Any = torch._C._current_autograd_node()
        if node is None:
            return self._where()
        return "backward", node.metadata.get(_MODULE, "")

    def claim(self, before: list[Any], outputs: list[torch.Tensor], module: str) -> None:
        """Mark as a module's what will run backwards from its outputs to the nodes before it.

        What a module within it has claimed stays that one's.
        """
        if not self.active:
            return
        waiting: list[Any] = [each.grad_fn for each in outputs]
        seen: list[Any] = [None, *before]
        while waiting:
            node = waiting.pop()
            if any(node is each for each in seen):
                continue
            seen.append(node)
            node.metadata.setdefault(_MODULE, module)
            waiting += [each for each, _ in node.next_functions]


def _settings(values: object) -> bytes:
    plain = [leaf for leaf in tree_leaves(values) if isinstance(leaf, bool | int | float | str)]
    return xxhash.xxh3_128_digest(repr(plain).encode())


def save_all(path: Path, values: object) -> None:
    """Save the tensors in nested values, numbered in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        str(number): dense(each).cpu().contiguous().clone()
        for number, each in enumerate(tensors_in(values))
        if not each.is_meta
    }
    save_file(tensors, path)

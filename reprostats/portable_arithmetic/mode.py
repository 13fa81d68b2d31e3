"""The mode in which every operation of PyTorch has its portable form, or is refused by name."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _get_current_dispatch_mode_stack,
)

import reprostats.portable_arithmetic.operations  # noqa: F401 - fills the table
from reprostats.errors import InputError, UnportableError
from reprostats.portable_arithmetic.conformance import check_device, check_small_numbers
from reprostats.portable_arithmetic.exact import FLOAT64_BITS
from reprostats.portable_arithmetic.operations.lists import is_on_lists, one_by_one
from reprostats.portable_arithmetic.table import Rule, rule_of, takes_bits

_TYPES = {
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
}
_NEVER_TRIED = ("cpu", "meta")  # the first is tried on entering, the second has no numbers
_TORCH_FOLDER = str(Path(torch.__file__).parent)
_OUR_FOLDER = str(Path(__file__).parent)


class PortableMode(TorchDispatchMode):
    """Replace operations below PyTorch's autograd; networks and optimisers stay as they are.

    Parameters
    ----------
    operand_bits
        Bits that are kept of the operands of products, at least, from 2 to 53; None: as many as
        one exact product allows, 18 to 26.

    Raises
    ------
    InputError
        If ``operand_bits`` is no such number.
    """

    def __init__(self, operand_bits: int | None = None) -> None:
        if operand_bits is not None and not (
            isinstance(operand_bits, int) and 2 <= operand_bits <= FLOAT64_BITS  # noqa: PLR2004
        ):
            raise InputError(f"operand_bits is {operand_bits!r}; it is an integer from 2 to 53.")
        super().__init__()
        self.operand_bits = operand_bits

    # Whether a portable form is being computed in this thread. No value of the module: it would be
    # part of the identity of trials that use this mode, and it cannot be told from others.
    _busy = threading.local()

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the portable form of an operation."""
        kwargs = dict(kwargs or {})
        if getattr(self._busy, "rule", False):
            return func(*args, **kwargs)
        given = _flat((*args, *kwargs.values()))
        if is_without_data(given, kwargs):
            return func(*args, **kwargs)
        check_given(func, given)
        if is_on_lists(func):
            with self:
                return one_by_one(func, args, kwargs)
        rule = rule_of(func)
        if rule is None:
            return self._decomposed(func, args, kwargs)
        if takes_bits(func):
            kwargs["operand_bits"] = self.operand_bits
        return self._apply(func, rule, args, kwargs)

    def _apply(self, operation: OpOverload, rule: Rule, args: Any, kwargs: Any) -> Any:
        """Call a portable form; what it calls is not looked at by a portable mode around this."""
        self._busy.rule = True
        try:
            return rule(*args, **kwargs)
        except UnportableError as error:
            raise UnportableError(f"operation {operation}: {error} {called_at()}") from error
        finally:
            self._busy.rule = False

    def _decomposed(
        self, operation: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Take an operation apart if PyTorch says of what it consists, else refuse it."""
        with self:
            result = operation.decompose(*args, **kwargs)
        if result is NotImplemented:
            raise UnportableError(f"operation {operation} has no portable form. {called_at()}")
        return result


def current_mode() -> PortableMode | None:
    """Return the portable arithmetic that is in effect, or None."""
    modes = _get_current_dispatch_mode_stack()
    return next((mode for mode in reversed(modes) if isinstance(mode, PortableMode)), None)


def is_without_data(given: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Tell whether an operation is on PyTorch's meta device, which has shapes but no numbers."""
    device = kwargs.get("device")
    if device is not None:
        return torch.device(device).type == "meta"
    return any(isinstance(each, Tensor) and each.is_meta for each in given)


def check_given(operation: OpOverload, given: Sequence[Any]) -> None:
    """Refuse tensors whose numbers have no portable arithmetic.

    Raises
    ------
    UnportableError
        If a tensor is of half precision, sparse or quantised, or such a type is asked for, or if
        its device does not compute as IEEE 754 says.
    """
    for each in given:
        if isinstance(each, Tensor):
            if each.device.type not in _NEVER_TRIED:
                check_device(str(each.device))
            if each.dtype in _TYPES and each.layout is torch.strided:
                continue
            kind = f"{each.dtype}, {each.layout}"
        elif isinstance(each, torch.dtype) and each not in _TYPES:
            kind = str(each)
        else:
            continue
        raise UnportableError(
            f"operation {operation} is on numbers of type {kind}; portable arithmetic "
            f"has dense float32, float64, complex and integer tensors. {called_at()}"
        )


def _flat(values: Iterable[Any]) -> list[Any]:
    """Return arguments, those in lists one by one."""
    flat: list[Any] = []
    for each in values:
        flat += each if isinstance(each, list | tuple) else [each]
    return flat


def called_at() -> str:
    """Return a sentence that says which line of the user's code called PyTorch.

    In a backward pass, that is the line which started it.
    """
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith((_TORCH_FOLDER, _OUR_FOLDER)):
            return f"It was called at {frame.filename}, line {frame.lineno}: {frame.line}"
    return ""


@contextmanager
def portable(seed: int | None = None, *, operand_bits: int | None = None) -> Iterator[PortableMode]:
    """Compute with the same bits on every machine, whatever its processor and number of threads.

    Inside, every operation of PyTorch has a form whose result IEEE 754 leaves no choice about:
    forward, backward, in optimisers, in losses, and where random numbers are drawn. An operation
    that has none raises `UnportableError`; none is passed silently. What is not done by PyTorch
    in this process and thread, such as NumPy's functions or the processes of a data loader, is
    outside. A NaN is a NaN everywhere, but its sign is not settled. Functions that were compiled by
    ``torch.compile`` run as they were written.

    Parameters
    ----------
    seed
        Of PyTorch's global generator, from which layers draw their initial weights and dropout
        its masks. The generator has its old state afterwards. None: it is left as it is.
    operand_bits
        The accuracy of products (linear layers, convolutions, attention): bits that are kept of
        their operands, from 2 to 53, counted from the largest magnitude among the numbers that
        are multiplied and added into one result. None: as many as one exact product allows, 18
        to 26; float32 has 24. More than that takes 3 products, or 6.

    Raises
    ------
    InputError
        If ``operand_bits`` is no such number.
    UnportableError
        If an operation, or a type of number, has no portable form; or if this machine does not
        compute as IEEE 754 says, which is tried first; see
        `reprostats.portable_arithmetic.conformance`.

    Examples
    --------
    >>> with portable(seed=5):
    ...     layer = torch.nn.Linear(2, 1)
    ...     value = layer(torch.ones(1, 2)).item()
    >>> value
    -0.8113791942596436
    """
    check_small_numbers()
    check_device("cpu")
    with ExitStack() as stack:
        # Fused kernels hide the operations that they consist of.
        backends: list[Any] = [torch.backends.mkldnn, torch.backends.cudnn]
        for backend in backends:
            stack.callback(setattr, backend, "enabled", backend.enabled)
            backend.enabled = False
        stack.enter_context(torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH))
        stack.callback(
            torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled()
        )
        torch.backends.mha.set_fastpath_enabled(False)
        if seed is not None:
            stack.enter_context(torch.random.fork_rng(devices=[]))
            torch.default_generator.manual_seed(seed)  # and no GPU's
        mode = PortableMode(operand_bits)
        stack.enter_context(mode)
        yield mode

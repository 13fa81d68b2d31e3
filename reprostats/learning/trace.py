"""A trace of a training: a digest of what enters and leaves every module, step by step.

The trace is taken from outside, by hooks that PyTorch calls for every module and every optimiser,
so any training function can be traced as it is. Two traces are compared by
`reprostats.study.divergence`.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn
from torch.nn.modules import module as module_hooks
from torch.optim import optimizer as optimiser_hooks
from torch.utils.weak import WeakTensorKeyDictionary

from reprostats.learning.fingerprint import quick_digest, tensors_in
from reprostats.learning.operations import Operation, OperationTrace, save_all

Phase = Literal["initial", "input", "forward", "backward", "update", "evaluation", "end"]


class Event(NamedTuple):
    """One digest of a trace.

    Parameters
    ----------
    step
        Number of steps that optimisers had taken before, from 0.
    phase
        ``"initial"`` (weights when a network is first called), ``"input"``, ``"forward"``,
        ``"backward"``, ``"update"``, ``"evaluation"`` (a call without gradients), or ``"end"``
        (all weights of all networks that were called, when the training has ended).
    place
        Module or parameter, named from the class of the network down.
    what
        Which of its tensors.
    digest
        16 bytes; see `reprostats.learning.fingerprint.quick_digest`.
    """

    step: int
    phase: str
    place: str
    what: str
    digest: bytes


class TraceOptions(BaseModel):
    """What a trace takes down.

    Parameters
    ----------
    detail
        ``"step"``: one digest of all weights for every step; ``"module"``: every module, too.
    since
        First step of which modules are taken down.
    operations_at
        Step of which every operation is taken down, or None.
    stop_after
        Step after which the training is ended, or None.
    save_event, save_operation
        Number of the event and of the operation whose tensors are saved, or None.
    snapshots
        Steps after which all weights are saved.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    detail: Literal["step", "module"] = "module"
    since: int = 0
    operations_at: int | None = None
    stop_after: int | None = None
    save_event: int | None = None
    save_operation: int | None = None
    snapshots: tuple[int, ...] = ()


class TraceEnded(BaseException):
    """The step after which the trace was to end has been taken."""


@dataclass
class Trace:
    """What was taken down of one training.

    Parameters
    ----------
    events
        Digests of weights and modules, in the order in which they came about.
    operations
        Digests of single operations, in theirs.
    steps
        Number of steps that optimisers took.
    """

    events: list[Event] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    steps: int = 0


@contextmanager
def tracing(options: TraceOptions, folder: Path, trace: Trace | None = None) -> Iterator[Trace]:
    """Trace all training in a block; the block ends early where the options say so.

    Parameters
    ----------
    options
        What to take down.
    folder
        Where tensors are saved, if any are to be: ``event.safetensors``,
        ``operation.safetensors`` and ``step-N.safetensors``.

    trace
        What is appended to; by default a new one.

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> optimiser = torch.optim.SGD(layer.parameters(), 0.1)
    >>> with tracing(TraceOptions(), Path()) as trace:
    ...     layer(torch.ones(1, 2)).sum().backward()
    ...     optimiser.step()
    >>> [(event.phase, event.place, event.what) for event in trace.events]
    [('initial', 'Linear.weight', 'value'), ('initial', 'Linear.bias', 'value'),
     ('input', 'Linear', 'input 0'), ('forward', 'Linear', 'output'),
     ('backward', 'Linear.bias', 'gradient'), ('backward', 'Linear.weight', 'gradient'),
     ('update', 'Linear.weight', 'value'), ('update', 'Linear.bias', 'value'),
     ('end', 'Linear.weight', 'value'), ('end', 'Linear.bias', 'value')]
    """
    tracer = _Tracer(options, folder, Trace() if trace is None else trace)
    try:
        with tracer:
            yield tracer.trace
    except TraceEnded:
        pass


class _Tracer:
    """Hooks of one trace."""

    def __init__(self, options: TraceOptions, folder: Path, trace: Trace) -> None:
        self.options = options
        self.folder = folder
        self.trace = trace
        self._names: dict[int, str] = {}
        self._roots: dict[int, tuple[str, nn.Module]] = {}
        self._optimisers: dict[int, torch.optim.Optimizer] = {}
        self._watched: set[int] = set()
        self._depth = 0
        self._open: list[tuple[nn.Module, list[Any]]] = []
        self._last_output: tuple[weakref.ref[torch.Tensor], int] | None = None
        self._receivers: Any = WeakTensorKeyDictionary()
        self._hooks = ExitStack()
        self._operations = OperationTrace(
            self._where, self.trace.operations, options.save_operation, folder
        )

    def __enter__(self) -> None:
        register = [
            module_hooks.register_module_forward_pre_hook(self._before_forward),
            module_hooks.register_module_forward_hook(self._after_forward, always_call=True),
            optimiser_hooks.register_optimizer_step_pre_hook(self._before_step),
            optimiser_hooks.register_optimizer_step_post_hook(self._after_step),
        ]
        for handle in register:
            self._hooks.callback(handle.remove)
        traced = self.options.operations_at is not None
        self._hooks.enter_context(self._operations if traced else nullcontext())
        self._operations.active = self.options.operations_at == 0

    def __exit__(self, kind: object, *_: object) -> None:
        self._hooks.close()
        self._operations.active = False
        if kind is None:
            for top, root in self._roots.values():
                for name, tensor in _state(root):
                    self._note("end", f"{top}.{name}", "value", tensor)

    @property
    def _detailed(self) -> bool:
        return self.options.detail == "module" and self.trace.steps >= self.options.since

    def _where(self) -> tuple[str, str]:
        place = self._name(self._open[-1][0]) if self._open else ""
        return "update" if self._depth else "forward", place

    def _name(self, module: nn.Module) -> str:
        return self._names.get(id(module), type(module).__name__)

    def _note(self, phase: Phase, place: str, what: str, values: object) -> None:
        with self._operations.paused():
            if len(self.trace.events) == self.options.save_event:
                save_all(self.folder / "event.safetensors", values)
            event = Event(self.trace.steps, phase, place, what, quick_digest(values))
        self.trace.events.append(event)

    def _before_forward(self, module: nn.Module, inputs: Any) -> None:
        outermost = not self._open
        self._open.append((module, [each.grad_fn for each in tensors_in(inputs)]))
        if id(module) not in self._names:
            self._meet(self._open[0][0])
            parent = self._name(self._open[-2][0]) + "." if len(self._open) > 1 else ""
            self._names.setdefault(id(module), parent + type(module).__name__)
        if outermost:
            self._receivers = WeakTensorKeyDictionary()
            if self._detailed:
                for number, tensor in enumerate(tensors_in(inputs)):
                    self._note("input", self._name(module), f"input {number}", tensor)
        if self._detailed and torch.is_grad_enabled():
            for tensor in tensors_in(inputs):
                self._watch_gradient(tensor, self._name(module))

    def _meet(self, root: nn.Module) -> None:
        """Learn the names in a network when it is first called, or has got new modules."""
        if id(root) not in self._roots:
            same = sum(type(root) is type(each) for _, each in self._roots.values())
            self._roots[id(root)] = type(root).__name__ + (f" {same + 1}" if same else ""), root
        top, _ = self._roots[id(root)]
        for name, module in root.named_modules():
            self._names.setdefault(id(module), f"{top}.{name}".rstrip("."))
        for name, tensor in _state(root):
            if id(tensor) not in self._names:
                self._names[id(tensor)] = f"{top}.{name}"
                if not self.trace.steps or self._detailed:
                    self._note("initial", f"{top}.{name}", "value", tensor)
            if isinstance(tensor, nn.Parameter) and tensor.requires_grad:
                self._watch_parameter(tensor)

    def _watch_parameter(self, parameter: nn.Parameter) -> None:
        if self.options.detail != "module" or id(parameter) in self._watched:
            return
        self._watched.add(id(parameter))
        name = self._names[id(parameter)]

        def note(finished: torch.Tensor) -> None:
            if self._detailed:
                self._note("backward", name, "gradient", finished.grad)

        self._hooks.callback(parameter.register_post_accumulate_grad_hook(note).remove)

    def _watch_gradient(self, tensor: torch.Tensor, receiver: str) -> None:
        """Note the gradient of a tensor, as that of the input of the modules that receive it.

        Of modules within each other the innermost is named: its backward pass made it.
        """
        if not tensor.requires_grad or tensor.is_leaf:
            return
        version, receivers = self._receivers.get(tensor, (None, []))
        if version == _version(tensor):
            receivers[:] = [name for name in receivers if not receiver.startswith(f"{name}.")]
            receivers.append(receiver)
            return
        named = [receiver]
        self._receivers[tensor] = _version(tensor), named

        def note(gradient: torch.Tensor) -> None:
            self._note("backward", " and ".join(named), "gradient of input", gradient)

        tensor.register_hook(note)

    def _after_forward(self, module: nn.Module, _: Any, output: Any) -> None:
        _, before = self._open.pop()
        tensors = tensors_in(output)
        if tensors and torch.is_grad_enabled():
            self._operations.claim(before, tensors, self._name(module))
        if not self._detailed or self._is_last_output(tensors):
            return
        phase: Phase = "forward" if torch.is_grad_enabled() else "evaluation"
        self._note(phase, self._name(module), "output", tensors)
        alone = len(tensors) == 1
        self._last_output = (weakref.ref(tensors[0]), _version(tensors[0])) if alone else None

    def _is_last_output(self, tensors: list[torch.Tensor]) -> bool:
        """Tell whether a module gives on what a module within it gave, unchanged."""
        if self._last_output is None or len(tensors) != 1:
            return False
        seen, version = self._last_output
        return tensors[0] is seen() and _version(tensors[0]) == version

    def _before_step(self, *_: Any) -> None:
        self._depth += 1

    def _after_step(self, optimiser: torch.optim.Optimizer, *_: Any) -> None:
        """Note what a step made; an optimiser within an optimiser takes no step of its own."""
        self._depth -= 1
        self._optimisers[id(optimiser)] = optimiser
        if self._depth:
            return
        if self._detailed:
            for name, tensor in [*self._weights(optimiser), *self._buffers()]:
                self._note("update", name, "value", tensor)
        elif self.options.detail == "step":
            self._note("update", "all weights", "value", [each for _, each in self._all()])
        if self.trace.steps in self.options.snapshots:
            with self._operations.paused():
                path = self.folder / f"step-{self.trace.steps}.safetensors"
                save_all(path, [each for _, each in self._all()])
        self.trace.steps += 1
        if self.trace.steps - 1 == self.options.stop_after:
            raise TraceEnded
        self._operations.active = self.trace.steps == self.options.operations_at

    def _weights(self, optimiser: torch.optim.Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
        for number, group in enumerate(optimiser.param_groups):
            for place, each in enumerate(group["params"]):
                yield self._names.get(id(each), f"group {number}, parameter {place}"), each

    def _buffers(self) -> Iterator[tuple[str, torch.Tensor]]:
        for top, root in self._roots.values():
            for name, buffer in root.named_buffers():
                yield f"{top}.{name}", buffer

    def _all(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Return the weights of every optimiser that took a step, and all buffers."""
        for optimiser in self._optimisers.values():
            yield from self._weights(optimiser)
        yield from self._buffers()


def _version(tensor: torch.Tensor) -> int:
    """Count the changes in place; tensors made in inference mode do not count them."""
    return -1 if tensor.is_inference() else tensor._version


def _state(module: nn.Module) -> Iterable[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]

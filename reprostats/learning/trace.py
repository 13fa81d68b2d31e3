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

Phase = Literal["initial", "input", "forward", "backward", "update", "evaluation"]


class Event(NamedTuple):
    """One digest of a trace.

    Parameters
    ----------
    step
        Number of steps that optimisers had taken before, from 0.
    phase
        ``"initial"`` (weights when a network is first called), ``"input"``, ``"forward"``,
        ``"backward"``, ``"update"``, or ``"evaluation"`` (a call without gradients).
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
def tracing(options: TraceOptions, folder: Path) -> Iterator[Trace]:
    """Trace all training in a block; the block ends early where the options say so.

    Parameters
    ----------
    options
        What to take down.
    folder
        Where tensors are saved: ``event.safetensors``, ``operation.safetensors`` and
        ``step-N.safetensors``.

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
     ('update', 'Linear.weight', 'value'), ('update', 'Linear.bias', 'value')]
    """
    tracer = _Tracer(options, folder)
    try:
        with tracer:
            yield tracer.trace
    except TraceEnded:
        pass


class _Tracer:
    """Hooks of one trace."""

    def __init__(self, options: TraceOptions, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.trace = Trace()
        self._names: dict[int, str] = {}
        self._roots: list[nn.Module] = []
        self._open: list[tuple[nn.Module, list[Any]]] = []
        self._updating = False
        self._last_output: weakref.ref[torch.Tensor] | None = None
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

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    @property
    def _detailed(self) -> bool:
        return self.options.detail == "module" and self.trace.steps >= self.options.since

    def _where(self) -> tuple[str, str]:
        place = self._name(self._open[-1][0]) if self._open else ""
        return "update" if self._updating else "forward", place

    def _name(self, module: nn.Module) -> str:
        return self._names.get(id(module), type(module).__name__)

    def _note(self, phase: Phase, place: str, what: str, values: object) -> None:
        with self._operations.paused():
            if len(self.trace.events) == self.options.save_event:
                save_all(self.folder / "event.safetensors", values)
            event = Event(self.trace.steps, phase, place, what, quick_digest(values))
        self.trace.events.append(event)

    def _before_forward(self, module: nn.Module, inputs: Any) -> None:
        if not self._open:
            self._receivers = WeakTensorKeyDictionary()
            self._meet(module)
            if self._detailed:
                for number, tensor in enumerate(tensors_in(inputs)):
                    self._note("input", self._name(module), f"input {number}", tensor)
        self._open.append((module, [each.grad_fn for each in tensors_in(inputs)]))
        if self._detailed and torch.is_grad_enabled():
            for tensor in tensors_in(inputs):
                self._watch_gradient(tensor, self._name(module))

    def _meet(self, root: nn.Module) -> None:
        """Learn the names of a network when it is first called."""
        if any(root is each for each in self._roots):
            return
        self._roots.append(root)
        same = sum(type(root) is type(each) for each in self._roots)
        top = type(root).__name__ + (f" {same}" if same > 1 else "")
        for name, module in root.named_modules():
            self._names[id(module)] = f"{top}.{name}".rstrip(".")
        for name, parameter in root.named_parameters():
            self._names[id(parameter)] = f"{top}.{name}"
            if parameter.requires_grad and self.options.detail == "module":
                self._watch_parameter(parameter, f"{top}.{name}")
        if not self.trace.steps or self._detailed:
            for name, tensor in _state(root):
                self._note("initial", f"{top}.{name}", "value", tensor)

    def _watch_parameter(self, parameter: nn.Parameter, name: str) -> None:
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
        if version == tensor._version:
            receivers[:] = [name for name in receivers if not receiver.startswith(f"{name}.")]
            receivers.append(receiver)
            return
        named = [receiver]
        self._receivers[tensor] = tensor._version, named

        def note(gradient: torch.Tensor) -> None:
            self._note("backward", " and ".join(named), "gradient of input", gradient)

        tensor.register_hook(note)

    def _after_forward(self, module: nn.Module, _: Any, output: Any) -> None:
        _, before = self._open.pop()
        tensors = tensors_in(output)
        if tensors and torch.is_grad_enabled():
            self._operations.claim(before, tensors, self._name(module))
        seen = self._last_output and self._last_output()
        if not self._detailed or (len(tensors) == 1 and tensors[0] is seen):
            return
        phase: Phase = "forward" if torch.is_grad_enabled() else "evaluation"
        self._note(phase, self._name(module), "output", tensors)
        self._last_output = weakref.ref(tensors[0]) if len(tensors) == 1 else None

    def _before_step(self, *_: Any) -> None:
        self._updating = True

    def _after_step(self, optimiser: torch.optim.Optimizer, *_: Any) -> None:
        self._updating = False
        if self._detailed:
            for name, tensor in self._weights(optimiser):
                self._note("update", name, "value", tensor)
        elif self.options.detail == "step":
            self._note("update", "all weights", "value", [each for _, each in self._all(optimiser)])
        if self.trace.steps in self.options.snapshots:
            path = self.folder / f"step-{self.trace.steps}.safetensors"
            with self._operations.paused():
                save_all(path, [each for _, each in self._weights(optimiser)])
        if self.trace.steps == self.options.stop_after:
            raise TraceEnded
        self.trace.steps += 1
        self._operations.active = self.trace.steps == self.options.operations_at

    def _weights(self, optimiser: torch.optim.Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
        for number, group in enumerate(optimiser.param_groups):
            for place, each in enumerate(group["params"]):
                yield self._names.get(id(each), f"group {number}, parameter {place}"), each

    def _all(self, optimiser: torch.optim.Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
        yield from self._weights(optimiser)
        for root in self._roots:
            yield from root.named_buffers()


def _state(module: nn.Module) -> Iterable[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]

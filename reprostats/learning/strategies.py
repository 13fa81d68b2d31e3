"""Who computes the gradient of a batch: one worker, several, or one that acts for several.

In data-parallel training every worker holds the same weights, computes the gradient of its part of
the batch, and takes the same step with the mean of all gradients. docs/data_parallel.md gives the
mathematics and says what is equal to the bit.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import distributed, nn
from torch.distributed import GradBucket  # type: ignore[attr-defined]
from torch.nn.parallel import DistributedDataParallel

from reprostats.errors import InputError
from reprostats.learning.distributed import connection_guard

_COMMUTES = 2  # numbers of which a sum does not depend on the order
RandomStates = dict[str, torch.Tensor]


class LossOf(Protocol):
    """Computes the mean loss of a part of a batch; of the whole batch, if no part is given."""

    def __call__(self, part: slice | None = None) -> torch.Tensor:
        """Run the network forward and give its loss, with history."""


class Part(NamedTuple):
    """What one worker takes of a batch.

    Attributes
    ----------
    where
        Its samples.
    weight
        Of its mean loss, so that the mean over workers is the mean over the batch.
    """

    where: slice
    weight: float


def parts(size: int, world_size: int) -> list[Part]:
    """Divide a batch among workers, in order of rank and as equally as possible.

    In a batch with fewer samples than workers, those who get none take the first sample with
    weight 0: they stay in step with the others and contribute nothing.

    Parameters
    ----------
    size
        Samples in the batch.
    world_size
        Number of workers.

    Examples
    --------
    >>> [(part.where.start, part.where.stop, round(part.weight, 3)) for part in parts(5, 2)]
    [(0, 3, 1.2), (3, 5, 0.8)]
    >>> [(part.where.start, part.where.stop, round(part.weight, 3)) for part in parts(1, 2)]
    [(0, 1, 2.0), (0, 1, 0.0)]
    """
    fewest, left = divmod(size, world_size)
    shares, start = [], 0
    for rank in range(world_size):
        count = fewest + (rank < left)
        where = slice(start, start + count) if count else slice(0, 1)
        shares.append(Part(where, count * world_size / size))
        start += count
    return shares


class Strategy(ABC):
    """How the gradient of a batch is computed. Derive from it to add one's own.

    Attributes
    ----------
    world_size
        Number of workers, real or virtual; a step takes so many times the batch size.
    rank
        Of the worker that this process is; it alone writes files if it is 0.
    """

    world_size: int = 1
    rank: int = 0

    def prepare(self, model: nn.Module) -> nn.Module:
        """Get ready to train a network, and give what is to be called in its place."""
        return model

    @abstractmethod
    def backward(self, size: int, loss_of: LossOf) -> torch.Tensor:
        """Leave the gradient of a batch's mean loss in the parameters.

        Parameters
        ----------
        size
            Samples in the batch.
        loss_of
            Computes the loss of a part of it.

        Returns
        -------
        torch.Tensor
            The mean loss, a scalar without history, the same on every worker.
        """

    def share(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return worker 0's tensor to all: of the same type and shape everywhere."""
        return tensor

    def settle(self, model: nn.Module) -> None:  # noqa: B027 - one process has nothing to do
        """Make the network the same on all workers, running statistics included."""

    def random_states(self, device: torch.device) -> list[RandomStates]:
        """Return the states of the global generators of every worker, in order of rank."""
        return [global_states(device)]

    def set_random_states(self, states: list[RandomStates], device: torch.device) -> None:
        """Go on with states that `random_states` gave."""
        set_global_states(states[self.rank], device)


class Single(Strategy):
    """One worker takes the whole batch."""

    def backward(self, size: int, loss_of: LossOf) -> torch.Tensor:  # noqa: ARG002
        """Compute the loss of the whole batch, and its gradient."""
        value = loss_of()
        value.backward()
        return value.detach()


SINGLE = Single()


class VirtualWorkers(Strategy):
    """One process does the work of several, one after the other: slower, but exact.

    Each virtual worker normalises with the statistics of its own part and draws dropout from its
    own stream; only the part of worker 0 moves running statistics. Gradients are summed in order of
    rank. So `DistributedWorkers` give the same weights to the bit, unless they sum in a ring.

    Parameters
    ----------
    world_size
        Number of workers.

    Raises
    ------
    InputError
        If there is not at least one worker.

    Examples
    --------
    >>> model, inputs = nn.Linear(2, 1), torch.ones(4, 2)
    >>> strategy = VirtualWorkers(2)
    >>> forward = strategy.prepare(model)
    >>> strategy.backward(4, lambda part: forward(inputs[part]).mean()).ndim
    0
    >>> model.weight.grad.tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, world_size: int) -> None:
        if world_size < 1:
            raise InputError(f"{world_size} workers; need at least 1.")
        self.world_size = world_size
        self._model: nn.Module = nn.Identity()
        self._states: list[RandomStates] = []

    def prepare(self, model: nn.Module) -> nn.Module:
        """Return every worker a stream of its own; the network itself is called."""
        self._model = model
        first = global_states(_device_of(model))
        self._states = [states_of_worker(first, rank) for rank in range(self.world_size)]
        return model

    def backward(self, size: int, loss_of: LossOf) -> torch.Tensor:
        """Sum the gradients of all parts, each divided by the number of workers."""
        parameters = [each for each in self._model.parameters() if each.requires_grad]
        totals: dict[nn.Parameter, torch.Tensor] = {}
        losses = []
        for part in self._in_turn(size):
            value = _weighted(loss_of(part.where), part.weight)
            value.backward()
            losses.append(value.detach())
            _move_gradients(parameters, totals, 1 / self.world_size)
        for parameter, total in totals.items():
            parameter.grad = total
        return torch.stack(losses).mean()

    def _in_turn(self, size: int) -> Iterator[Part]:
        """Return each worker's part, with the generators and buffers that the worker has then."""
        before = _copies(self._model.buffers())
        after = before
        for rank, part in enumerate(parts(size, self.world_size)):
            with self._streams_of(rank):
                yield part
            if rank == 0:
                after = _copies(self._model.buffers())
            _restore(self._model, before if rank + 1 < self.world_size else after)

    @contextmanager
    def _streams_of(self, rank: int) -> Iterator[None]:
        """Let the global generators be a worker's; between the turns they are worker 0's."""
        if rank == 0:
            yield
            return
        device = _device_of(self._model)
        of_first = global_states(device)
        set_global_states(self._states[rank], device)
        yield
        self._states[rank] = global_states(device)
        set_global_states(of_first, device)

    def random_states(self, device: torch.device) -> list[RandomStates]:
        """Return the states of every virtual worker."""
        return [global_states(device), *self._states[1:]]

    def set_random_states(self, states: list[RandomStates], device: torch.device) -> None:
        """Go on with the states of every virtual worker."""
        self._states = states
        set_global_states(states[0], device)


class DistributedWorkers(Strategy):
    """One process for each worker, joined by PyTorch's DistributedDataParallel.

    Use it within `reprostats.learning.distributed.start`, in processes that torchrun started.

    Parameters
    ----------
    reduction
        How gradients are summed over workers. ``"ring"``: by an all-reduce, while the backward
        pass goes on; from three workers on, the order of the sum, and with it the last bits,
        depends on where in a bucket a gradient lies. ``"rank_order"``: always from worker 0 to the
        last, as virtual workers do, but not at the same time as the backward pass. None: the ring
        for up to two workers, where both give the same bits, and rank order for more.
    **options
        Of DistributedDataParallel, such as ``find_unused_parameters=True``.

    Raises
    ------
    InputError
        If there is no process group.
    """

    def __init__(
        self, reduction: Literal["ring", "rank_order"] | None = None, **options: Any
    ) -> None:
        if not distributed.is_initialized():
            raise InputError(
                "this process has not been joined to other workers; start it with torchrun and use "
                "the strategy within reprostats.learning.distributed.start()."
            )
        self.world_size = distributed.get_world_size()
        self.rank = distributed.get_rank()
        self.reduction = reduction or ("ring" if self.world_size <= _COMMUTES else "rank_order")
        self.options = options

    def prepare(self, model: nn.Module) -> nn.Module:
        """Take weights and buffers of worker 0, and give each worker a stream of its own."""
        with connection_guard():
            parallel = DistributedDataParallel(model, **self.options)
        if self.reduction == "rank_order":
            # The lambda has no annotations: DDP refuses those that are text.
            parallel.register_comm_hook(None, lambda _, bucket: _sum_in_rank_order(bucket))
        device = _device_of(model)
        first = global_states(device)
        shared = {name: self.share(state) for name, state in first.items()}
        set_global_states(states_of_worker(shared, self.rank), device)
        return parallel

    def backward(self, size: int, loss_of: LossOf) -> torch.Tensor:
        """Compute the gradient of this worker's part; it is averaged on the way."""
        part = parts(size, self.world_size)[self.rank]
        with connection_guard():
            value = _weighted(loss_of(part.where), part.weight)
            value.backward()
        return torch.stack(self._gather(value.detach())).mean()

    def share(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return worker 0's tensor to all."""
        here = tensor.to(_communication_device()).contiguous()
        with connection_guard():
            distributed.broadcast(here, 0)
        return here.to(tensor.device)

    def settle(self, model: nn.Module) -> None:
        """Return worker 0's running statistics to all, as before every forward pass."""
        with torch.no_grad():
            for buffer in model.buffers():
                buffer.copy_(self.share(buffer))

    def random_states(self, device: torch.device) -> list[RandomStates]:
        """Collect the states of every worker."""
        own = global_states(device)
        collected = {name: self._gather(state) for name, state in own.items()}
        return [{name: collected[name][rank] for name in own} for rank in range(self.world_size)]

    def _gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """Return the tensor of every worker, in order of rank."""
        here = tensor.to(_communication_device())
        gathered = [torch.empty_like(here) for _ in range(self.world_size)]
        with connection_guard():
            distributed.all_gather(gathered, here)
        return [each.to(tensor.device) for each in gathered]


def global_states(device: torch.device) -> RandomStates:
    """Read PyTorch's global generators: that of the CPU, and that of a CUDA device in use."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_global_states(states: RandomStates, device: torch.device) -> None:
    """Let PyTorch's global generators go on from the states that were read."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def states_of_worker(states: RandomStates, rank: int) -> RandomStates:
    """Derive from worker 0's states those that another worker starts with.

    Worker 0 goes on with its own, so that one worker draws what a single process draws. The seed
    of another is the first 8 bytes of a SHA-256 of worker 0's state and of its rank.

    Examples
    --------
    >>> states = {"cpu": torch.Generator().manual_seed(1).get_state()}
    >>> one, other = (states_of_worker(states, rank)["cpu"] for rank in (1, 2))
    >>> torch.equal(one, other), torch.equal(one, states_of_worker(states, 1)["cpu"])
    (False, True)
    """
    if rank == 0:
        return states
    derived = {}
    for device, state in states.items():
        digest = hashlib.sha256(state.numpy().tobytes() + f"worker {rank}".encode()).digest()
        generator = torch.Generator(device=device)
        generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        derived[device] = generator.get_state()
    return derived


def _weighted(value: torch.Tensor, weight: float) -> torch.Tensor:
    return value if weight == 1 else value * weight


def _move_gradients(
    parameters: list[nn.Parameter], totals: dict[nn.Parameter, torch.Tensor], share: float
) -> None:
    """Add the gradients, each times a share, to the totals, and remove them."""
    for parameter in parameters:
        if parameter.grad is not None:
            own = parameter.grad.mul_(share)
            totals[parameter] = totals[parameter].add_(own) if parameter in totals else own
            parameter.grad = None


def _sum_in_rank_order(bucket: GradBucket) -> torch.futures.Future[torch.Tensor]:
    """Average a bucket of gradients, adding from worker 0 to the last.

    Every worker sums one section of the bucket, which all others send it, and sends the sum to
    all: as many bytes as in a ring.
    """
    gradient, world_size = bucket.buffer(), distributed.get_world_size()
    length = -(-len(gradient) // world_size)
    sections = gradient.new_zeros(length * world_size)
    torch.mul(gradient, 1 / world_size, out=sections[: len(gradient)])
    received = torch.empty_like(sections)
    distributed.all_to_all_single(received, sections)
    total, *others = received.split(length)
    for other in others:
        total.add_(other)
    distributed.all_gather(list(sections.split(length)), total)
    done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    done.set_result(sections[: len(gradient)])
    return done


def _copies(tensors: Iterator[torch.Tensor]) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


@torch.no_grad()
def _restore(model: nn.Module, saved: list[torch.Tensor]) -> None:
    for buffer, before in zip(model.buffers(), saved, strict=True):
        buffer.copy_(before)


def _device_of(model: nn.Module) -> torch.device:
    return next((each.device for each in model.parameters()), torch.device("cpu"))


def _communication_device() -> torch.device:
    """Return the device on which the process group sends: NCCL sends from GPUs only."""
    on_gpu = distributed.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")

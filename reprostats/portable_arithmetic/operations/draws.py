"""Random numbers made of integers, the same on every machine.

PyTorch's generators give the same integers everywhere, but what is made of them differs: between
a processor and a GPU, and between the instruction sets of one processor. Here a generator of
PyTorch gives two integers for each call, so that seeding, states and checkpoints mean what they
always do. They are the key of a Philox generator of NumPy, which promises its stream of integers
for good. Numbers are made of these integers by the arithmetic of this package. A device has no
share in it: a tensor on a GPU is drawn on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reprostats.errors import InputError, UnportableError
from reprostats.portable_arithmetic import elementary
from reprostats.portable_arithmetic.elementary import elementwise
from reprostats.portable_arithmetic.operations.arithmetic import divide
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
Size = Sequence[int]
_KEY_LIMIT = 2**63 - 1
_ROOT_HALF = 0.5**0.5
_BITS = {torch.float32: 24, torch.float64: 53}  # of a uniform number, so that it is below 1


class _Draw:
    """A stream of integers of 64 bits for one call.

    Parameters
    ----------
    generator
        PyTorch's, on the CPU; None: the global one.
    """

    def __init__(self, generator: torch.Generator | None) -> None:
        if generator is not None and generator.device.type != "cpu":
            raise UnportableError(
                f"a random generator on {generator.device} was given; its numbers differ from "
                "those of the CPU. Give one made by torch.Generator(), or none."
            )
        key = torch.randint(0, _KEY_LIMIT, (2,), generator=generator)
        self._stream = np.random.Philox(key=key.numpy().astype(np.uint64))

    def integers(self, count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Return unsigned integers of 64 bits."""
        drawn: np.ndarray[Any, np.dtype[np.uint64]] = self._stream.random_raw(count)
        return drawn

    def uniform(self, count: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return numbers from 0 to below 1, as float64 that ``dtype`` holds exactly."""
        bits = _BITS.get(dtype, 53)
        whole = torch.from_numpy((self.integers(count) >> np.uint64(64 - bits)).astype(np.float64))
        return whole.mul_(2.0**-bits)

    def normal(self, count: int) -> Tensor:
        """Return float64 numbers of mean 0 and variance 1, by Box and Muller's formula."""
        pairs = (count + 1) // 2
        above = 1 - self.uniform(pairs)  # from above 0 to 1
        radius = elementwise(_radius, above)
        angle = self.uniform(pairs)
        cosine = elementwise(lambda x, _: elementary.cos_of_turns(x), angle).mul_(radius)
        sine = elementwise(lambda x, _: elementary.sin_of_turns(x), angle).mul_(radius)
        return torch.cat([cosine, sine])[:count]


def _radius(share: Tensor, double: bool) -> Tensor:
    """Return how far from 0 the share of a normal pair lies."""
    return elementary.square_root(elementary.log(share, double).mul_(-2))


def _normal(generator: torch.Generator | None, number: int, dtype: torch.dtype) -> Tensor:
    """Return standard normal numbers; each part of complex ones has half of the variance."""
    draw = _Draw(generator)
    drawn = draw.normal(number)
    if not dtype.is_complex:
        return drawn
    return torch.complex(drawn.mul_(_ROOT_HALF), draw.normal(number).mul_(_ROOT_HALF))


def _placed(values: Tensor, shape: Size, **kind: Any) -> Tensor:
    """Return drawn numbers in a shape, type and place."""
    wanted = {"dtype": torch.get_default_dtype()} | {k: v for k, v in kind.items() if v is not None}
    wanted.pop("layout", None)
    pinned = wanted.pop("pin_memory", False)
    made = values.reshape(tuple(shape)).to(**wanted)
    return made.pin_memory() if pinned else made


def _number(shape: Size) -> int:
    return int(np.prod([int(length) for length in shape], dtype=np.int64))


@implements(aten.rand.default, aten.rand.generator)
def rand(size: Size, *, generator: torch.Generator | None = None, **kind: Any) -> Tensor:
    """Draw uniform numbers from 0 to below 1."""
    dtype = kind.get("dtype") or torch.get_default_dtype()
    draw, number = _Draw(generator), _number(size)
    drawn = draw.uniform(number, dtype.to_real())
    if dtype.is_complex:
        drawn = torch.complex(drawn, draw.uniform(number, dtype.to_real()))
    return _placed(drawn, size, **kind)


@implements(aten.randn.default, aten.randn.generator)
def randn(size: Size, *, generator: torch.Generator | None = None, **kind: Any) -> Tensor:
    """Draw standard normal numbers."""
    dtype = kind.get("dtype") or torch.get_default_dtype()
    return _placed(_normal(generator, _number(size), dtype), size, **kind)


def _like(values: Tensor, kind: dict[str, Any]) -> dict[str, Any]:
    kind.pop("memory_format", None)
    return {
        "dtype": kind.get("dtype") or values.dtype,
        "device": kind.get("device") or values.device,
    }


@implements(aten.rand_like.default)
def rand_like(values: Tensor, **kind: Any) -> Tensor:
    """Draw uniform numbers in the shape of a tensor."""
    return rand(values.shape, **_like(values, kind))


@implements(aten.randn_like.default)
def randn_like(values: Tensor, **kind: Any) -> Tensor:
    """Draw standard normal numbers in the shape of a tensor."""
    return randn(values.shape, **_like(values, kind))


@implements(aten.uniform_.default)
def uniform_(
    values: Tensor,
    low: float = 0.0,
    high: float = 1.0,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill with uniform numbers between two others."""
    drawn = _Draw(generator).uniform(values.numel(), values.dtype)
    return values.copy_(drawn.mul_(high - low).add_(low).reshape(values.shape))


@implements(aten.normal_.default)
def normal_(
    values: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill with normal numbers of a mean and a standard deviation."""
    drawn = _normal(generator, values.numel(), values.dtype)
    return values.copy_(drawn.mul_(std).add_(mean).reshape(values.shape))


@implements(
    aten.normal.Tensor_float,
    aten.normal.float_Tensor,
    aten.normal.Tensor_Tensor,
    aten.normal.float_float,
)
def normal(
    mean: Tensor | float,
    std: Tensor | float = 1.0,
    size: Size | None = None,
    *,
    generator: torch.Generator | None = None,
    **kind: Any,
) -> Tensor:
    """Draw normal numbers, each of a mean and a standard deviation of its own."""
    if size is not None:
        drawn = _Draw(generator).normal(_number(size)).mul_(std).add_(mean)
        return _placed(drawn, size, **kind)
    tensors = [each for each in (mean, std) if isinstance(each, Tensor)]
    shape = torch.broadcast_shapes(*(each.shape for each in tensors))
    drawn = _Draw(generator).normal(_number(shape)).reshape(shape).to(tensors[0].device)
    return (drawn * std).add_(mean).to(tensors[0].dtype)


@implements(aten.bernoulli_.float)
def bernoulli_(
    values: Tensor, p: float = 0.5, *, generator: torch.Generator | None = None
) -> Tensor:
    """Fill with 1, with a probability, and else 0."""
    if not 0 <= p <= 1:
        raise InputError(f"a probability is {p}; it is a number from 0 to 1.")
    drawn = _Draw(generator).uniform(values.numel()).reshape(values.shape)
    return values.copy_(drawn < p)


@implements(aten.bernoulli_.Tensor)
def bernoulli_of_(values: Tensor, p: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Fill with 1, each with a probability of its own, and else 0."""
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise InputError("a tensor of probabilities has elements that are not from 0 to 1.")
    drawn = _Draw(generator).uniform(values.numel()).reshape(values.shape).to(values.device)
    return values.copy_(drawn < p)


@implements(aten.bernoulli.default)
def bernoulli(p: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw 1, each with a probability of its own, and else 0."""
    return bernoulli_of_(torch.empty_like(p), p, generator=generator)


@implements(aten.bernoulli.p)
def bernoulli_like(values: Tensor, p: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw 1 with a probability, and else 0, in the shape of a tensor."""
    return bernoulli_(torch.empty_like(values), p, generator=generator)


@implements(aten.native_dropout.default)
def dropout(values: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """Set numbers to 0 with a probability and scale the others, as PyTorch does on the CPU."""
    if not train:
        return values.clone(), torch.ones_like(values, dtype=torch.bool)
    kept = bernoulli_(torch.empty_like(values), 1 - p)
    scaled = divide(kept, 1 - p) if p < 1 else kept
    return values * scaled, kept.bool()


@implements(aten.exponential_.default)
def exponential_(
    values: Tensor, lambd: float = 1.0, *, generator: torch.Generator | None = None
) -> Tensor:
    """Fill with numbers of the exponential distribution."""
    above = 1 - _Draw(generator).uniform(values.numel())
    drawn = divide(elementwise(elementary.log, above).neg_(), lambd)
    return values.copy_(drawn.reshape(values.shape))


def _integers(draw: _Draw, low: int, high: int, shape: Size) -> Tensor:
    """Return integers from low to below high; a remainder of 64 bits is even enough."""
    if high <= low:
        raise InputError(f"integers from {low} to below {high} were asked for: there are none.")
    remainders = draw.integers(_number(shape)) % np.uint64(high - low)
    return torch.from_numpy(remainders.astype(np.int64)).add_(low).reshape(tuple(shape))


@implements(aten.randint.default, aten.randint.generator)
def randint(
    high: int, size: Size, *, generator: torch.Generator | None = None, **kind: Any
) -> Tensor:
    """Draw integers from 0 to below a limit."""
    return randint_from(0, high, size, generator=generator, **kind)


@implements(aten.randint.low, aten.randint.low_generator)
def randint_from(
    low: int, high: int, size: Size, *, generator: torch.Generator | None = None, **kind: Any
) -> Tensor:
    """Draw integers from one limit to below another."""
    kind["dtype"] = kind.get("dtype") or torch.int64
    return _placed(_integers(_Draw(generator), low, high, size), size, **kind)


@implements(aten.randint_like.default)
def randint_like(values: Tensor, high: int, **kind: Any) -> Tensor:
    """Draw integers from 0 to below a limit, in the shape of a tensor."""
    return randint_from(0, high, values.shape, **_like(values, kind))


@implements(aten.randint_like.low_dtype)
def randint_like_from(values: Tensor, low: int, high: int, **kind: Any) -> Tensor:
    """Draw integers between limits, in the shape of a tensor."""
    return randint_from(low, high, values.shape, **_like(values, kind))


@implements(aten.random_.to)
def random_below_(values: Tensor, to: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Fill with integers from 0 to below a limit."""
    return values.copy_(_integers(_Draw(generator), 0, to, values.shape))


@implements(getattr(aten.random_, "from"))
def random_between_(
    values: Tensor, low: int, to: int | None, *, generator: torch.Generator | None = None
) -> Tensor:
    """Fill with integers between limits."""
    limit = _largest(values.dtype) + 1 if to is None else to
    return values.copy_(_integers(_Draw(generator), low, limit, values.shape))


@implements(aten.random_.default)
def random_(values: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Fill with integers from 0 on that the type holds, as loaders of data draw their seeds."""
    return random_between_(values, 0, None, generator=generator)


def _largest(dtype: torch.dtype) -> int:
    """Return the largest of the integers that a type holds one by one."""
    if dtype in _BITS:
        return 1 << _BITS[dtype]
    return 1 if dtype is torch.bool else torch.iinfo(dtype).max


@implements(aten.randperm.default, aten.randperm.generator)
def randperm(n: int, *, generator: torch.Generator | None = None, **kind: Any) -> Tensor:
    """Draw an order of the integers below a limit: that of as many random integers."""
    order = np.argsort(_Draw(generator).integers(n), kind="stable")
    kind["dtype"] = kind.get("dtype") or torch.int64
    return _placed(torch.from_numpy(order), (n,), **kind)


@implements(aten.multinomial.default)
def multinomial(
    weights: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw places with probabilities in proportion to their weights.

    Without replacement, each place waits for a time of the exponential distribution over its
    weight, and the first ones are taken.
    """
    rows = weights.detach().cpu().to(torch.float64).reshape(-1, weights.shape[-1]).numpy()
    if not np.isfinite(rows).all() or (rows < 0).any() or (rows.sum(axis=1) <= 0).any():
        raise UnportableError("weights of a draw must be finite, not negative, and not all 0.")
    draw, found = _Draw(generator), []
    for row in rows:
        if replacement:
            edges = np.cumsum(row)  # one after the other, in order
            found.append(
                np.searchsorted(edges, draw.uniform(num_samples).numpy() * edges[-1], "right")
            )
        else:
            waits = elementwise(elementary.log, 1 - draw.uniform(len(row))).neg_().numpy()
            with np.errstate(divide="ignore", invalid="ignore"):
                times = np.where(row > 0, waits / row, np.inf)
            found.append(np.argsort(times, kind="stable")[:num_samples])
    shape = (*weights.shape[:-1], num_samples)
    return torch.from_numpy(np.stack(found).astype(np.int64)).reshape(shape).to(weights.device)

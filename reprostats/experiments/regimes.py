"""The four regimes in which Alahmari et al. (2020) repeat a training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reprostats.seeds import seed_sequence
from reprostats.sources import Level, instruction_sets, seeds
from reprostats.sources.deterministic import PORTABLE
from reprostats.study.plan import Condition


class Regimes(BaseModel):
    """How a training is repeated.

    Parameters
    ----------
    trials
        Trials in each regime; 7 in the paper.
    seed
        The seed of the seeded regimes; 2019 in the paper.
    unseeded
        ``"planned"``: the regime without a fixed seed takes other seeds for every trial, drawn
        once from ``seed``, so that the whole notebook repeats. ``"os"``: the operating system
        draws them when a trial starts, as it does for a script that sets none.
    initialiser
        See `reprostats.models.initialisers`.
    adam
        The formula of Adam, ``"pytorch"`` or ``"keras"``; see `reprostats.learning.adam`.
    adam_epsilon
        What Adam adds to its denominator. The paper sets PyTorch's to the 1e-7 of Keras; that does
        not make it Keras's Adam, whose formula is another one.
    threads
        Threads of one operation in the regimes in which they are not varied.
    device
        Where tensors live: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    workers
        Trials at a time. Times are comparable only with one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int = Field(default=5, ge=2)
    seed: int = Field(default=2019, ge=0)
    unseeded: Literal["planned", "os"] = "planned"
    initialiser: Literal["glorot_uniform", "alahmari_equation_2", "pytorch"] = "glorot_uniform"
    adam: Literal["pytorch", "keras"] = "pytorch"
    adam_epsilon: float = Field(default=1e-7, gt=0)
    threads: int = Field(default=1, ge=1)
    device: str = "cpu"
    workers: int = Field(default=1, ge=1)

    def always(self) -> dict[str, Level]:
        """Return the levels that hold in every regime."""
        return {
            "initialiser": self.initialiser,
            "adam": self.adam,
            "adam_epsilon": self.adam_epsilon,
            "device": self.device,
        }


def regimes(parameters: Regimes) -> dict[str, Condition]:
    """Return the four regimes: what is fixed, what varies, how often.

    Examples
    --------
    >>> list(regimes(Regimes(trials=2)))
    ['unseeded', 'seeded', 'deterministic', 'other hardware']
    """
    seeded = {
        **parameters.always(),
        **seeds(parameters.seed),
        "threads": parameters.threads,
    }
    return {
        "unseeded": _unseeded(parameters),
        "seeded": Condition(seeded, repeats=parameters.trials),
        "deterministic": Condition({**seeded, "deterministic": True}, repeats=parameters.trials),
        "other hardware": on_other_hardware(seeded, parameters.trials),
    }


def portable_regime(parameters: Regimes) -> Condition:
    """Return the regime beside those of the paper: portable arithmetic, on other hardware.

    Examples
    --------
    >>> portable_regime(Regimes(trials=2)).fixed["deterministic"]
    'portable'
    """
    base = {**parameters.always(), **seeds(parameters.seed), "deterministic": PORTABLE}
    return on_other_hardware({**base, "threads": parameters.threads}, parameters.trials)


def drawn_seeds(seed: int, count: int) -> list[int]:
    """Draw seeds from one."""
    drawn = seed_sequence("unseeded", seed).generate_state(count)
    return [int(number) for number in drawn]


def on_other_hardware(base: Mapping[str, Level], count: int) -> Condition:
    """Hold the levels of a set-up on so much other hardware; see `other_hardware`."""
    setups = other_hardware(count, base)
    held = {name: level for name, level in base.items() if name not in setups[0]}
    return Condition(held, setups)


def other_hardware(count: int, base: Mapping[str, Level] | None = None) -> list[dict[str, Level]]:
    """List hardware on which a training can be run again, always in the same order.

    A processor offers pairs of a number of threads and an instruction set: one thread with each
    set, the best set first, then two threads with each.

    Parameters
    ----------
    count
        How many are wanted.
    base
        Levels of the set-up, among them ``device`` and ``threads``, that they shall differ from.
        The pair of its threads and the best instruction set is left out: the processor chooses
        that set by itself, so it is the same hardware. For a GPU, any pair on the processor is
        other hardware. None: no pair is left out.

    Examples
    --------
    >>> [setup["threads"] for setup in other_hardware(1)]
    [1]
    >>> other_hardware(1)[0] in other_hardware(5, {"device": "cpu", "threads": 1})
    False
    """
    pairs = _hardware_pairs()
    if base is None:
        return list(itertools.islice(pairs, count))
    if base["device"] != "cpu":
        # A processor has no convolutions of cuDNN to choose from.
        processor: dict[str, Level] = {"device": "cpu", "cudnn_benchmark": False}
        return [{**processor, **pair} for pair in itertools.islice(pairs, count)]
    same_kernels = {**next(_hardware_pairs()), "threads": base["threads"]}
    others = (pair for pair in pairs if pair != same_kernels)
    return list(itertools.islice(others, count))


def _hardware_pairs() -> Iterator[dict[str, Level]]:
    sets = [name for name in instruction_sets() if name != "native"] or ["native"]
    for threads in itertools.count(1):
        for name in reversed(sets):
            yield {"threads": threads, "isa": name}


def _unseeded(parameters: Regimes) -> Condition:
    fixed: dict[str, Level] = {**parameters.always(), "threads": parameters.threads}
    if parameters.unseeded == "os":
        return Condition({**fixed, **seeds("os")}, repeats=parameters.trials)
    return Condition(
        fixed, [seeds(number) for number in drawn_seeds(parameters.seed, parameters.trials)]
    )

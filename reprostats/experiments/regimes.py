"""The four regimes in which Alahmari et al. (2020) repeat a training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reprostats.seeds import seed_sequence
from reprostats.sources import Level, instruction_sets, seeds
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
    adam_epsilon
        Of Adam; the paper adapts PyTorch's to that of Keras.
    threads
        Threads of one operation in the regimes in which they are not varied.
    device
        Where tensors live: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    workers
        Trials at a time. Times are comparable only with one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int = Field(default=7, ge=2)
    seed: int = Field(default=2019, ge=0)
    unseeded: Literal["planned", "os"] = "planned"
    initialiser: Literal["glorot_uniform", "alahmari_equation_2", "pytorch"] = "glorot_uniform"
    adam_epsilon: float = Field(default=1e-7, gt=0)
    threads: int = Field(default=1, ge=1)
    device: str = "cpu"
    workers: int = Field(default=1, ge=1)

    def always(self) -> dict[str, Level]:
        """Give the levels that hold in every regime."""
        return {
            "initialiser": self.initialiser,
            "adam_epsilon": self.adam_epsilon,
            "device": self.device,
        }


def regimes(parameters: Regimes) -> dict[str, Condition]:
    """Give the four regimes: what is fixed, what varies, how often.

    Examples
    --------
    >>> list(regimes(Regimes(trials=2)))
    ['unseeded', 'seeded', 'deterministic', 'other hardware']
    """
    always = parameters.always()
    seeded = {**always, **seeds(parameters.seed), "threads": parameters.threads}
    return {
        "unseeded": _unseeded(parameters),
        "seeded": Condition(seeded, repeats=parameters.trials),
        "deterministic": Condition({**seeded, "deterministic": True}, repeats=parameters.trials),
        "other hardware": Condition(
            {**always, **seeds(parameters.seed)}, other_hardware(parameters.trials)
        ),
    }


def drawn_seeds(seed: int, count: int) -> list[int]:
    """Draw seeds from one."""
    drawn = seed_sequence("unseeded", seed).generate_state(count)
    return [int(number) for number in drawn]


def other_hardware(count: int) -> list[dict[str, Level]]:
    """Give the first pairs of a number of threads and an instruction set: 1 with each, 2 with..."""
    sets = [name for name in instruction_sets() if name != "native"] or ["native"]
    pairs: Iterator[tuple[int, str]] = (
        (n, name) for n in itertools.count(1) for name in reversed(sets)
    )
    return [{"threads": threads, "isa": name} for threads, name in itertools.islice(pairs, count)]


def _unseeded(parameters: Regimes) -> Condition:
    fixed: dict[str, Level] = {**parameters.always(), "threads": parameters.threads}
    if parameters.unseeded == "os":
        return Condition({**fixed, **seeds("os")}, repeats=parameters.trials)
    return Condition(
        fixed, [seeds(number) for number in drawn_seeds(parameters.seed, parameters.trials)]
    )

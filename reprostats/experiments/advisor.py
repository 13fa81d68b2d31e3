"""What to change next when many workers cost accuracy: Guedria's guideline, automated.

The flow chart of the thesis (section 6.3.3 and Figure 6.3) has five actions, in order: lower the
initial rate, raise the coefficient of the decay, lengthen the warm-up, lengthen the decay phase,
change the optimiser. An action is repeated while it improves the result; when it does not, the next
one is taken; when the baseline is reached, the training is done again to confirm. With fewer
workers than 12 the defaults are trained directly.

The thesis judges each action by one training. Here an iteration is several trainings with seeds of
their own, the same in every iteration, and is judged seed by seed. The rules:

1. *Improved, degraded.* An iteration is compared with the best so far by a paired t test of each
   metric, with p values adjusted over the metrics (Holm). The first metric in order of priority
   that shows a difference decides. If none does, the outcome is *undetermined*.
2. *What happens.* Improved: the iteration is the best so far and the action is repeated on it.
   Degraded or undetermined: the change is taken back and the next action is applied to the best so
   far.
3. *Diverged trainings* count before all metrics: fewer than in the best so far is improved, more is
   degraded. With as many, the seeds that completed in both iterations are compared; where fewer
   than two did, the outcome is *diverged*, and the action is repeated on this iteration, since
   nothing is known to be better.
4. *Non-inferior to the baseline*: no training diverged, and the lower limit of the interval of the
   difference to the baseline lies above minus the margin, for the metric of first priority. With a
   margin of 0 the baseline is surpassed.
5. *Confirmation.* The same settings are trained with other seeds, new ones for each confirmation,
   and rule 4 is asked again. If the answer is yes, tuning has ended; if not, it goes on where it
   was. The reason of the end says how many confirmations were tried: each is another chance.
6. Actions that would leave the bounds, or lead to settings that were tried, are passed over. Every
   other optimiser is tried in turn, from the best settings so far.

S. Guedria: A scalable and component-based deep learning parallelism platform: an application to
convolutional neural networks for medical imaging segmentation. Thesis, Grenoble (2020), HAL
tel-03011791.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from reprostats.errors import InputError
from reprostats.experiments.advisor_guideline import Action, Guideline, Proposal, Settings
from reprostats.experiments.advisor_judgement import (
    MIN_REPEATS,
    Iteration,
    Values,
    count_diverged,
    is_noninferior,
    judge,
    to_baseline,
)

Ending = Literal["confirmed", "trained directly", "nothing left", "iterations used up"]

_TUNING: tuple[Action, ...] = get_args(Action)[1:-1]
_IN_WORDS: dict[Action, str] = {
    "defaults": "Apply default parameters",
    "lower_rate": "Decrease the initial rate",
    "raise_decay": "Increase the decay coefficient",
    "lengthen_warmup": "Increase the warm-up period",
    "lengthen_decay": "Increase the decay phase period",
    "change_optimiser": "Change the optimiser",
    "confirm": "Confirm with other seeds",
}
_NOT_SHOWN = "non-inferiority to the baseline is not shown"


class Done(BaseModel):
    """The end of the tuning.

    Parameters
    ----------
    ending
        ``"confirmed"``: non-inferior to the baseline, also with other seeds. ``"trained
        directly"``: there are too few workers to tune. ``"nothing left"``: all actions were taken.
        ``"iterations used up"``: no more iterations are allowed.
    settings
        The best that were reached.
    reason
        In words, with the number of confirmations that were tried, if any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ending: Ending
    settings: Settings
    reason: str


class History(BaseModel):
    """A tuning so far: all that the next step depends on, and nothing else.

    It is kept as JSON (``history.model_dump_json()``) and read with
    ``History.model_validate_json``, so that a tuning can be stopped and resumed.

    Parameters
    ----------
    guideline
        The rules of this tuning.
    iterations
        In order.

    Examples
    --------
    >>> history = History(guideline=Guideline(start=Settings(), epochs=100, world_size=18))
    >>> step = next_step(history)
    >>> step.action, step.settings.learning_rate
    ('defaults', 1e-05)
    >>> worse, baseline = ({name: (value, value + 0.01) for name in history.guideline.metrics}
    ...                    for value in (0.76, 0.81))
    >>> next_step(history.followed_by(step, worse, baseline)).reason
    'non-inferiority to the baseline is not shown'
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    guideline: Guideline
    iterations: tuple[Iteration, ...] = ()

    def followed_by(self, proposal: Proposal, values: Values, baseline: Values) -> History:
        """Add one more iteration.

        Parameters
        ----------
        proposal
            What `next_step` proposed.
        values, baseline
            By metric, one value for each repeat; see `Iteration`.

        Raises
        ------
        InputError
            If the proposal is another than that of `next_step`, a metric of the guideline is
            missing, repeats differ in number, there are fewer than 2, or the baseline diverged.
        """
        if proposal != (wanted := next_step(self)):
            raise InputError(f"the next step is {wanted!r}, not {proposal!r}.")
        for name, part in (("iteration", values), ("baseline", baseline)):
            _check_values(part, self.guideline.metrics, name)
        _check_seeds(self, proposal, _repeats(values), _repeats(baseline))
        _check_baseline(self.guideline, baseline)
        iteration = Iteration(
            proposal=proposal,
            values={name: tuple(map(float, part)) for name, part in values.items()},
            baseline={name: tuple(map(float, part)) for name, part in baseline.items()},
        )
        return self.model_copy(update={"iterations": (*self.iterations, iteration)})

    def checked(self) -> History:
        """Follow the iterations again from the first, and refuse them if the rules differ.

        Raises
        ------
        InputError
            As `followed_by`; it names the iteration. A history that was read from a file may be
            one of other rules, or damaged.
        """
        history = History(guideline=self.guideline)
        for number, iteration in enumerate(self.iterations):
            try:
                history = history.followed_by(
                    iteration.proposal, iteration.values, iteration.baseline
                )
            except InputError as error:
                raise InputError(
                    f"iteration {number} does not follow from its guideline: {error}"
                ) from None
        return history

    def table(self) -> pd.DataFrame:
        """Make the log of the tuning, one row for each iteration.

        Returns
        -------
        pandas.DataFrame
            ``iteration``, ``action`` (in the words of the thesis' Tables 6.1 to 6.10), the
            settings, ``repeats``, ``diverged``, the mean of every metric, ``outcome`` (against the
            best iteration before it; of a confirmation, whether it confirms), ``metric``,
            ``difference``, ``ci_low``, ``ci_high`` and ``p_adjusted`` of that outcome,
            ``to_baseline``, ``to_baseline_low``, ``to_baseline_high`` (of the metric of first
            priority), ``noninferior`` and ``reason``; a last row has the means of the baseline.
        """
        rows = [_row(self, number) for number in range(len(self.iterations))]
        if not rows:
            return pd.DataFrame()
        baseline = {"action": "Baseline", **_means(self.iterations[0].baseline)}
        return pd.DataFrame([*rows, baseline]).astype({"iteration": "Int64", "repeats": "Int64"})


def next_step(history: History) -> Proposal | Done:
    """Say what to train next, or that tuning has ended; the rules are those of this module.

    The answer depends on the history alone: the same history has the same next step.
    """
    rules, iterations = history.guideline, history.iterations
    if not iterations:
        return Proposal(
            iteration=0, action="defaults", settings=rules.start, reason="where tuning starts"
        )
    last = iterations[-1]
    settings = last.proposal.settings
    if rules.world_size < rules.min_world_size:
        reason = f"below {rules.min_world_size} workers"
        return _done(history, "trained directly", rules.start, reason)
    noninferior = is_noninferior(rules, last)
    if last.proposal.action == "confirm" and noninferior:
        reason = "non-inferior to the baseline, also with other seeds"
        return _done(history, "confirmed", settings, reason)
    if len(iterations) >= rules.max_iterations:
        best = _standing(history)[0].proposal.settings
        return _done(history, "iterations used up", best, f"{len(iterations)} iterations were made")
    if noninferior:
        return _proposal(history, "confirm", settings, "non-inferior to the baseline")
    return _tuned(history)


def tune(
    evaluate: Callable[[Proposal], tuple[Values, Values]],
    guideline: Guideline,
    *,
    history: History | None = None,
    keep: Callable[[History], object] | None = None,
) -> tuple[History, Done]:
    """Follow the guideline to its end.

    Parameters
    ----------
    evaluate
        Trains with the settings of a proposal and returns the values by metric, one for each
        repeat, of the training and of the baseline with the same seeds. A confirmation takes seeds
        of its own. If it goes through a `Study`, completed trainings are not done again.
    guideline
        The rules.
    history
        Of a tuning that was stopped; it is checked and goes on.
    keep
        Called with the history after every iteration, for instance to write it.

    Raises
    ------
    InputError
        If the history is one of other rules, or as `History.followed_by`.

    Examples
    --------
    The best rate is 0.025; the baseline has 0.9 there:

    >>> def evaluate(proposal):
    ...     quality = 0.9 - abs(math.log2(proposal.settings.learning_rate / 0.025)) / 100
    ...     return {"dice": [quality, quality]}, {"dice": [0.899, 0.899]}
    >>> start = Settings(learning_rate=0.1)
    >>> rules = Guideline(start=start, epochs=100, world_size=18, metrics=("dice",))
    >>> history, end = tune(evaluate, rules)
    >>> end.ending, end.settings.learning_rate, len(history.iterations)
    ('confirmed', 0.025, 4)
    """
    now = History(guideline=guideline) if history is None else history.checked()
    if now.guideline != guideline:
        raise InputError("the history is one of another guideline; go on with its own.")
    while isinstance(step := next_step(now), Proposal):
        now = now.followed_by(step, *evaluate(step))
        if keep:
            keep(now)
    return now, step


def _proposal(history: History, action: Action, settings: Settings, reason: str) -> Proposal:
    number = len(history.iterations)
    return Proposal(iteration=number, action=action, settings=settings, reason=reason)


def _done(history: History, ending: Ending, settings: Settings, reason: str) -> Done:
    tried = sum(iteration.proposal.action == "confirm" for iteration in history.iterations)
    attempts = f"; confirmations tried: {tried}" if tried else ""
    return Done(ending=ending, settings=settings, reason=reason + attempts)


def _tuned(history: History) -> Proposal | Done:
    """Take the first action from the present one on that leads to something new."""
    best, place = _standing(history)
    tried = [iteration.proposal.settings for iteration in history.iterations]
    for action in _TUNING[place:]:
        for settings in history.guideline.changed(action, best.proposal.settings):
            if settings not in tried:
                return _proposal(history, action, settings, _reason(history))
    return _done(history, "nothing left", best.proposal.settings, "all actions were taken")


def _standing(history: History) -> tuple[Iteration, int]:
    """Find the best iteration so far and the place of the present action in the flow chart."""
    first, *others = history.iterations
    best, place = first, 0
    for iteration in others:
        action = iteration.proposal.action
        if action == "confirm":
            continue
        place = _TUNING.index(action)
        if judge(history.guideline, iteration, best).outcome in ("improved", "diverged"):
            best = iteration
        elif action != "change_optimiser":  # of which there may be another one to try
            place += 1
    return best, place


def _best_before(history: History, number: int) -> Iteration:
    """Find the best iteration before the one of this number."""
    before = history.model_copy(update={"iterations": history.iterations[:number]})
    return _standing(before)[0]


def _reason(history: History) -> str:
    """Say in words what became of the last iteration."""
    last = history.iterations[-1]
    if last.proposal.action == "confirm":
        return f"{_NOT_SHOWN} with other seeds"
    if last.proposal.action == "defaults":
        return _NOT_SHOWN
    best = _best_before(history, len(history.iterations) - 1)
    meaning = {
        "improved": "improved",
        "degraded": "degraded, taken back",
        "undetermined": "no difference is shown, taken back",
        "diverged": "still diverges",
    }
    return meaning[judge(history.guideline, last, best).outcome]


def _repeats(values: Values) -> int:
    return len(next(iter(values.values())))


def _check_values(values: Values, metrics: Sequence[str], name: str) -> None:
    if missing := [metric for metric in metrics if metric not in values]:
        raise InputError(f"the {name} has no {', '.join(missing)}; it has {', '.join(values)}.")
    counts = {metric: len(repeats) for metric, repeats in values.items()}
    if len(set(counts.values())) > 1 or min(counts.values()) < MIN_REPEATS:
        raise InputError(
            f"the {name} has {counts} repeats; every metric needs as many, and at least "
            f"{MIN_REPEATS}: one training alone cannot be judged."
        )


def _check_seeds(history: History, proposal: Proposal, repeats: int, of_baseline: int) -> None:
    """Refuse what cannot have been trained with the same seeds."""
    if repeats != of_baseline:
        raise InputError(
            f"{repeats} repeats and {of_baseline} of the baseline; both need the same seeds."
        )
    before = _repeats(history.iterations[0].values) if history.iterations else repeats
    if proposal.action != "confirm" and repeats != before:
        raise InputError(
            f"{repeats} repeats after iterations of {before}; iterations need the same seeds."
        )


def _check_baseline(guideline: Guideline, baseline: Values) -> None:
    """Refuse a baseline that diverged: pairs that lack it would be left out unseen."""
    if diverged := count_diverged(guideline, baseline):
        raise InputError(
            f"the baseline diverged in {diverged} of {_repeats(baseline)} repeats; nothing can be "
            "judged by it. Lower the rate of one worker until it trains with every seed."
        )


def _means(values: Values) -> dict[str, float]:
    return {
        name: float(np.nanmean(repeats)) if np.isfinite(repeats).any() else math.nan
        for name, repeats in values.items()
    }


def _row(history: History, number: int) -> dict[str, object]:
    rules, iteration = history.guideline, history.iterations[number]
    difference, low, high, _ = to_baseline(rules, iteration)
    return {
        "iteration": number,
        "action": _IN_WORDS[iteration.proposal.action],
        **iteration.proposal.settings.model_dump(),
        "repeats": _repeats(iteration.values),
        "diverged": count_diverged(rules, iteration.values),
        **_means(iteration.values),
        **_judged(history, number),
        "to_baseline": difference,
        "to_baseline_low": low,
        "to_baseline_high": high,
        "noninferior": is_noninferior(rules, iteration),
        "reason": iteration.proposal.reason,
    }


def _judged(history: History, number: int) -> dict[str, object]:
    """Judge an iteration against the best before it."""
    rules, iteration = history.guideline, history.iterations[number]
    if iteration.proposal.action == "confirm":
        confirmed = is_noninferior(rules, iteration)
        return {"outcome": "confirmed" if confirmed else "not confirmed"}
    if not number:
        return {"outcome": ""}
    return judge(rules, iteration, _best_before(history, number))._asdict()

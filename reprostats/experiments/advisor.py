"""What to change next when many workers cost accuracy: Guedria's guideline, automated.

The flow chart of the thesis (section 6.3.3 and Figure 6.3) has five actions, in order: lower the
initial rate, raise the coefficient of the decay, lengthen the warm-up, lengthen the decay phase,
change the optimiser. An action is repeated while it improves the result; when it does not, the next
one is taken; when the baseline is beaten, the training is done again to confirm. With fewer workers
than 12 the defaults are trained directly.

The thesis judges each action by one run. Here a run is several trainings with seeds of their own,
the same in every run, and is judged by the interval of its differences, seed by seed. The rules:

1. *Improved, degraded.* A run is compared with the best so far, metric by metric in order of
   priority. The first metric whose interval of the mean difference excludes 0 decides. If none
   does, the verdict is *cannot tell*.
2. *What happens.* Improved: the run is the best so far and the action is repeated on it. Degraded
   or cannot tell: the change is taken back and the next action is applied to the best so far.
3. *Diverged trainings* count before all metrics: fewer than in the best so far is improved, more is
   degraded. With as many, the seeds that came through in both runs are compared; where fewer than
   two did, the verdict is *diverged*, and the action is repeated on this run, since nothing is
   known to be better.
4. *The baseline is beaten* if no training diverged and the lower limit of the interval of the
   difference to the baseline lies above minus the margin, for the metric of first priority.
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
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import special

from reprostats.errors import InputError

Optimiser = Literal["sgd", "lars", "adam"]
Action = Literal[
    "defaults",
    "lower_rate",
    "raise_decay",
    "lengthen_warmup",
    "lengthen_decay",
    "change_optimiser",
    "confirm",
]
Verdict = Literal["improved", "degraded", "cannot tell", "diverged"]
Ending = Literal["confirmed", "trained directly", "nothing left", "runs used up"]
Values = Mapping[str, Sequence[float]]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_TUNING: tuple[Action, ...] = get_args(Action)[1:-1]
_FEWEST_REPEATS = 2
_IN_WORDS: dict[Action, str] = {
    "defaults": "Apply default parameters",
    "lower_rate": "Decrease the initial rate",
    "raise_decay": "Increase the decay coefficient",
    "lengthen_warmup": "Increase the warm-up period",
    "lengthen_decay": "Increase the decay phase period",
    "change_optimiser": "Change the optimiser",
    "confirm": "Confirm with other seeds",
}


class Settings(BaseModel):
    """What the guideline tunes: GreScale and the optimiser.

    Parameters
    ----------
    learning_rate
        Initial rate; the warm-up leads to as many times it as there are workers.
    decay
        Coefficient of the decay, per epoch.
    warmup_epochs, decay_epochs
        Length of these phases; what they leave of the training is the stabilisation.
    optimiser
        ``"sgd"``, ``"lars"`` or ``"adam"``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: Rate = 1e-5
    decay: NotNegative = 0.1
    warmup_epochs: NotNegative = 5.0
    decay_epochs: NotNegative = 285 / 7
    optimiser: Optimiser = "sgd"

    @classmethod
    def scaled(cls, epochs: int, learning_rate: float) -> Settings:
        """Give the thesis' defaults for 100 epochs, in proportion to a training of another length.

        Of 100 epochs 5 are warm-up and 3/7 of the others decay; the rate falls by the same factor
        in a decay of another length. The thesis gives no coefficient; that of
        `reprostats.learning.schedules.GreScale` is meant.

        Examples
        --------
        >>> Settings.scaled(epochs=20, learning_rate=0.1).model_dump(exclude={"optimiser"})
        {'learning_rate': 0.1, 'decay': 0.5, 'warmup_epochs': 1.0, 'decay_epochs': 8.14...}
        """
        share = epochs / 100
        usual = cls()
        return cls(
            learning_rate=learning_rate,
            decay=usual.decay / share,
            warmup_epochs=usual.warmup_epochs * share,
            decay_epochs=usual.decay_epochs * share,
        )


class Guideline(BaseModel):
    """Where tuning starts, how far each action goes, and by what it is judged.

    The thesis asks for small changes of fixed size and gives no numbers; those here are this
    package's choice.

    Parameters
    ----------
    start
        The default settings.
    epochs
        Length of a training.
    workers
        Of the training.
    fewest_workers
        With fewer workers nothing is tuned; 12 in the thesis.
    metrics
        In order of priority; larger is better. Those of the thesis.
    rate_factor, lowest_rate
        By what the initial rate is multiplied, and what it does not go below (the thesis' 1e-6).
    decay_factor, highest_decay
        By what the coefficient of the decay is multiplied, and what it does not go above. The
        thesis has no upper limit.
    warmup_step, decay_step
        Epochs by which the phases are lengthened, as long as both fit into the training.
    optimisers
        Optimisers to change to and the initial rate of each, for rates of one optimiser mean
        nothing to another.
    margin
        Loss of the metric of first priority that does not matter, in its unit. With 0 the
        baseline has to be surpassed.
    confidence_level
        Of every interval. It is not adjusted for their number: the confirmation, with other seeds,
        is what protects from a lucky run.
    most_runs
        After which tuning ends, confirmations included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Settings
    epochs: int = Field(ge=1)
    workers: int = Field(ge=1)
    fewest_workers: int = Field(default=12, ge=1)
    metrics: tuple[str, ...] = Field(default=("dice", "mean_accuracy", "mean_iou"), min_length=1)
    rate_factor: float = Field(default=0.5, gt=0, lt=1)
    lowest_rate: Rate = 1e-6
    decay_factor: float = Field(default=2.0, gt=1, allow_inf_nan=False)
    highest_decay: Rate = 10.0
    warmup_step: Rate = 5.0
    decay_step: Rate = 10.0
    optimisers: Mapping[Optimiser, Rate] = Field(default_factory=dict)
    margin: NotNegative = 0.0
    confidence_level: float = Field(default=0.95, gt=0, lt=1)
    most_runs: int = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _starts_within_bounds(self) -> Guideline:
        if not self._allows(self.start):
            raise ValueError(
                f"the start is out of bounds: a rate from {self.lowest_rate:g}, a decay up to "
                f"{self.highest_decay:g}, and warm-up and decay that fit into {self.epochs} epochs "
                f"are allowed, not {self.start!r}"
            )
        return self

    def changed(self, action: Action, settings: Settings) -> list[Settings]:
        """Give the settings to which an action leads, within the bounds; more than one to choose.

        Examples
        --------
        >>> guideline = Guideline(start=Settings(), epochs=100, workers=18)
        >>> guideline.changed("lower_rate", Settings())[0].learning_rate
        5e-06
        >>> guideline.changed("lengthen_decay", Settings(decay_epochs=95))
        []
        """
        found = [settings.model_copy(update=change) for change in self._changes(action, settings)]
        return [each for each in found if self._allows(each)]

    def _changes(self, action: Action, now: Settings) -> list[dict[str, float | str]]:
        if action == "change_optimiser":
            return [{"optimiser": n, "learning_rate": r} for n, r in self.optimisers.items()]
        changes: dict[Action, dict[str, float | str]] = {
            "lower_rate": {"learning_rate": now.learning_rate * self.rate_factor},
            "raise_decay": {"decay": now.decay * self.decay_factor},
            "lengthen_warmup": {"warmup_epochs": now.warmup_epochs + self.warmup_step},
            "lengthen_decay": {"decay_epochs": now.decay_epochs + self.decay_step},
        }
        return [changes[action]]

    def _allows(self, settings: Settings) -> bool:
        phases = settings.warmup_epochs + settings.decay_epochs
        return (
            settings.learning_rate >= self.lowest_rate
            and settings.decay <= self.highest_decay
            and settings.warmup_epochs < self.epochs
            and phases <= self.epochs
        )


class Proposal(BaseModel):
    """What to train next.

    Parameters
    ----------
    iteration
        Number of the run, from 0.
    action
        Of the flow chart. ``"confirm"`` asks for other seeds than those of all other runs, other
        confirmations among them.
    settings
        To train with.
    reason
        Why this action, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    iteration: int
    action: Action
    settings: Settings
    reason: str


class Done(BaseModel):
    """The end of the tuning.

    Parameters
    ----------
    ending
        ``"confirmed"``: the baseline is beaten, also with other seeds. ``"trained directly"``:
        there are too few workers to tune. ``"nothing left"``: all actions were taken.
        ``"runs used up"``: no more runs are allowed.
    settings
        The best that were found.
    reason
        In words, with the number of confirmations that were tried, if any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ending: Ending
    settings: Settings
    reason: str


class Run(BaseModel):
    """A proposal and what became of it.

    Parameters
    ----------
    proposal
        What was trained.
    outcome
        By metric, one value for each repeat; NaN where the training diverged. More metrics than
        those that are judged by may be there.
    baseline
        The same of the baseline, repeat by repeat with the same seeds; none diverged.
    """

    # JSON has no NaN; the constants of JavaScript are read back as what they were.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    proposal: Proposal
    outcome: Mapping[str, tuple[float, ...]]
    baseline: Mapping[str, tuple[float, ...]]


class Judgement(NamedTuple):
    """How one run compares with another.

    Attributes
    ----------
    verdict
        By the rules of `reprostats.experiments.advisor`.
    metric
        That decided; of first priority if none did.
    difference, low, high
        Mean difference of it and its interval; NaN where fewer than two repeats can be compared.
    diverged
        Repeats that diverged.
    """

    verdict: Verdict
    metric: str
    difference: float
    low: float
    high: float
    diverged: int


class History(BaseModel):
    """A tuning so far: all that the next step depends on, and nothing else.

    It is kept as JSON (``history.model_dump_json()``) and read with
    ``History.model_validate_json``, so that a tuning can be stopped and resumed.

    Parameters
    ----------
    guideline
        The rules of this tuning.
    runs
        In order.

    Examples
    --------
    >>> history = History(guideline=Guideline(start=Settings(), epochs=100, workers=18))
    >>> step = next_step(history)
    >>> step.action, step.settings.learning_rate
    ('defaults', 1e-05)
    >>> worse, baseline = ({name: (value, value + 0.01) for name in history.guideline.metrics}
    ...                    for value in (0.76, 0.81))
    >>> next_step(history.followed_by(step, worse, baseline)).reason
    'the baseline is not beaten'
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    guideline: Guideline
    runs: tuple[Run, ...] = ()

    def followed_by(self, proposal: Proposal, outcome: Values, baseline: Values) -> History:
        """Give the history with one more run.

        Parameters
        ----------
        proposal
            What `next_step` gave.
        outcome, baseline
            By metric, one value for each repeat; see `Run`.

        Raises
        ------
        InputError
            If the proposal is another than that of `next_step`, a metric of the guideline is
            missing, repeats differ in number, there are fewer than 2, or the baseline diverged.
        """
        if proposal != (wanted := next_step(self)):
            raise InputError(f"the next step is {wanted!r}, not {proposal!r}.")
        for name, given in (("outcome", outcome), ("baseline", baseline)):
            _check_values(given, self.guideline.metrics, name)
        _check_seeds(self, proposal, _repeats(outcome), _repeats(baseline))
        _check_baseline(self.guideline, baseline)
        run = Run(
            proposal=proposal,
            outcome={name: tuple(map(float, each)) for name, each in outcome.items()},
            baseline={name: tuple(map(float, each)) for name, each in baseline.items()},
        )
        return self.model_copy(update={"runs": (*self.runs, run)})

    def checked(self) -> History:
        """Follow the runs again from the first, and refuse them if the rules did not lead there.

        Raises
        ------
        InputError
            As `followed_by`; it names the run. A history that was read from a file may be one of
            other rules, or damaged.
        """
        history = History(guideline=self.guideline)
        for number, run in enumerate(self.runs):
            try:
                history = history.followed_by(run.proposal, run.outcome, run.baseline)
            except InputError as error:
                raise InputError(
                    f"run {number} does not follow from its guideline: {error}"
                ) from None
        return history

    def table(self) -> pd.DataFrame:
        """Give the log of the tuning, one row for each run.

        Returns
        -------
        pandas.DataFrame
            ``iteration``, ``action`` (in the words of the thesis' Tables 6.1 to 6.10), the
            settings, ``repeats``, ``diverged``, the mean of every metric, ``verdict`` (on the best
            run before it; of a confirmation, whether it confirms), ``metric``, ``difference``,
            ``low`` and ``high`` of that verdict, ``to_baseline``, ``to_baseline_low``,
            ``to_baseline_high`` (of the metric of first priority), ``beats_baseline`` and
            ``reason``; a last row has the means of the baseline.
        """
        rows = [_row(self, number) for number in range(len(self.runs))]
        if not rows:
            return pd.DataFrame()
        baseline = {"action": "Baseline", **_means(self.runs[0].baseline)}
        return pd.DataFrame([*rows, baseline]).astype({"iteration": "Int64", "repeats": "Int64"})


def next_step(history: History) -> Proposal | Done:
    """Say what to train next, or that tuning has ended; the rules are those of this module.

    The answer depends on the history alone: the same history has the same next step.
    """
    rules, runs = history.guideline, history.runs
    if not runs:
        return Proposal(
            iteration=0, action="defaults", settings=rules.start, reason="where tuning starts"
        )
    last = runs[-1]
    if rules.workers < rules.fewest_workers:
        return _done(
            history, "trained directly", rules.start, f"below {rules.fewest_workers} workers"
        )
    beaten = beats_baseline(rules, last)
    if last.proposal.action == "confirm" and beaten:
        return _done(history, "confirmed", last.proposal.settings, "the baseline is beaten twice")
    if len(runs) >= rules.most_runs:
        return _done(
            history, "runs used up", _best(history).proposal.settings, f"{len(runs)} runs were made"
        )
    if beaten:
        return _proposal(history, "confirm", last.proposal.settings, "the baseline is beaten")
    return _tuned(history)


def judge(guideline: Guideline, run: Run, reference: Run) -> Judgement:
    """Compare a run with another one of the same seeds, by rules 1 and 3 of this module.

    Examples
    --------
    >>> rules = Guideline(start=Settings(), epochs=100, workers=18, metrics=("dice",))
    >>> step = Proposal(iteration=0, action="defaults", settings=Settings(), reason="")
    >>> one, other = (
    ...     Run(proposal=step, outcome={"dice": values}, baseline={})
    ...     for values in [(0.80, 0.81, 0.79), (0.82, 0.84, 0.81)]
    ... )
    >>> judge(rules, other, one).verdict
    'improved'
    """
    lost, lost_before = _diverged(guideline, run.outcome), _diverged(guideline, reference.outcome)
    found = [
        (name, *_interval(guideline, run.outcome[name], reference.outcome[name]))
        for name in guideline.metrics
    ]
    deciding = next((each for each in found if each[2] > 0 or each[3] < 0), found[0])
    if lost != lost_before:
        verdict: Verdict = "improved" if lost < lost_before else "degraded"
        return Judgement(verdict, *found[0], lost)
    if math.isnan(found[0][1]):
        return Judgement("diverged", *found[0], lost)
    _, _, low, high = deciding
    verdict = "improved" if low > 0 else "degraded" if high < 0 else "cannot tell"
    return Judgement(verdict, *deciding, lost)


def beats_baseline(guideline: Guideline, run: Run) -> bool:
    """Tell whether a run lost nothing that matters against the baseline: rule 4 of this module."""
    if _diverged(guideline, run.outcome):
        return False
    first = guideline.metrics[0]
    _, low, _ = _interval(guideline, run.outcome[first], run.baseline[first])
    return low > -guideline.margin


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
        Trains with the settings of a proposal and gives the values by metric, one for each repeat,
        of the training and of the baseline with the same seeds. A confirmation takes seeds of its
        own. If it goes through a `Study`, finished trainings are not done again.
    guideline
        The rules.
    history
        Of a tuning that was stopped; it is checked and goes on.
    keep
        Called with the history after every run, for instance to write it.

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
    >>> rules = Guideline(start=start, epochs=100, workers=18, metrics=("dice",))
    >>> history, end = tune(evaluate, rules)
    >>> end.ending, end.settings.learning_rate, len(history.runs)
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
    return Proposal(iteration=len(history.runs), action=action, settings=settings, reason=reason)


def _done(history: History, ending: Ending, settings: Settings, reason: str) -> Done:
    tried = sum(run.proposal.action == "confirm" for run in history.runs)
    attempts = f"; confirmations tried: {tried}" if tried else ""
    return Done(ending=ending, settings=settings, reason=reason + attempts)


def _tuned(history: History) -> Proposal | Done:
    """Take the first action from the present one on that leads to something new."""
    best, place = _standing(history)
    tried = [run.proposal.settings for run in history.runs]
    for action in _TUNING[place:]:
        for settings in history.guideline.changed(action, best.proposal.settings):
            if settings not in tried:
                return _proposal(history, action, settings, _reason(history))
    return _done(history, "nothing left", best.proposal.settings, "all actions were taken")


def _standing(history: History) -> tuple[Run, int]:
    """Give the best run so far and the place of the present action in the flow chart."""
    first, *others = history.runs
    best, place = first, 0
    for run in others:
        action = run.proposal.action
        if action == "confirm":
            continue
        place = _TUNING.index(action)
        if judge(history.guideline, run, best).verdict in ("improved", "diverged"):
            best = run
        elif action != "change_optimiser":  # of which there may be another one to try
            place += 1
    return best, place


def _best(history: History) -> Run:
    return _standing(history)[0]


def _reason(history: History) -> str:
    """Say in words what became of the last run."""
    last = history.runs[-1]
    if last.proposal.action == "confirm":
        return "the baseline is not beaten with other seeds"
    if last.proposal.action == "defaults":
        return "the baseline is not beaten"
    before = _best(history.model_copy(update={"runs": history.runs[:-1]}))
    found = judge(history.guideline, last, before)
    meaning = {
        "improved": "improved",
        "degraded": "degraded, taken back",
        "cannot tell": "no difference is shown, taken back",
        "diverged": "still diverges",
    }
    return meaning[found.verdict]


def _diverged(guideline: Guideline, values: Values) -> int:
    return int(np.isnan(_stacked(guideline, values)).any(axis=0).sum())


def _stacked(guideline: Guideline, values: Values) -> np.ndarray:
    return np.array([values[name] for name in guideline.metrics], dtype=float)


def _interval(
    guideline: Guideline, values: Sequence[float], reference: Sequence[float]
) -> tuple[float, float, float]:
    """Give the mean difference over the repeats that came through in both, and its t interval."""
    differences = np.subtract(values, reference)
    known = differences[np.isfinite(differences)]
    if len(known) < _FEWEST_REPEATS:
        return math.nan, math.nan, math.nan
    mean, error = float(known.mean()), float(known.std(ddof=1)) / math.sqrt(len(known))
    tail = (1 + guideline.confidence_level) / 2
    width = float(special.stdtrit(len(known) - 1, tail)) * error
    return mean, mean - width, mean + width


def _repeats(values: Values) -> int:
    return len(next(iter(values.values())))


def _check_values(given: Values, metrics: Sequence[str], name: str) -> None:
    if missing := [metric for metric in metrics if metric not in given]:
        raise InputError(f"the {name} has no {', '.join(missing)}; it has {', '.join(given)}.")
    counts = {metric: len(values) for metric, values in given.items()}
    if len(set(counts.values())) > 1 or min(counts.values()) < _FEWEST_REPEATS:
        raise InputError(
            f"the {name} has {counts} repeats; every metric needs as many, and at least "
            f"{_FEWEST_REPEATS}: one run alone cannot be judged."
        )


def _check_seeds(history: History, proposal: Proposal, repeats: int, of_baseline: int) -> None:
    """Refuse what cannot have been trained with the same seeds."""
    if repeats != of_baseline:
        raise InputError(
            f"{repeats} repeats and {of_baseline} of the baseline; both need the same seeds."
        )
    before = _repeats(history.runs[0].outcome) if history.runs else repeats
    if proposal.action != "confirm" and repeats != before:
        raise InputError(f"{repeats} repeats after runs of {before}; runs need the same seeds.")


def _check_baseline(guideline: Guideline, baseline: Values) -> None:
    """Refuse a baseline that diverged: pairs that lack it would be left out unseen."""
    finite = np.isfinite(_stacked(guideline, baseline)).all(axis=0)
    if not finite.all():
        raise InputError(
            f"the baseline diverged in {int((~finite).sum())} of {len(finite)} repeats; nothing "
            "can be judged by it. Lower the rate of one worker until it trains with every seed."
        )


def _means(values: Values) -> dict[str, float]:
    return {
        name: float(np.nanmean(each)) if np.isfinite(each).any() else math.nan
        for name, each in values.items()
    }


def _row(history: History, number: int) -> dict[str, object]:
    rules, run = history.guideline, history.runs[number]
    judged = _judged(history, number)
    first = rules.metrics[0]
    difference, low, high = _interval(rules, run.outcome[first], run.baseline[first])
    return {
        "iteration": number,
        "action": _IN_WORDS[run.proposal.action],
        **run.proposal.settings.model_dump(),
        "repeats": _repeats(run.outcome),
        "diverged": _diverged(rules, run.outcome),
        **_means(run.outcome),
        **judged,
        "to_baseline": difference,
        "to_baseline_low": low,
        "to_baseline_high": high,
        "beats_baseline": beats_baseline(rules, run),
        "reason": run.proposal.reason,
    }


def _judged(history: History, number: int) -> dict[str, object]:
    """Give the verdict on a run, against the best before it."""
    rules, run = history.guideline, history.runs[number]
    if run.proposal.action == "confirm":
        return {"verdict": "confirmed" if beats_baseline(rules, run) else "not confirmed"}
    if not number:
        return {"verdict": ""}
    found = judge(rules, run, _best(history.model_copy(update={"runs": history.runs[:number]})))
    return {
        name: getattr(found, name) for name in ("verdict", "metric", "difference", "low", "high")
    }

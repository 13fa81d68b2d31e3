"""A chart in a notebook that follows a training."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from reprostats.learning.loop import Callback, Run
from reprostats.progress import in_notebook

if TYPE_CHECKING:
    import pandas as pd

_MOST_OF_THE_TIME = 0.05

Draw = Callable[["pd.DataFrame", "pd.DataFrame"], object]

_log = logging.getLogger(__name__)


class LiveChart(Callback):
    """Draws a training in the output of a notebook's cell, and again as it goes on.

    The picture that is left at the end is of the whole training; a notebook that is executed
    without a reader keeps that one. Outside notebooks, and on workers other than the first,
    nothing is drawn. Where drawing fails, the training goes on without.

    Parameters
    ----------
    draw
        Takes two tables and gives what is to be shown, such as
        `reprostats.report.training.training_chart`: losses (one row per step: ``epoch``, epochs
        that have passed when it ended, and ``loss``) and metrics (one row per epoch: ``epoch`` and
        what stood in ``run.metrics``).
    every_s
        Seconds that pass at least between two pictures. Where drawing is slow it is more, so that
        it takes no more than a twentieth of the time.

    Examples
    --------
    >>> from reprostats.learning.loop import fit
    >>> model, samples = torch.nn.Linear(1, 1), torch.ones(4, 1)
    >>> losses = fit(
    ...     model, samples, samples, loss=torch.nn.functional.mse_loss,
    ...     optimiser=torch.optim.SGD(model.parameters(), 0.1), batch_size=2, epochs=3,
    ...     generator=torch.Generator().manual_seed(1),
    ...     callbacks=[LiveChart(lambda losses, metrics: losses)],
    ... )
    """

    def __init__(self, draw: Draw, every_s: float = 2.0) -> None:
        self._draw = draw
        self._every_s = every_s
        self._metrics: list[dict[str, float]] = []
        self._handle: Any = None
        self._due = 0.0
        self._on = False

    def started(self, run: Run) -> None:
        """Find out whether there is somebody to draw for."""
        self._on = run.strategy.rank == 0 and in_notebook()
        self._metrics, self._handle = [], None
        self._due = time.monotonic() + self._every_s

    def stepped(self, run: Run) -> None:
        """Draw again if it is time."""
        if self._on and time.monotonic() >= self._due:
            self._show(run)

    def epoch_ended(self, run: Run) -> None:
        """Take down what was measured."""
        self._metrics.append({"epoch": run.epoch, **run.metrics})

    def ended(self, run: Run) -> None:
        """Draw the whole training."""
        if self._on:
            self._show(run)

    def failed(self, run: Run, error: BaseException) -> None:  # noqa: ARG002
        """Draw how far it has come."""
        if self._on:
            self._show(run)

    def _show(self, run: Run) -> None:
        begun = time.monotonic()
        try:
            if len(run.losses):
                self._put(self._draw(*_tables(run, self._metrics)))
        except Exception:
            self._on = False
            _log.exception("the training is no longer drawn")
        now = time.monotonic()
        self._due = now + max(self._every_s, (now - begun) / _MOST_OF_THE_TIME)

    def _put(self, picture: object) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)


def _tables(run: Run, metrics: list[dict[str, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    losses = run.losses.double()
    epoch = torch.arange(1, len(losses) + 1, dtype=torch.double) / run.steps_per_epoch
    return (
        pd.DataFrame({"epoch": epoch.numpy(), "loss": losses.numpy()}),
        pd.DataFrame(metrics, columns=None if metrics else ["epoch"]),
    )

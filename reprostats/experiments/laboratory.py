"""The parameters of the notebook on repeatability: both tasks of Alahmari et al. (2020)."""

from __future__ import annotations

from pydantic import Field

from reprostats.experiments import counting, repeatability
from reprostats.experiments.regimes import Regimes


class Parameters(repeatability.Parameters):
    """Classification (`repeatability.Parameters`), and counting cells beside it.

    Parameters
    ----------
    cells
        What differs from the defaults of `counting.Training`.
    cell_trials
        Trials of the counting task in each regime; 7 in the paper.
    """

    cells: counting.Training = counting.Training()
    cell_trials: int = Field(default=3, ge=2)

    def of_cells(self) -> counting.Parameters:
        """Give the parameters of the counting task: its own, and the regimes that both share.

        Examples
        --------
        >>> Parameters(cells={"epochs": 3}, seed=5).of_cells().epochs
        3
        """
        shared = self.model_dump(include=set(Regimes.model_fields)) | {"trials": self.cell_trials}
        return counting.Parameters(**self.cells.model_dump(), **shared)

    def of_digits(self) -> repeatability.Parameters:
        """Give the parameters of the classification task."""
        fields = set(repeatability.Parameters.model_fields)
        return repeatability.Parameters(**self.model_dump(include=fields))

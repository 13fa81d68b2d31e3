"""The parameters of the notebook on repeatability: both tasks of Alahmari et al. (2020)."""

from __future__ import annotations

from pydantic import Field

from reprostats.experiments.by_framework import Framework
from reprostats.experiments.counting import CountingParameters
from reprostats.experiments.counting_trial import CountingConfig
from reprostats.experiments.regimes import Regimes
from reprostats.experiments.repeatability import RepeatabilityParameters


class LaboratoryParameters(RepeatabilityParameters):
    """Classification (`RepeatabilityParameters`), and counting cells beside it.

    Parameters
    ----------
    cells
        What differs from the defaults of `CountingConfig`.
    cell_trials
        Trials of the counting task in each condition; 7 in the paper.
    cell_frameworks
        In which frameworks cells are counted, see `Frameworks`; PyTorch alone by default.
    cell_margin
        Largest difference of the error rate of the count that does not matter, in percentage
        points.
    """

    cells: CountingConfig = CountingConfig()
    cell_trials: int = Field(default=3, ge=2)
    cell_frameworks: tuple[Framework, ...] = ("torch",)
    cell_margin: float = Field(default=5.0, gt=0)

    def classification(self) -> RepeatabilityParameters:
        """Return the parameters of the classification task."""
        fields = set(RepeatabilityParameters.model_fields)
        return RepeatabilityParameters(**self.model_dump(include=fields))

    def counting(self) -> CountingParameters:
        """Return the parameters of the counting task: its own, and what both tasks share.

        Examples
        --------
        >>> LaboratoryParameters(cells={"epochs": 3}, seed=5).counting().epochs
        3
        """
        shared = self.model_dump(include=set(Regimes.model_fields) | {"framework_regimes"})
        own = {
            "trials": self.cell_trials,
            "framework_trials": self.cell_trials,
            "frameworks": self.cell_frameworks,
            "margin": self.cell_margin,
        }
        return CountingParameters(**self.cells.model_dump(), **(shared | own))

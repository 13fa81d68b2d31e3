"""Does training repeat? LeNet-5 on handwritten digits, after Alahmari et al. (2020).

Seven trials in each of four regimes: without a fixed seed, seeded, seeded with deterministic
algorithms, and seeded while the hardware differs, for which a processor offers its number of
threads and its instruction sets. Beside them: the same training from other initial weights and
with another epsilon of Adam, the paper's differences between libraries; a trained network tested
again, in other environments too; and what determinism costs.

Alahmari, Goldgof, Mouton, Hall: Challenges for the repeatability of deep learning models.
IEEE Access 8 (2020), doi:10.1109/ACCESS.2020.3039833.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from pydantic import Field

from reprostats.errors import InputError
from reprostats.experiments.lenet import Training, retest_lenet, time_lenet, train_lenet
from reprostats.experiments.regimes import Regimes, drawn_seeds, other_hardware, regimes
from reprostats.sources import Level, seeds
from reprostats.study.plan import Condition
from reprostats.study.study import Study

_LIBRARIES: dict[str, dict[str, Level]] = {
    "Keras": {"initialiser": "alahmari_equation_2", "adam_epsilon": 1e-7},
    "PyTorch, weights of Keras": {"initialiser": "alahmari_equation_2", "adam_epsilon": 1e-8},
    "PyTorch, Equation 1": {"initialiser": "glorot_uniform", "adam_epsilon": 1e-8},
    "PyTorch's default": {"initialiser": "pytorch", "adam_epsilon": 1e-8},
}


class Parameters(Training, Regimes):
    """A training (`Training`), and how it is repeated (`Regimes`).

    Parameters
    ----------
    pairs
        Seeds with which the set-ups of libraries are compared, and trials in which the cost of
        determinism is timed.
    """

    pairs: int = Field(default=3, ge=2)

    def training(self) -> Training:
        """Give the part that every trial shares."""
        return Training(**self.model_dump(include=set(Training.model_fields)))


def study(parameters: Parameters) -> Study:
    """Plan the study of the four regimes."""
    return Study(
        train_lenet,
        config=parameters.training(),
        conditions=regimes(parameters),
        name="repeatability",
    )


def libraries(parameters: Parameters) -> Study:
    """Plan trainings that differ as the paper says that libraries do, seed by seed the same.

    Each is repeated with the same seeds, so that trials can be paired. The first two start from
    the very same weights and differ in Adam's epsilon alone; the third draws the same numbers
    scaled by Equation 1 in place of Equation 2.
    """
    settings = [seeds(number) for number in drawn_seeds(parameters.seed, parameters.pairs)]
    fixed: dict[str, Level] = {
        "threads": parameters.threads,
        "device": parameters.device,
        "deterministic": True,
    }
    return Study(
        train_lenet,
        config=parameters.training(),
        conditions={
            name: Condition({**fixed, **levels}, settings) for name, levels in _LIBRARIES.items()
        },
        name="libraries",
    )


def tested_again(parameters: Parameters, trained: Study, results: pd.DataFrame) -> Study:
    """Plan to test a trained network again, twice where it was trained and in other environments.

    Parameters
    ----------
    parameters
        Of the notebook.
    trained
        The study whose first deterministic trial is taken.
    results
        Its results.

    Raises
    ------
    InputError
        If no deterministic trial ended well.
    """
    well = results[(results["condition"] == "deterministic") & (results["status"] == "ok")]
    if well.empty:
        raise InputError("no deterministic trial ended well: there is no network to test again.")
    first = well.iloc[0]
    config: dict[str, Any] = {
        "training": parameters.training().model_dump(),
        "folder": str(trained.folder / "trials" / first["trial"]),
        "weights": first["weights_sha256"],
    }
    fixed: dict[str, Level] = {"device": parameters.device, "deterministic": True}
    return Study(
        retest_lenet,
        config=config,
        conditions={
            "same environment": Condition({**fixed, "threads": parameters.threads}, repeats=2),
            "other hardware": Condition(fixed, other_hardware(parameters.trials)),
        },
        name="tested_again",
    )


def cost(parameters: Parameters) -> Study:
    """Plan to time steps with and without deterministic algorithms, in turns in one process."""
    fixed: dict[str, Level] = {
        **parameters.always(),
        **seeds(parameters.seed),
        "threads": parameters.threads,
        "deterministic": True,
    }
    return Study(
        time_lenet,
        config=parameters.training(),
        fixed=fixed,
        repeats=parameters.pairs,
        name="cost_of_determinism",
    )

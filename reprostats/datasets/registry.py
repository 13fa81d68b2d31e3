"""The cohorts by name: one list for experiments and `reprostats train`.

To add a data set, write its loader here and its name into `COHORTS`. The loader takes the settings
of a cohort, `reprostats.datasets.cohorts.Data`; settings that only the new data set has are added
there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reprostats import paths
from reprostats.datasets.decathlon import load_decathlon
from reprostats.datasets.patients import Cohort, Patient, load_slices
from reprostats.datasets.simulated import simulated_cohort
from reprostats.datasets.volumes import load_volumes
from reprostats.errors import InputError

if TYPE_CHECKING:
    from reprostats.datasets.cohorts import Data

Prepare = Callable[[Patient], Patient]
Loader = Callable[["Data", Prepare], Cohort]


def _mni152(data: Data, prepare: Prepare) -> Cohort:
    heads = data.heads
    cohort = simulated_cohort(
        heads.patients,
        np.random.default_rng(heads.seed),
        structure=heads.structure,
        n_slices=heads.slices,
        resolution=heads.resolution,
        noise=heads.noise,
    )
    return cohort.changed(prepare)


def _slices(data: Data, prepare: Prepare) -> Cohort:
    return load_slices(_folder(data), data.patient_pattern, label=data.label, prepare=prepare)


def _volumes(data: Data, prepare: Prepare) -> Cohort:
    return load_volumes(
        _folder(data), label=data.label, channel=data.channel, every=data.every, prepare=prepare
    )


def _decathlon(data: Data, prepare: Prepare) -> Cohort:
    return load_decathlon(
        _folder(data),
        label=data.label or 1,
        channel=data.channel,
        every=data.every,
        prepare=prepare,
    )


def _folder(data: Data) -> Path:
    if not data.folder:
        raise InputError(f"dataset {data.dataset!r} needs the name of its folder.")
    return paths.data(data.folder)


COHORTS: dict[str, Loader] = {
    "mni152": _mni152,
    "slices": _slices,
    "volumes": _volumes,
    "decathlon": _decathlon,
}
"""The loader of each data set: a function of its settings and of what is done to each patient."""

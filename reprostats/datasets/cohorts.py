"""Cohorts by description: which data set, at which resolution and size.

A `Data` is part of a configuration file or of a notebook's parameters; `load_cohort` turns it into
patients.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from reprostats.datasets.patients import Cohort, Patient
from reprostats.datasets.preprocessing import crop_or_pad, downsample, resample
from reprostats.datasets.registry import COHORTS
from reprostats.yaml_files.validate import known_name

Positive = Annotated[int, Field(ge=1)]


class Heads(BaseModel):
    """The simulated heads; see `reprostats.datasets.simulated`.

    Parameters
    ----------
    patients, structure, slices, resolution, noise
        As of `simulated_cohort`.
    seed
        What the heads are drawn from; the cohort is the same in all trials.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patients: Positive = 8
    structure: Literal["grey_matter", "white_matter", "brain"] = "grey_matter"
    slices: Positive = 4
    resolution: Positive = 4
    noise: float = Field(default=0.05, ge=0)
    seed: int = Field(default=2019, ge=0)


class Data(BaseModel):
    """Who is segmented.

    Parameters
    ----------
    dataset
        A name of `reprostats.datasets.registry.COHORTS`. ``"mni152"``: simulated heads;
        ``"slices"``: a folder of slices with the patient in the name; ``"volumes"``: a folder of
        NIfTI volumes; ``"decathlon"``: a task of the Medical Segmentation Decathlon.
    folder
        Of the data set, inside the data folder (see `reprostats.paths`); not for ``"mni152"``.
    patient_pattern
        Regular expression whose first group is the patient in the name of a slice.
    label
        Value of the structure in the masks; None: everything but 0.
    channel
        Which volume of NIfTI files of four axes.
    every
        Take every slice of a volume, every second, ...
    spacing
        In mm, to resample to; None: as it is.
    downsampling
        Whole factor by which slices are made smaller.
    size
        Height and width that slices are cropped or padded to, around their centre.
    heads
        Of the simulated heads.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: Annotated[str, known_name("data set", "name a data set", COHORTS)] = "mni152"
    folder: str = ""
    patient_pattern: str = "^([^_]+)_"
    label: int | None = None
    channel: int | None = None
    every: Positive = 1
    spacing: tuple[float, ...] | None = None
    downsampling: Positive = 1
    size: tuple[Positive, Positive] | None = None
    heads: Heads = Heads()


def load_cohort(data: Data) -> Cohort:
    """Load the patients and give their slices the resolution and size that are asked for.

    Raises
    ------
    NotAvailableError
        If the data set is not there.
    InputError
        If it is not what it should be, or a parameter does not fit it.

    Examples
    --------
    >>> heads = Heads(patients=2, slices=2, resolution=8)
    >>> cohort = load_cohort(Data(heads=heads, size=(32, 48)))
    >>> [patient.images.shape for patient in cohort]
    [(2, 32, 48), (2, 32, 48)]
    """

    def prepare(patient: Patient) -> Patient:
        return _prepared(patient, data)

    return COHORTS[data.dataset](data, prepare)


def _prepared(patient: Patient, data: Data) -> Patient:
    """Resample, downsample and crop, each where it is asked for."""
    changed = resample(patient, data.spacing) if data.spacing else patient
    changed = downsample(changed, data.downsampling)
    return crop_or_pad(changed, data.size) if data.size else changed

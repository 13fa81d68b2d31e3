"""Claims of publications that were tried by trainings of this package (``data/measured``).

These ran on a processor. They can confirm a claim about GPUs, and never refute it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from reprostats import paths
from reprostats.report.claim import HOLDS, MEASURED, STATED, UNDETERMINED, Claim, verdict_of


def processor_repeats() -> tuple[str, str]:
    """Say what seven trainings of LeNet-5 on a processor gave."""
    trained = pd.read_csv(paths.checkout("data", "measured") / "mnist.csv")
    shown = "; ".join(
        f"{row['trials']} {row['regime']} trainings of LeNet-5 in batches of {row['batch_size']}, "
        f"different weights: {row['different_weights']}"
        for _, row in trained.iterrows()
    )
    holds = bool((trained["different_weights"] == 1).all())
    return f"{shown} (one thread, one machine)", verdict_of(holds)


def oh_claims() -> Iterator[Claim]:
    """Hold the claims of Oh et al. against two networks for each source, on a processor."""
    sources = _measured_mr("mr_qsm_sources")
    yield from _oh_training(sources)
    yield from _oh_inference(sources)


def _oh_training(sources: pd.DataFrame) -> Iterator[Claim]:
    """Say what the sources of variability do to trainings."""
    baseline = _row(sources, "baseline")
    yield Claim(
        "Oh, Methods", "with all six sources at the baseline, training repeats", MEASURED,
        f"{baseline['Equal']:.0f} of {baseline['Networks']:.0f} QSMnets equal to the last bit",
        verdict_of(bool(baseline["Equal"] == baseline["Networks"])),
    )  # fmt: skip
    trained = sources.drop("baseline").dropna(subset="NRMSE (%)")
    same = list(trained.index[trained["Equal"] == trained["Networks"]])
    yield Claim(
        "Oh, Figure 2", "every source changes the trained network", MEASURED,
        f"{len(trained) - len(same)} of {len(trained)} sources did; not {', '.join(same)}, which a "
        "processor with one thread does not need",
        UNDETERMINED if same else HOLDS,
    )  # fmt: skip
    for name in ("mini-batch order", "weight initialisation"):
        claim = f"the {name} changes the error significantly"
        yield _oh_significant("Oh, Figure 2", claim, _row(sources, name))
    yield Claim(
        "Oh, Figure 2", "convolution benchmarking and determinism change the error significantly",
        STATED, "takes a GPU", UNDETERMINED,
    )  # fmt: skip
    float16 = str(_row(sources, "data type float16")["Verdict"])
    yield Claim(
        "Oh, Results", "float16 is too imprecise to train in", MEASURED,
        float16, HOLDS if "diverged" in float16 else UNDETERMINED,
    )  # fmt: skip


def _oh_inference(sources: pd.DataFrame) -> Iterator[Claim]:
    """Say what they do to inference, and to networks that are trained again or shared."""
    inference, variational = map(_measured_mr, ("mr_qsm_inference", "mr_parallel_imaging_sources"))
    hardware = _row(inference, "hardware")
    changed, moved = float(hardware["To baseline (%)"]), float(hardware["Difference"])
    yield Claim(
        "Oh, Figure 3", "another GPU changes nothing in inference, benchmarking 1.6e-8 %",
        MEASURED,
        "that takes GPUs; other threads and instruction sets of a processor change the images by "
        f"{changed:.1e} %, and their error by {abs(moved):.1e} points",
        UNDETERMINED,
    )  # fmt: skip
    yield _oh_significant(
        "Oh, Figure 4", "variational networks trained again differ significantly",
        _row(variational, "weight initialisation"),
    )  # fmt: skip
    far = float(_row(sources, "weight initialisation")["To baseline (%)"])
    yield Claim(
        "Oh, Conclusion", "sharing the trained network avoids the differences of training again",
        MEASURED,
        f"images of a network trained again differ by {far:.0f} %, those of a shared network on "
        f"other hardware by {changed:.1e} %",
        verdict_of(changed < far / 1000),
    )  # fmt: skip


def _oh_significant(source: str, claim: str, row: pd.Series[Any]) -> Claim:
    """Say whether a difference is significant after Holm, over the cases of few networks."""
    shown = (
        f"{row['Difference']:+.2f} points, 95 % interval {row['CI low']:.2f} to "
        f"{row['CI high']:.2f}, p = {row['p (Holm)']:.2g} (Holm); over the cases of "
        f"{row['Networks']:.0f} networks"
    )
    significant = row["p (Holm)"] <= 0.05  # noqa: PLR2004 - the level of the paper
    return Claim(source, claim, MEASURED, shown, HOLDS if significant else UNDETERMINED)


def _row(measured: pd.DataFrame, source: str) -> pd.Series[Any]:
    return measured.loc[[source]].iloc[0]


def _measured_mr(name: str) -> pd.DataFrame:
    return pd.read_csv(paths.checkout("data", "measured") / f"{name}.csv").set_index("Source")

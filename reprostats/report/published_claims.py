"""Every claim that three papers print, and what becomes of it.

A claim is recomputed from the printed cells, computed from formulas, or measured by trainings of
this package (``data/measured``). Where none of these can decide, the reason stands there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd
from scipy.stats import levene

from reprostats.report.claim import (
    COMPUTED,
    MEASURED,
    RECOMPUTED,
    REFUTED,
    STATED,
    UNDETERMINED,
    Claim,
    verdict_of,
)
from reprostats.report.measured_claims import oh_claims, processor_repeats
from reprostats.report.published import (
    METRICS,
    PublishedParameters,
    degrees_of_freedom,
    framework_or_hardware,
    last_and_baseline,
    marrone,
    number,
    read,
    thesis,
)
from reprostats.report.tables import Table
from reprostats.stats.anova import anova

_COUNTED = 535
_TEST_IMAGES = 10_000
_FRAMEWORKS = {"TF1.14": "Keras with TensorFlow 1.14", "TF2.1": "Keras with TensorFlow 2.1",
               "Pytorch": "PyTorch"}  # fmt: skip
_U_NET_TABLES = {"TF1.14": 3, "TF2.1": 4, "Pytorch": 5}
# Drawn by keras.initializers.GlorotUniform(seed=1) of Keras 3.15.1 on PyTorch for _KERNEL.
_KERNEL = (5, 5, 60, 160)
_LARGEST_BY_KERAS = 0.0330288


def claims(chosen: PublishedParameters) -> Table:
    """Hold every claim of the publications against tables, formulas and trainings."""
    rows = [*_marrone(chosen), *_alahmari_repeats(), *_alahmari_numbers(), *_alahmari_causes()]
    rows += [*oh_claims(), *_thesis()]
    return Table(
        "published_claims",
        pd.DataFrame(rows, columns=list(Claim._fields)),
        "What the publications claim, and what becomes of it",
        note="Recomputed: from the printed cells, at the precision of the claim. Computed: from "
        "the formulas. Measured: by trainings of this package on a processor (data/measured), "
        "which can confirm a claim about GPUs but not refute it. Stated: neither printed numbers "
        "nor these trainings decide it, and the evidence says why.",
        titles={"source": "Source", "claim": "Claim", "how": "How it was tried",
                "evidence": "Evidence", "verdict": "Verdict"},
    )  # fmt: skip


def _marrone(chosen: PublishedParameters) -> Iterator[Claim]:
    yield from _marrone_intervals()
    yield from _marrone_factors(chosen)
    yield from _marrone_machines(chosen)


def _marrone_intervals() -> Iterator[Claim]:
    runs = marrone()
    low, high = runs["low"].max(), runs["high"].min()
    shown = f"highest lower bound {low:.2f}%, lowest upper bound {high:.2f}%"
    yield Claim(
        "Marrone, Section IV", "the intervals of all repetitions overlap, so the model is stable",
        RECOMPUTED, f"they overlap: {shown}; overlap is no test of equality",
        verdict_of(low <= high),
    )  # fmt: skip
    earlier = [number(read("marrone2019_table_I")[end].iloc[0]) for end in ("LB", "UB")]
    overlaps = (runs["low"] <= earlier[1]) & (runs["high"] >= earlier[0])
    yield Claim(
        "Marrone, Tables I to V", "the earlier result (ICPR 2018) agrees with the repetitions",
        RECOMPUTED, f"its interval overlaps {int(overlaps.sum())} of {len(runs)}",
        verdict_of(bool(overlaps.all())),
    )  # fmt: skip
    medians = runs.groupby("configuration")["size"].median()
    summary = read("marrone2019_table_VI").set_index("row").T
    for conf, framework, cell in summary[["Conf.", "Framework", "Median CI size"]].to_numpy():
        median = float(medians[conf + framework])
        # Half a unit of the last printed digit, either way of rounding.
        follows = abs(median - number(cell)) <= 0.005 + 1e-9
        claim = f"median CI size of {conf}{framework} is {cell}"
        yield Claim("Marrone, Table VI", claim, RECOMPUTED, f"{median:.3f}%", verdict_of(follows))
    for used in (["BK", "CK"], ["AK", "BK", "CK"]):
        gain = 1 - medians[["BM", "CM"]].mean() / medians[used].mean()
        claim = f"intervals of M are about 27% smaller than those of {', '.join(used)}"
        shown = f"{gain:.1%} smaller"
        yield Claim(
            "Marrone, Section IV", claim, RECOMPUTED, shown,
            verdict_of(round(100 * gain) == 27),  # noqa: PLR2004
        )  # fmt: skip


def _marrone_factors(chosen: PublishedParameters) -> Iterator[Claim]:
    for result, rows in framework_or_hardware().frame.groupby("result", sort=False):
        eta = dict(zip(rows["factor"], rows["eta_squared"], strict=True))
        p = dict(zip(rows["factor"], rows["p_value"], strict=True))
        shown = (
            f"eta squared {eta['Framework']:.3f} (p = {p['Framework']:.3g}) against "
            f"{eta['Hardware']:.3f} (p = {p['Hardware']:.3g})"
        )
        claim = f"framework matters more than hardware, for {result}"
        more = eta["Framework"] > eta["Hardware"] and p["Framework"] <= chosen.alpha
        yield Claim("Marrone, Section IV", claim, RECOMPUTED, shown, verdict_of(more))
    tested = anova(marrone(), "dsc ~ configuration").iloc[0]
    yield Claim(
        "Marrone, Section IV", "there are no significant differences among the configurations",
        RECOMPUTED,
        f"one-way analysis of variance of the printed medians: p = {tested['p_value']:.3g}; that "
        "none is found does not show that there is none",
        verdict_of(tested["p_value"] > chosen.alpha),
    )  # fmt: skip


def _marrone_machines(chosen: PublishedParameters) -> Iterator[Claim]:
    runs = marrone()
    distinct = runs.groupby("configuration")[["dsc", "low", "high"]].apply(
        lambda rows: len(rows.drop_duplicates())
    )
    yield Claim(
        "Marrone, Section III", "with all seeds fixed, repetitions on GPUs differ", RECOMPUTED,
        f"different rows of the ten in each table: {', '.join(map(str, distinct))}",
        verdict_of(bool((distinct > 1).all())),
    )  # fmt: skip
    yield Claim(
        "Marrone, Section IV", "several executions on a processor are totally reproducible",
        MEASURED, *processor_repeats(),
    )  # fmt: skip
    yield Claim(
        "Marrone, Section IV", "the cause lies in NVIDIA's libraries, not in framework or GPU",
        STATED, "every row of the tables was computed with these libraries", UNDETERMINED,
    )  # fmt: skip
    yield _matlab(runs, chosen)


def _matlab(runs: pd.DataFrame, chosen: PublishedParameters) -> Claim:
    """Compare what repetitions of the two frameworks scatter, about the median of each cell."""
    crossed = runs[runs["conf"].isin(["B", "C"])]
    centred = crossed["dsc"] - crossed.groupby("configuration")["dsc"].transform("median")
    parts = {name: centred[crossed["framework"] == name] for name in ("K", "M")}
    p_value = float(levene(parts["K"], parts["M"]).pvalue)
    spread = {name: math.sqrt((each**2).mean()) for name, each in parts.items()}
    verdict = UNDETERMINED if p_value > chosen.alpha else verdict_of(spread["M"] < spread["K"])
    return Claim(
        "Marrone, Section IV",
        "MATLAB better compensates for the randomness of training, as its intervals are narrower",
        RECOMPUTED,
        "the intervals are over patients, not over trainings; between repetitions the median "
        f"scatters by {spread['K']:.3f} (K) and {spread['M']:.3f} points (M), B and C together "
        f"(Levene, p = {p_value:.2g})",
        verdict,
    )


def _alahmari_repeats() -> Iterator[Claim]:
    for key, table in _U_NET_TABLES.items():
        rows = read(f"alahmari2020_table_{table}").iloc[:, 1:]
        distinct = len(rows.drop_duplicates())
        yield _repeats(
            f"Alahmari, Table {table}", "the U-Net", key, distinct, repeatable=key == "Pytorch"
        )
    rows = read("alahmari2020_table_7")
    for key in _FRAMEWORKS:
        distinct = len(rows[[f"{key}_Accuracy", f"{key}_FN+FP"]].drop_duplicates())
        yield _repeats("Alahmari, Table 7", "LeNet-5", key, distinct, repeatable=key != "TF1.14")
    yield Claim(
        "Alahmari, Section IX", "PyTorch with the two flags of cuDNN inverted does not repeat",
        STATED, "takes a GPU: notebook 01, framework_regimes=['inverted flags'], device='cuda'",
        UNDETERMINED,
    )  # fmt: skip
    yield Claim(
        "Alahmari, Section IX", "a trained network gives the same when tested on another GPU",
        STATED,
        "takes two GPUs; for threads and instruction sets of a processor see the table "
        "tested_again of notebook 01",
        UNDETERMINED,
    )  # fmt: skip


def _repeats(source: str, network: str, key: str, distinct: int, *, repeatable: bool) -> Claim:
    says = "is repeatable" if repeatable else "is not repeatable"
    return Claim(
        source,
        f"{network} in {_FRAMEWORKS[key]} {says}",
        RECOMPUTED,
        f"different rows of the 7, at the printed digits: {distinct}",
        verdict_of((distinct == 1) == repeatable),
    )


def _alahmari_numbers() -> Iterator[Claim]:
    cells = [cell for n in (3, 4, 5) for cell in read(f"alahmari2020_table_{n}")["Error rate (%)"]]
    possible = {math.floor(1e4 * k / _COUNTED) / 100 for k in range(_COUNTED + 1)}
    fit = [number(cell) in possible for cell in cells]
    yield Claim(
        "Alahmari, Tables 3 to 5", f"error rates are shares of {_COUNTED} cells", RECOMPUTED,
        f"{sum(fit)} of {len(fit)} are k/{_COUNTED} cut off after two decimals",
        verdict_of(all(fit)),
    )  # fmt: skip
    ways = list(degrees_of_freedom().frame["divisor"])
    same = len(set(ways)) == 1 and "neither" not in ways
    yield Claim(
        "Alahmari", "SDs are computed in one way", RECOMPUTED, "; ".join(ways), verdict_of(same)
    )
    for table, column, framework, printed in (
        ("3", "Error rate (%)", "U-Net, TF 1.14", "7.15"),
        ("4", "Error rate (%)", "U-Net, TF 2.1", "7.14"),
        ("7", "TF1.14_Accuracy", "LeNet-5, TF 1.14", "98.99"),
        ("7", "TF2.1_Accuracy", "LeNet-5, TF 2.1", "99.01"),
        ("7", "Pytorch_Accuracy", "LeNet-5, PyTorch", "98.90"),
    ):
        mean = read(f"alahmari2020_table_{table}")[column].map(number).mean()
        near = abs(mean - float(printed)) < 0.01  # noqa: PLR2004 - rounded or cut off
        yield Claim(
            f"Alahmari, Table {table}", f"the mean of {framework} is {printed}%", RECOMPUTED,
            f"{mean:.4f}%", verdict_of(near),
        )  # fmt: skip
    yield from _alahmari_measures()
    yield from _alahmari_times()


def _alahmari_measures() -> Iterator[Claim]:
    rows = read("alahmari2020_table_7")
    fits = [
        abs(number(accuracy) - 100 * (1 - number(errors) / _TEST_IMAGES)) < 0.005 + 1e-9
        for key in _FRAMEWORKS
        for accuracy, errors in rows[[f"{key}_Accuracy", f"{key}_FN+FP"]].to_numpy()
    ]
    yield Claim(
        "Alahmari, Table 7", "accuracy and FN + FP tell the same of 10,000 images", RECOMPUTED,
        f"{sum(fits)} of {len(fits)} pairs agree", verdict_of(all(fits)),
    )  # fmt: skip
    cells = pd.concat([read(f"alahmari2020_table_{n}") for n in (3, 4, 5)], ignore_index=True)
    values = cells[["Dice Coef", "Precision", "Recall", "F1-score"]].map(number)
    harmonic = 2 / (1 / values["Precision"] + 1 / values["Recall"])
    near = (harmonic - values["F1-score"]).abs() <= 0.0015  # noqa: PLR2004 - of three rounded numbers
    yield Claim(
        "Alahmari, Tables 3 to 5", "F1 is the harmonic mean of precision and recall", RECOMPUTED,
        f"{int(near.sum())} of {len(near)} agree to rounding", verdict_of(bool(near.all())),
    )  # fmt: skip
    apart = (values["F1-score"] - values["Dice Coef"]).abs()
    yield Claim(
        "Alahmari, Eq. 4", "Dice is 2|A and B| / (|A| + |B|), which of the same pixels is F1",
        RECOMPUTED, f"they differ in all rows, by {apart.min():.3f} to {apart.max():.3f}",
        verdict_of(bool((apart <= 0.0015).any())),  # noqa: PLR2004
    )  # fmt: skip


def _alahmari_times() -> Iterator[Claim]:
    means = {
        table: read(f"alahmari2020_table_{table}").set_index("metric").map(number).set_axis(
            ["training", "testing"]
        )
        for table in ("2", "6")
    }  # fmt: skip
    asked = (
        ("2", "training", "TensorFlow is faster to train than PyTorch (U-Net)", True),
        ("2", "testing", "TensorFlow is slower to test than PyTorch (U-Net)", False),
        ("6", "training", "TensorFlow 2.1 is faster to train than PyTorch (LeNet-5)", True),
        ("6", "testing", "TensorFlow 2.1 is faster to test than PyTorch (LeNet-5)", True),
    )
    for table, part, claim, faster in asked:
        row = means[table].loc[part]
        times = f"{row['Keras_TF1.14']:g} s, {row['Keras_TF2.1']:g} s and {row['Pytorch']:g} s"
        shown = f"{times} with TensorFlow 1.14, 2.1 and PyTorch"
        if part == "testing":
            shown += "; the two tables disagree about testing"
        holds = (row["Keras_TF2.1"] < row["Pytorch"]) == faster
        yield Claim(f"Alahmari, Table {table}", claim, RECOMPUTED, shown, verdict_of(bool(holds)))


def _alahmari_causes() -> Iterator[Claim]:
    yield equation_2()
    yield adam_matched()
    yield Claim(
        "Alahmari, Figure 5",
        "PyTorch's error rate is higher because Keras initialises by Equation 2",
        COMPUTED,
        "Keras draws from Equation 1, so both started alike in distribution; the figure prints no "
        "numbers",
        REFUTED,
    )
    yield Claim(
        "Alahmari, Section IX",
        "the confusion matrix varies noticeably from LeNet-5 to LeNet-5 of Keras",
        STATED, "no matrix is printed; see class_accuracy of notebook 01", UNDETERMINED,
    )  # fmt: skip
    yield Claim(
        "Alahmari, Section IX", "segmentation varies more than classification",
        STATED, "an error rate of counts and an accuracy have no common unit", UNDETERMINED,
    )  # fmt: skip


def equation_2() -> Claim:
    """Compare the bounds of both equations with what Keras draws.

    Keras scales the variance by ``1 / max(1, (fan_in + fan_out) / 2)`` and draws from
    U(+-sqrt(3 * scale)), which is sqrt(6 / (fan_in + fan_out)): Equation 1. Equation 2 puts 6 where
    the 3 stands.
    """
    area = _KERNEL[0] * _KERNEL[1]
    units = area * _KERNEL[2] + area * _KERNEL[3]
    first, second = math.sqrt(6 / units), math.sqrt(6 / max(1, units / 2))
    shown = (
        f"for a kernel of shape {_KERNEL} the bounds are {first:.4f} (Equation 1) and {second:.4f} "
        f"(Equation 2); the largest weight that Keras 3.15.1 draws is {_LARGEST_BY_KERAS:.4f}"
    )
    holds = first < _LARGEST_BY_KERAS <= second
    return Claim(
        "Alahmari, Section IX", "Keras draws initial weights from Equation 2", COMPUTED, shown,
        verdict_of(holds),
    )  # fmt: skip


def adam_matched() -> Claim:
    """Compare the first steps of Adam in Keras and PyTorch with the same epsilon."""
    rate, gradient, epsilon, beta = 1e-3, 1e-6, 1e-7, 0.999
    pytorch = rate * gradient / (gradient + epsilon)
    root = math.sqrt(1 - beta)
    keras = rate * root * gradient / (root * gradient + epsilon)
    return Claim(
        "Alahmari, Section VI",
        "with the epsilon of Keras, Adam in PyTorch matches that of Keras",
        COMPUTED,
        f"Keras scales epsilon in another way: the first step for a gradient of {gradient:g} is "
        f"{keras:.2e} in Keras and {pytorch:.2e} in PyTorch, epsilon {epsilon:g} in both",
        verdict_of(math.isclose(keras, pytorch, rel_tol=0.01)),
    )


def _thesis() -> Iterator[Claim]:
    pairs = last_and_baseline()
    for metric in METRICS:
        gains = pairs[f"{metric}, last"] - pairs[f"{metric}, baseline"]
        worst = int(gains.to_numpy().argmin())
        shown = (
            f"worse in {int((gains < 0).sum())} of {len(gains)} tables, at worst by "
            f"{-gains.iloc[worst]:.2f} points (Table {pairs['table'].iloc[worst]})"
        )
        if gains.iloc[worst] >= 0:
            shown = f"not worse in any of {len(gains)} tables"
        claim = f"the search always outperforms the baseline, by {metric}"
        holds = bool((gains > 0).all())
        yield Claim("Thesis, chapter 6", claim, RECOMPUTED, shown, verdict_of(holds))
    rows = thesis().dropna(subset=list(METRICS))
    rows = rows[~rows["action"].str.startswith("Baseline")]
    twice = rows[rows.duplicated(list(METRICS), keep=False)]
    shown = "; ".join(
        " = ".join(f"Table {r['table']}, iteration {r['iteration']}" for _, r in same.iterrows())
        for _, same in twice.groupby(list(METRICS))
        if len(set(same["table"])) > 1
    )
    claim = "every row is a training of its own"
    evidence = shown or "no row is printed twice"
    yield Claim("Thesis, chapter 6", claim, RECOMPUTED, evidence, verdict_of(not shown))

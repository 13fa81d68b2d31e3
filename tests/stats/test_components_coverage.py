"""Coverage of the intervals of variance components, and of ICCs with missing cells.

As a test a few dozen tables a design, or a few hundred in `make test-all`;
``python tests/stats/test_components_coverage.py 4000`` prints the tables of
docs/statistics-components.md.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from reprostats.stats.components import limits
from reprostats.stats.factors import random_factors
from reprostats.stats.icc_reml import fit, numbers
from reprostats.stats.pivotal import draws, strata, sum_limits
from reprostats.stats.reml import contrasts

CROSSED = ["case", "init"]
ALL = [*CROSSED, "case:init"]

# name, cases, inits, repeats, share of cells kept, random factors, their standard deviations beside
# a residual of 1
DESIGNS = [
    ("crossed", (10, 5, 1), 1.0, CROSSED, [1.0, 0.5]),
    ("crossed, 40 % missing", (10, 5, 1), 0.6, CROSSED, [1.0, 0.5]),
    ("crossed, two inits", (20, 2, 1), 1.0, CROSSED, [1.0, 0.5]),
    ("crossed, init at 0", (10, 5, 1), 1.0, CROSSED, [1.0, 0.0]),
    ("crossed, both small", (10, 5, 1), 1.0, CROSSED, [0.3, 0.2]),
    ("with interaction", (6, 4, 2), 1.0, ALL, [1.0, 0.5, 0.7]),
    ("with interaction, 30 % missing", (6, 4, 2), 0.7, ALL, [1.0, 0.5, 0.7]),
    ("nested, 25 % missing", (8, 4, 2), 0.75, ["case/init"], [1.0, 0.7]),
    ("one-way, 40 % missing", (10, 5, 1), 0.6, ["case"], [1.0]),
    ("crossed, 25 % missing", (5, 3, 1), 0.75, CROSSED, [1.0, 0.5]),
    ("crossed, both small", (6, 4, 1), 1.0, CROSSED, [0.3, 0.2]),
    ("with interaction, all small", (6, 4, 2), 1.0, ALL, [0.3, 0.2, 0.3]),
]

# subjects, raters, share of cells kept, standard deviations of subjects and raters beside 1
LAYOUTS = [
    (15, 4, 0.7, 2.0, 0.5),
    (15, 4, 0.7, 1.0, 1.0),
    (10, 3, 0.8, 1.0, 0.5),
    (30, 5, 0.5, 0.5, 0.3),
]


def layout(shape, keep):
    case, init, _ = np.indices(shape).reshape(3, -1)
    return pd.DataFrame({"case": case, "init": init}).sample(frac=keep, random_state=0)


def coverage(shape, keep, random, sds, tables):
    """Give the share of 95 % intervals that hold the truth: each component, residual, total."""
    table, rng = layout(shape, keep), np.random.default_rng(31)
    factors = random_factors(table, random)
    variances = np.append(np.square(sds), 1.0)
    truth = np.append(variances, variances.sum())
    hits = np.zeros(len(truth))
    for _ in range(tables):
        y = rng.normal(size=len(table))
        for sd, factor in zip(sds, factors, strict=True):
            y = y + sd * rng.normal(size=factor.levels)[factor.codes]
        data = contrasts(y, np.ones((len(y), 1)), factors)
        layers = strata(data, factors)
        ends = limits(draws(data, factors, layers), 0.95)
        total = np.array(sum_limits(data, layers, np.ones((1, len(variances))), 0.025))
        low, high = np.hstack([ends, total])
        hits += (low <= truth) & (truth <= high)
    return hits / tables


def icc_coverage(subjects, raters, keep, sd, shift, tables):
    """Give coverage of 95 % intervals, and rejection at 5 % of the true value, (2, models)."""
    rng = np.random.default_rng(37)
    empty = rng.permutation(subjects * raters)[: round((1 - keep) * subjects * raters)]
    truth = {"agreement": sd**2 / (sd**2 + shift**2 + 1), "consistency": sd**2 / (sd**2 + 1)}
    hits = np.zeros((2, 2))
    for _ in range(tables):
        ratings = sd * rng.normal(size=(subjects, 1)) + shift * rng.normal(size=(1, raters))
        ratings = ratings + rng.normal(size=(subjects, raters))
        ratings.flat[empty] = np.nan
        for place, (model, true) in enumerate(truth.items()):
            found = numbers(fit(ratings, model), 1, 0.95, true, "psych")
            hits[0, place] += found["ci_low"] <= true <= found["ci_high"]
            hits[1, place] += found["p_value"] < 0.05
    return hits / tables


@pytest.mark.parametrize("tables", [40, pytest.param(400, marks=pytest.mark.long)])
@pytest.mark.parametrize(("shape", "keep", "random", "sds"), [design[1:] for design in DESIGNS])
def test_components(shape, keep, random, sds, tables):
    found, error = coverage(shape, keep, random, sds, tables), np.sqrt(0.95 * 0.05 / tables)
    assert (found > 0.95 - 4 * error).all()
    assert (found[:-1][np.append(sds, 1.0) > 0.5] < 0.95 + 3 * error).all()


@pytest.mark.parametrize("tables", [50, pytest.param(500, marks=pytest.mark.long)])
@pytest.mark.parametrize("layout_", LAYOUTS)
def test_icc(layout_, tables):
    covered, rejected = icc_coverage(*layout_, tables)
    error = np.sqrt(0.95 * 0.05 / tables)
    assert (np.abs(covered - 0.95) < 4 * error).all()
    assert (np.abs(rejected - 0.05) < 4 * error).all()


def main(tables: int) -> None:
    for name, *design in DESIGNS:
        sys.stdout.write(f"{name} {design}: {100 * coverage(*design, tables)}\n")
        sys.stdout.flush()
    for layout_ in LAYOUTS:
        covered, rejected = 100 * icc_coverage(*layout_, tables)
        sys.stdout.write(f"{layout_}: covered {covered}, rejected {rejected}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    np.set_printoptions(precision=1)
    main(int(sys.argv[1]))

"""Ratings that are far from normal: who is told so, and what the bootstrap covers."""

from __future__ import annotations

import numpy as np
import pytest

from reprostats import icc
from reprostats.errors import InputError
from reprostats.stats.icc_shape import bootstrap_interval, is_far_from_normal

DRAWS = {
    "normal": lambda generator, size: generator.normal(size=size),
    "t5": lambda generator, size: generator.standard_t(5, size=size) / (5 / 3) ** 0.5,
    "lognormal": lambda generator, size: np.exp(generator.normal(size=size)) / 2.161197,
}


def ratings(generator, shape, coefficient, subjects="normal"):
    of_subjects = DRAWS[subjects](generator, (shape[0], 1))
    return coefficient**0.5 * of_subjects + (1 - coefficient) ** 0.5 * generator.normal(size=shape)


class TestNote:
    @pytest.mark.parametrize("shape", [(8, 2), (30, 3), (100, 5)])
    def test_normal_ratings_are_rarely_noted(self, shape):
        """At a level of 1 %: 0.0 to 1.5 % in 15 designs, 1,000 tables each."""
        generator = np.random.default_rng(1)
        found = [is_far_from_normal(ratings(generator, shape, 0.7)) for _ in range(300)]
        assert sum(found) <= 10  # of 3 that are expected; P(more) is 3e-4 for a level of 1 %

    @pytest.mark.parametrize(("subjects", "least"), [("lognormal", 95), ("t5", 30)])
    def test_long_tails_are_noted(self, subjects, least):
        generator = np.random.default_rng(2)
        found = [
            is_far_from_normal(ratings(generator, (100, 3), 0.8, subjects)) for _ in range(100)
        ]
        assert sum(found) >= least

    def test_note_of_icc(self):
        generator = np.random.default_rng(3)
        skewed = ratings(generator, (100, 3), 0.8, "lognormal")
        assert icc(skewed)["note"].str.contains("far from normal").all()
        assert not icc(skewed, interval="bootstrap")["note"].any()
        assert not icc(ratings(generator, (100, 3), 0.8))["note"].any()


class TestBootstrap:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("subjects", "least"), [("normal", 0.91), ("t5", 0.87), ("lognormal", 0.80)]
    )
    def test_coverage(self, subjects, least):
        """ICC(1,1) of 0.9, 60 subjects; 100 studies, standard error 2 to 4 points."""
        generator, hits = np.random.default_rng(4), 0
        for _ in range(100):
            table = ratings(generator, (60, 3), 0.9, subjects)
            low, high = bootstrap_interval(table, "one-way", 0.95)
            hits += low <= 0.9 <= high
        assert hits / 100 >= least

    def test_holds_the_estimate(self):
        table = ratings(np.random.default_rng(5), (40, 3), 0.7)
        found = icc(table, interval="bootstrap")
        assert (found["ci_low"] < found["icc"]).all()
        assert (found["icc"] < found["ci_high"]).all()

    def test_is_near_the_exact_interval_of_normal_ratings(self):
        table = ratings(np.random.default_rng(6), (400, 3), 0.7)
        found, exact = icc(table, interval="bootstrap"), icc(table)
        for limit in ("ci_low", "ci_high"):
            assert found[limit].tolist() == pytest.approx(exact[limit].tolist(), abs=0.02)

    def test_does_not_depend_on_unit_or_offset(self):
        table = ratings(np.random.default_rng(7), (20, 2), 0.7)
        found = icc(table, interval="bootstrap")
        moved = icc(1024 * table + 64, interval="bootstrap")
        columns = ["icc", "ci_low", "ci_high"]
        np.testing.assert_allclose(found[columns], moved[columns], rtol=1e-6)

    def test_few_subjects_are_noted(self):
        table = ratings(np.random.default_rng(8), (6, 3), 0.7)
        assert icc(table, interval="bootstrap")["note"].str.contains("few subjects").all()

    def test_needs_every_cell(self):
        with pytest.raises(InputError, match="no rating of subject 0 by rater 1"):
            icc([[1, np.nan], [2, 3], [4, 4]], interval="bootstrap")
        with pytest.raises(InputError, match="needs the mean squares"):
            icc([[1, 2], [2, 3], [4, 4]], interval="bootstrap", method="reml")

"""Tests of fixed effects in a mixed model of repeated measures.

References
----------
.. [1] A. Kuznetsova, P. B. Brockhoff and R. H. B. Christensen, "lmerTest package: tests in linear
   mixed effects models", Journal of Statistical Software 82(13) (2017).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.stats.checks import count
from reprostats.stats.components import Components, fit_components
from reprostats.stats.f_distribution import f_upper_tail
from reprostats.stats.kenward_roger import KenwardRoger
from reprostats.stats.precision import centre

Floats = NDArray[np.float64]
DegreesOfFreedom = Literal["satterthwaite", "kenward-roger"]

DEGREES_OF_FREEDOM: dict[DegreesOfFreedom, str] = {
    "satterthwaite": "Satterthwaite's degrees of freedom",
    "kenward-roger": "Kenward and Roger's degrees of freedom",
}


def mixed_model_tests(
    used: pd.DataFrame,
    value: str,
    subject: str,
    within: list[str],
    terms: list[tuple[str, ...]],
    missing: int,
    degrees_of_freedom: DegreesOfFreedom,
) -> pd.DataFrame:
    """Test the terms of a mixed model of every observation.

    Parameters
    ----------
    used
        One observation a row.
    value, subject, within
        Columns of the response, of the subjects and of the factors that vary within them.
    terms
        The fixed part, as names of factors; the first is empty, the last names them all.
    missing
        Cells without observation, for the note.
    degrees_of_freedom
        Whose they are.

    Returns
    -------
    DataFrame
        One row a term but the first: ``source``, ``df``, ``df_error``, ``f``, ``p_value``,
        ``partial_eta_squared``, ``note``.

    Raises
    ------
    InputError
        If nothing is left for the residual, or a cell of the fixed factors is empty.
    """
    factors = [*terms[-1]]
    named = used.assign(**{name: used[name].map("level {}".format) for name in factors})
    random = [subject]
    if len(within) > 1:
        random += [f"{subject}:{name}" for name in within]
    fitted = fit_components(named, value=value, random=random, fixed=[":".join(factors)])
    model = _MixedModel.of(fitted, used, value, terms)
    word = (
        f"{count(missing, 'cell')} missing: mixed model, {DEGREES_OF_FREEDOM[degrees_of_freedom]}"
    )
    rows = []
    for names in terms[1:]:
        f, df, df_error = model.test(names, degrees_of_freedom)
        row: dict[str, Any] = {"source": ":".join(names), "df": df, "df_error": df_error, "f": f}
        row |= {"p_value": float(f_upper_tail(f, df, df_error)), "note": word}
        row["partial_eta_squared"] = df * f / (df * f + df_error)
        rows.append(row)
    return pd.DataFrame(rows)


class _MixedModel(NamedTuple):
    """Fixed effects of a mixed model, coded to sum to zero, with what their tests need.

    ``active`` are the places of the variances that are not at 0, and ``uncertainty`` is the
    covariance of these.
    """

    kenward_roger: KenwardRoger
    active: list[int]
    uncertainty: Floats
    places: dict[tuple[str, ...], slice]
    contrasts: dict[tuple[str, ...], Floats]

    @classmethod
    def of(
        cls, fitted: Components, used: pd.DataFrame, value: str, terms: list[tuple[str, ...]]
    ) -> _MixedModel:
        """Estimate the fixed effects at the variances of a fit.

        Raises
        ------
        InputError
            If nothing is left for the residual, or a cell of the fixed factors is empty.
        """
        if fitted.likelihood is None or not fitted.data.has_residual:
            raise InputError("nothing varies beside the fixed part: the mixed model has no error")
        columns = [_sum_to_zero(used, names) for names in terms]
        design = np.hstack(columns)
        if np.linalg.matrix_rank(design) < design.shape[1]:
            raise InputError(
                "no subject was measured in some cell of the factors: "
                "type 3 tests are not defined; leave out a level"
            )
        ends = np.cumsum([0, *(part.shape[1] for part in columns)])
        places = {names: slice(*ends[i : i + 2]) for i, names in enumerate(terms)}
        raw = fitted.raw
        kernels = [(f.codes[:, None] == f.codes).astype(float) for f in fitted.factors]
        kernels.append(np.eye(len(used)))
        total = sum(variance * kernel for variance, kernel in zip(raw, kernels, strict=True))
        weighted = np.linalg.solve(total, design)
        covariance = np.asarray(np.linalg.inv(design.T @ weighted), dtype=np.float64)
        measured = centre(used[value].to_numpy(dtype=np.float64) / fitted.scale)
        active = [place for place, variance in enumerate(raw) if variance > 0]
        information = fitted.likelihood.observed[np.ix_(active, active)]
        effects = covariance @ (weighted.T @ measured)
        adjusted = KenwardRoger.of(
            effects, weighted, covariance, total, kernels, fitted.likelihood.expected
        )
        uncertainty = np.asarray(np.linalg.inv(information), dtype=np.float64)
        contrasts = {names: _differences(used, names, len(terms)) for names in terms}
        return cls(adjusted, active, uncertainty, places, contrasts)

    def test(
        self, names: tuple[str, ...], degrees_of_freedom: DegreesOfFreedom
    ) -> tuple[float, int, float]:
        """Return F of a term and its degrees of freedom."""
        contrasts = np.zeros((len(self.contrasts[names]), len(self.kenward_roger.effects)))
        contrasts[:, self.places[names]] = self.contrasts[names]
        if degrees_of_freedom == "kenward-roger":
            return self.kenward_roger.test(contrasts)
        return self._satterthwaite(contrasts)

    def _satterthwaite(self, contrasts: Floats) -> tuple[float, int, float]:
        """Return F and its degrees of freedom.

        These depend on the contrasts that span the term, if there are several: they are the ones
        that lmerTest takes under R's default coding.
        """
        sizes, axes = np.linalg.eigh(contrasts @ self.kenward_roger.covariance @ contrasts.T)
        rows = axes.T @ contrasts
        squares = (rows @ self.kenward_roger.effects) ** 2 / sizes
        slopes = np.einsum("ai,kij,aj->ka", rows, self.kenward_roger.slopes[self.active], rows)
        degrees = 2 * sizes**2 / np.einsum("ka,kl,la->a", slopes, self.uncertainty, slopes)
        return float(squares.mean()), len(sizes), _pooled(degrees)


def _differences(used: pd.DataFrame, names: tuple[str, ...], terms: int) -> Floats:
    """Return contrasts of a term in its sum-to-zero effects: differences to the first level.

    A factor that is alone in its model has them made triangular by the numbers of observations,
    as type 1 contrasts are; lmerTest does so, and the degrees of freedom depend on it.
    """
    contrasts = np.ones((1, 1))
    for name in names:
        size = used[name].nunique()
        levels = np.vstack([np.eye(size - 1), -np.ones(size - 1)])
        contrasts = np.kron(contrasts, levels[1:] - levels[0])
    if terms == 2 and names:  # noqa: PLR2004
        design = np.eye(len(contrasts) + 1)[used[names[0]].to_numpy()]
        design[:, 0] = 1
        factor = np.linalg.cholesky(design.T @ design)
        contrasts = (factor / np.diag(factor)).T[1:, 1:] @ contrasts
    return contrasts


def _pooled(degrees: Floats) -> float:
    """Return the degrees of freedom of a mean of squared t with these degrees of freedom."""
    if np.ptp(degrees) < 1e-8 * degrees.max():
        return float(degrees.mean())
    if (degrees <= 2).any():  # noqa: PLR2004
        return 2.0
    expectation = float((degrees / (degrees - 2)).sum())
    return 2 * expectation / (expectation - len(degrees))


def _sum_to_zero(used: pd.DataFrame, names: tuple[str, ...]) -> Floats:
    columns = np.ones((len(used), 1))
    for name in names:
        size = used[name].nunique()
        coded = np.vstack([np.eye(size - 1), -np.ones(size - 1)])[used[name].to_numpy()]
        columns = (columns[:, :, None] * coded[:, None, :]).reshape(len(used), -1)
    return columns

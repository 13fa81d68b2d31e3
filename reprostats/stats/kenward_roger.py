"""Tests of fixed effects with Kenward and Roger's degrees of freedom.

With observations y of covariance V = sum_k s_k G_k, X the design of the fixed part, W the
covariance of the estimated variances s (the inverse of the expected information), Phi the inverse
of X' V^-1 X, and S_k = Phi X' V^-1 G_k V^-1 X Phi, the derivative of Phi by s_k, the covariance of
the effects is taken as

    Phi + 2 sum_ij W_ij (Phi X' V^-1 G_i V^-1 G_j V^-1 X Phi - S_i Phi^-1 S_j)

F of a term is scaled, and its degrees of freedom chosen, so that its mean and variance are those of
an F distribution. Variances at 0 count, as in R's pbkrtest.

References
----------
.. [1] M. G. Kenward and J. H. Roger, "Small sample inference for fixed effects from restricted
   maximum likelihood", Biometrics 53(3), 983-997 (1997).
.. [2] U. Halekoh and S. Hojsgaard, "A Kenward-Roger approximation and parametric bootstrap methods
   for tests in linear mixed models - the R package pbkrtest", Journal of Statistical Software
   59(9) (2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NEAR_2 = 1e-2  # the scale has a pole in 2 degrees of freedom; pbkrtest leaves it at 1 so near


@dataclass(frozen=True)
class KenwardRoger:
    """Fixed effects with both covariances, shape (effects, effects).

    Parameters
    ----------
    effects
        Shape (effects,).
    covariance, adjusted
        Phi and what it is adjusted to.
    slopes
        S of each variance, shape (variances, effects, effects).
    uncertainty
        W, shape (variances, variances).
    """

    effects: Floats
    covariance: Floats
    adjusted: Floats
    slopes: Floats
    uncertainty: Floats

    @classmethod
    def of(
        cls,
        effects: Floats,
        weighted: Floats,
        covariance: Floats,
        total: Floats,
        kernels: Sequence[Floats],
        information: Floats,
    ) -> KenwardRoger:
        """Adjust the covariance of effects.

        Parameters
        ----------
        effects, covariance
            As of the class.
        weighted
            V^-1 X, shape (n, effects).
        total, kernels
            V and the G_k, shape (n, n).
        information
            Of the variances, expected, shape (variances, variances).
        """
        uncertainty = np.asarray(np.linalg.inv(information), dtype=np.float64)
        pushed = np.stack([kernel @ weighted @ covariance for kernel in kernels])
        solved = np.stack([np.linalg.solve(total, part) for part in pushed])
        slopes = np.einsum("ne,knf->kef", weighted @ covariance, pushed)
        inside = np.einsum("ij,ine,jnf->ef", uncertainty, pushed, solved)
        inverse = np.linalg.inv(covariance)
        inside -= np.einsum("ij,iae,ef,jfb->ab", uncertainty, slopes, inverse, slopes)
        return cls(effects, covariance, covariance + 2 * inside, slopes, uncertainty)

    def test(self, contrasts: Floats) -> tuple[float, int, float]:
        """Return the scaled F of contrasts that are all 0, and its degrees of freedom.

        Parameters
        ----------
        contrasts
            Shape (contrasts, effects), of full rank.
        """
        size = len(contrasts)
        estimate = contrasts @ self.effects
        wald = estimate @ np.linalg.solve(contrasts @ self.adjusted @ contrasts.T, estimate) / size
        inverse = np.linalg.inv(contrasts @ self.covariance @ contrasts.T)
        # How much the covariance of the contrasts changes with each variance, in units of itself.
        relative = inverse @ (contrasts @ self.slopes @ contrasts.T)
        traces = np.trace(relative, axis1=1, axis2=2)
        first = float(traces @ self.uncertainty @ traces)
        second = float(np.einsum("ij,iab,jba->", self.uncertainty, relative, relative))
        scale, df = _scale_and_df(first, second, size)
        return scale * float(wald), size, df


def _scale_and_df(first: float, second: float, size: int) -> tuple[float, float]:
    """Match the first two moments of F; A1, A2, B, g and c of Kenward and Roger [1]_."""
    spread = (first + 6 * second) / (2 * size)
    g = ((size + 1) * first - (size + 4) * second) / ((size + 2) * second)
    below = 3 * size + 2 * (1 - g)
    c1, c2, c3 = g / below, (size - g) / below, (size + 2 - g) / below
    rest = 1 - second / size
    rho = (rest / (1 - c2 * spread)) ** 2 * (1 + c1 * spread) / (1 - c3 * spread) / size
    df = 4 + (size + 2) / (size * rho - 1)
    return 1.0 if abs(df - 2) < _NEAR_2 else df * rest / (df - 2), df

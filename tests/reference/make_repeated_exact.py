"""Write repeated_exact_expected.csv: F of mixed models at the optimum of the likelihood.

Run it with ``python make_repeated_exact.py DESIGN...``; designs are those of repeated_data.csv.
Everything is done in 40 digits by mpmath 1.3: the restricted likelihood's slope is brought to 0 by
Newton's steps over the variances that are not 0, and F follows from the definition, contrasts coded
to sum to zero. Written without the package, so as to judge between it and R.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
import numpy as np
import pandas as pd
import patsy
from scipy.optimize import minimize

HERE = Path(__file__).parent
mp.mp.dps = 40


class Model:
    """Response, design and kernels of a mixed model; variances are ratios to the residual's."""

    def __init__(self, table: pd.DataFrame) -> None:
        within = [name for name in ("a", "b") if table[name].nunique() > 1]
        factors = (["group"] if table["group"].nunique() > 1 else []) + within
        design = patsy.dmatrix(" * ".join(f"C({name}, Sum)" for name in factors), table)
        self.terms = design.design_info.term_name_slices
        random = [["subject"], *([["subject", name] for name in within] if within[1:] else [])]
        codes = [table.groupby(names).ngroup().to_numpy() for names in random]
        self.plain = (
            np.asarray(design),
            ((table["y"] - table["y"].mean()) / table["y"].std()).to_numpy(),
            [(code[:, None] == code).astype(float) for code in codes],
        )
        exact = [mp.mpf(str(value)) for value in table["y"]]
        middle, spread = sum(exact) / len(exact), mp.mpf(float(table["y"].std()))
        self.response = mp.matrix([(value - middle) / spread for value in exact])
        self.design = mp.matrix(self.plain[0].tolist())
        self.kernels = [mp.matrix(kernel.tolist()) for kernel in self.plain[2]]

    def deviance(self, roots: np.ndarray) -> float:
        design, response, kernels = self.plain
        covariance = np.eye(len(response)) + sum(
            root**2 * kernel for root, kernel in zip(roots, kernels, strict=True)
        )
        weighted = np.linalg.solve(covariance, design)
        information = design.T @ weighted
        rest = response - design @ np.linalg.solve(information, weighted.T @ response)
        size = (len(response) - design.shape[1]) * np.log(rest @ np.linalg.solve(covariance, rest))
        return size + np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1]

    def near(self) -> np.ndarray:
        options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 9000}
        starts = (np.full(len(self.kernels), size) for size in (0.5, 1.5, 0.05))
        fits = [minimize(self.deviance, s, method="Nelder-Mead", options=options) for s in starts]
        return np.abs(min(fits, key=lambda fit: fit.fun).x)

    def solve(self, ratios: list) -> tuple:
        """Give the slopes of the deviance, the effects, their covariance and the variance."""
        rows = self.response.rows
        covariance = mp.eye(rows)
        for ratio, kernel in zip(ratios, self.kernels, strict=True):
            covariance += ratio * kernel
        inverse = covariance**-1
        weighted = self.design.T * inverse
        spread = (weighted * self.design) ** -1
        effects = spread * (weighted * self.response)
        rest = inverse * (self.response - self.design * effects)
        variance = (self.response.T * rest)[0] / (rows - self.design.cols)
        projection = inverse - weighted.T * spread * weighted
        slopes = [
            mp.fsum(projection[i, j] * kernel[j, i] for i in range(rows) for j in range(rows))
            - (rest.T * kernel * rest)[0] / variance
            for kernel in self.kernels
        ]
        return slopes, effects, spread, variance

    def optimum(self) -> list:
        roots = self.near()
        free = [place for place, root in enumerate(roots) if root > 1e-3]
        ratios = [mp.mpf(root) ** 2 if root > 1e-3 else mp.mpf(0) for root in roots]
        step = mp.mpf(10) ** -15
        for _ in range(12 if free else 0):
            slopes = self.solve(ratios)[0]
            curvature = mp.matrix(len(free))
            for column, place in enumerate(free):
                moved = [r + step * (i == place) for i, r in enumerate(ratios)]
                there = self.solve(moved)[0]
                for row, other in enumerate(free):
                    curvature[row, column] = (there[other] - slopes[other]) / step
            change = mp.lu_solve(curvature, mp.matrix([slopes[place] for place in free]))
            for row, place in enumerate(free):
                ratios[place] -= change[row]
            if max(abs(value) for value in change) < mp.mpf(10) ** -18:
                break
        return ratios

    def tests(self) -> dict[str, float]:
        ratios = self.optimum()
        slopes, effects, spread, variance = self.solve(ratios)
        # at an optimum a variance above 0 has no slope, one at 0 rises from there
        signs = zip(ratios, slopes, strict=True)
        assert all(abs(slope) < 1e-12 if ratio else slope > 0 for ratio, slope in signs)
        found = {}
        for term, place in list(self.terms.items())[1:]:
            rows = range(place.start, place.stop)
            part = mp.matrix([effects[i] for i in rows])
            block = mp.matrix([[spread[i, j] for j in rows] for i in rows])
            name = term.replace("C(", "").replace(", Sum)", "")
            found[name] = float((part.T * block**-1 * part)[0] / variance / len(rows))
        return found


def main(names: list[str]) -> None:
    tables = dict(list(pd.read_csv(HERE / "repeated_data.csv").groupby("design")))
    rows = [
        {"design": name, "source": source, "f": f}
        for name in names
        for source, f in Model(tables[name]).tests().items()
    ]
    pd.DataFrame(rows).to_csv(HERE / "repeated_exact_expected.csv", index=False)


if __name__ == "__main__":
    main(sys.argv[1:])

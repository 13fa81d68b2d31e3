"""Coefficients of the complementary error function; `tests/portable_arithmetic` computes them anew.

With t = 2 / (2 + x), erfc(x) = t exp(-x**2 + P(t)) for x from 0 on. P is the Chebyshev series whose
coefficients are given here, in the variable 2 t - 1 from -1 to 1; the first counts half. They are
those of the interpolation of P in 64 Chebyshev nodes, computed with 200 bits, and cut where they
fall below 1e-17.
"""

from __future__ import annotations

ERFC_COEFFICIENTS = (
    -1.3026537197817094,
    0.6419697923564902,
    0.019476473204185836,
    -0.009561514786808632,
    -0.0009465953444820369,
    0.00036683949785276145,
    4.252332480690777e-05,
    -2.0278578112534242e-05,
    -1.6242900046470256e-06,
    1.3036558355805232e-06,
    1.5626441722066142e-08,
    -8.523809591492654e-08,
    6.5290544390988515e-09,
    5.059343495551469e-09,
    -9.91364156493033e-10,
    -2.273651222931836e-10,
    9.646791102015527e-11,
    2.3940380830391146e-12,
    -6.886027526497553e-12,
    8.944879273090725e-13,
    3.130921399342958e-13,
    -1.1270822361367252e-13,
    3.810905255189232e-16,
    7.106097613609237e-15,
    -1.5230282014571043e-15,
    -9.457494571291233e-17,
    1.210237189224279e-16,
    -2.816663087747177e-17,
)

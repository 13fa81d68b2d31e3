"""Factorial designs: which combinations of levels are tried.

References
----------
.. [1] Box, Hunter, Hunter: Statistics for Experimenters, 2nd ed. (2005), chapters 5 and 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

from reprostats.errors import InputError
from reprostats.sources import Level

Setting = dict[str, Level]

_PAIR = 2


def full_factorial(levels: Mapping[str, Sequence[Level]]) -> list[Setting]:
    """Return every combination of the levels of some sources.

    Parameters
    ----------
    levels
        At least one level for each source.

    Raises
    ------
    InputError
        If a source has no level, or one twice.

    Examples
    --------
    >>> full_factorial({"init": [1, 2], "threads": [1]})
    [{'init': 1, 'threads': 1}, {'init': 2, 'threads': 1}]
    """
    for name, each in levels.items():
        if not len(each) or len(set(each)) < len(each):
            raise InputError(f"source {name!r} has the levels {list(each)}; need some, each once.")
    return [dict(zip(levels, each, strict=True)) for each in product(*levels.values())]


def fractional_factorial(levels: Mapping[str, Sequence[Level]], runs: int) -> list[Setting]:
    """Return a regular fraction of the combinations of sources with two levels each.

    Effects of the sources can be told apart as long as they share no word of the design with one
    another; `resolution` says which: at III main effects are mixed with interactions of two
    sources, at IV only with those of three, and at V interactions of two are apart from each
    other too [1]_.

    Parameters
    ----------
    levels
        Two levels for each source.
    runs
        Combinations to try: a power of two, more than there are sources, and at most 2 to the
        power of their number. Of all designs of that size, one of the highest resolution is taken.

    Raises
    ------
    InputError
        If a source has not two levels, or the number of runs does not fit.

    Examples
    --------
    Half of 2³, of resolution III: the third source follows from the other two.

    >>> for setting in fractional_factorial({"a": [0, 1], "b": [0, 1], "c": [0, 1]}, runs=4):
    ...     print(setting)
    {'a': 0, 'b': 0, 'c': 0}
    {'a': 0, 'b': 1, 'c': 1}
    {'a': 1, 'b': 0, 'c': 1}
    {'a': 1, 'b': 1, 'c': 0}
    """
    names = list(levels)
    for name in names:
        if len(set(levels[name])) != _PAIR or len(levels[name]) != _PAIR:
            raise InputError(f"source {name!r} has the levels {list(levels[name])}; two are due.")
    basic = _basic(len(names), runs)
    _, generators = _best(len(names), basic)
    return [
        {name: levels[name][int(bit)] for name, bit in zip(names, row, strict=True)}
        for row in _rows(basic, generators)
    ]


def resolution(sources: int, runs: int) -> float:
    """Return the resolution of `fractional_factorial`: the length of its shortest word.

    Infinite for a full design, which mixes nothing.

    Examples
    --------
    >>> resolution(5, 16), resolution(6, 16), resolution(3, 8)
    (5, 4, inf)
    """
    return _best(sources, _basic(sources, runs))[0]


def _basic(sources: int, runs: int) -> int:
    """Return the number of sources that are crossed; the others follow from them."""
    basic = runs.bit_length() - 1
    if runs < 1 or runs != 1 << basic or not basic <= sources < max(runs, _PAIR):
        fit = [1 << n for n in range(1, sources + 1) if 1 << n > sources]
        raise InputError(f"{runs} runs for {sources} sources; possible are {fit}.")
    return basic


def _best(sources: int, basic: int) -> tuple[float, tuple[int, ...]]:
    """Return the highest resolution and the generators that reach it.

    A generator is a set of crossed sources, as bits, whose product makes one more source.
    """
    candidates = [word for word in range(1, 1 << basic) if word.bit_count() >= _PAIR]
    candidates.sort(key=lambda word: -word.bit_count())
    chosen = combinations(candidates, sources - basic)
    best: tuple[float, tuple[int, ...]] = (0, ())
    for generators in chosen:
        reached = _shortest_word(generators, basic)
        if reached > best[0]:
            best = (reached, generators)
        if reached > basic:  # no design has more
            break
    return best


def _shortest_word(generators: Sequence[int], basic: int) -> float:
    """Return the length of the shortest product of defining words."""
    words = [word | 1 << basic + place for place, word in enumerate(generators)]
    lengths = [
        _product(subset).bit_count()
        for size in range(1, len(words) + 1)
        for subset in combinations(words, size)
    ]
    return min(lengths, default=math.inf)


def _product(words: Sequence[int]) -> int:
    found = 0
    for word in words:
        found ^= word
    return found


def _rows(basic: int, generators: Sequence[int]) -> Iterator[list[int]]:
    """Return the level of every source, 0 or 1, in every run."""
    for bits in product((0, 1), repeat=basic):
        made = [sum(bit for place, bit in enumerate(bits) if word >> place & 1) % 2
                for word in generators]  # fmt: skip
        yield [*bits, *made]

"""Corrections for having asked about many heads, and intervals over few windows. Plain arrays in and out."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from vitime_cache.arrays import Array

FEWEST_WINDOWS = 5  # for a sign-flip test at 5 %: 2^-5 = 0.031
MOST_FLIPS = 4096


def holm(p_value: ArrayLike, asked: ArrayLike | None = None) -> Array:
    """p-values corrected over the entries asked about, NaN elsewhere (Holm, Scandinavian J. of Statistics 1979)."""
    p = np.asarray(p_value, dtype=np.float64)
    known = np.isfinite(p) if asked is None else np.isfinite(p) & np.asarray(asked, dtype=bool)
    corrected = np.full(p.shape, np.nan)
    ordered = np.sort(p[known])
    factor = np.arange(len(ordered), 0, -1)
    stepped = np.minimum(np.maximum.accumulate(ordered * factor), 1)
    corrected[known] = stepped[np.argsort(np.argsort(p[known], kind="stable"), kind="stable")]
    return corrected


def sign_flip_p(values: ArrayLike, seed: int = 0) -> Array:
    """Probability of a mean as large under random signs of each window, the maximum over heads; (window, ...) → (...).

    Every pattern of signs is taken where there are at most `MOST_FLIPS`, else that many drawn from `seed`. A head's
    mean is divided by the root mean square of its values, so that heads of all sizes count alike. NaN with fewer than
    `FEWEST_WINDOWS` windows, which could not reach 5 %, and for heads that lack a value in any window.
    """
    given = np.asarray(values, dtype=np.float64)
    windows, known = len(given), np.isfinite(given).all(axis=0)
    p_value = np.full(given.shape[1:], np.nan)
    if windows < FEWEST_WINDOWS or not known.any():
        return p_value
    x = given[:, known]  # (window, heads)
    if 2**windows <= MOST_FLIPS:
        signs = np.array(list(product((1, -1), repeat=windows)))
    else:
        signs = np.random.default_rng(seed).choice((1, -1), (MOST_FLIPS, windows))
        signs[0] = 1  # what was observed is one of the patterns
    size = np.sqrt((x**2).mean(axis=0))
    scaled = x / np.where(size > 0, size, 1)
    means = signs @ scaled / windows  # (pattern, heads)
    p_value[known] = (means.max(axis=1)[:, None] >= means[0] - 1e-12).mean(axis=0)
    return p_value


def interval_over_windows(values: ArrayLike, seed: int = 0, draws: int = 2000) -> tuple[Array, Array]:
    """95 % bootstrap interval of the mean over windows, (window, ...) → two of (...); NaN with fewer than three."""
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 3:
        nothing = np.full(x.shape[1:], np.nan)
        return nothing, nothing
    drawn = np.random.default_rng(seed).multinomial(len(x), np.full(len(x), 1 / len(x)), draws) / len(x)
    means = np.tensordot(drawn, x, axes=1)
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    return low, high

"""Tests lag curves of a signal against bands of null inputs, at any lag.

A verdict uses `nulls`; this test has the same inputs, but compares curves over lags instead of contrasts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Array
from vitime_cache.attention import schema
from vitime_cache.attention.lags import MIN_PAIRS, REGIONS, Region, diagonal_means, lag_curve, pair_counts
from vitime_cache.attention.peaks import SHORTEST_PERIOD
from vitime_cache.attention.schema import QUERY_PATCH
from vitime_cache.checks import called, choice, numbers, positive, whole
from vitime_cache.evidence.levels.claimed import LEVEL
from vitime_cache.evidence.levels.nulls import MOST_NULLS, fewest_nulls, null_inputs
from vitime_cache.model.checkpoint import check_model
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.series.signal import Signal
from vitime_cache.stats.max_statistic import max_statistic
from vitime_cache.stats.surrogates import Null, NullError

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime


@dataclass(frozen=True, eq=False)
class Dependence:
    """Lag curves of every head against the bands of several kinds of null inputs.

    Attributes
    ----------
    lags
        The tested lags in samples into the past, (L,).
    exceeded
        Where a curve leaves the bands of all kinds, (layer, head, L).
    p_value
        By kind: how often a null lies as far out as the signal, over all heads and lags tested.
    """

    lags: Array
    exceeded: NDArray[np.bool_]
    p_value: Mapping[Null, float]


def null_curves(
    model: ViTime,
    history: Signal | ArrayLike | xr.Dataset,
    horizon: int,
    *,
    period: float | None = None,
    region: Region = "all",
    n: int = fewest_nulls(LEVEL),
    seed: int = 0,
    progress: Callable[[float], object] | None = None,
) -> dict[Null, Array]:
    """Lag curves of every head on `n` null inputs of each kind, (n, layer, head, L).

    Parameters
    ----------
    history
        The series (T,) from which the nulls are made, or a signal or Dataset with it.
    period
        In samples. If given, there are also notched nulls, which lack it and its harmonics.
    progress
        Called with the share done after each run of the model, n or 2 or 3 times n in all.

    Raises
    ------
    NullError, SignalError, EncodingError
        For a history from which no null can be made, or that does not fit the model.
    """
    from vitime_cache.attention.capture import time_attention

    check_model(model)
    called(progress, "progress", error=NullError)
    choice(region, "region", REGIONS, error=NullError)
    history = schema.to_signal(history).with_horizon(horizon).values
    n, seed = whole(n, "n", 1, MOST_NULLS, error=NullError), whole(seed, "the seed", 0, 2**63, error=NullError)
    if period is not None:
        period = positive(period, "the period", "samples", error=NullError)
    inputs = null_inputs(history, (0,), len(history), horizon, period, n=n, seed=seed)
    patches = SeriesEncoding.fit(history, horizon, model.config).history_patches
    curves: dict[Null, list[Array]] = {}
    attention = time_attention(model, [each.signal for each in inputs])
    for done, (each, maps) in enumerate(zip(inputs, attention, strict=True), start=1):
        curves.setdefault(each.kind, []).append(diagonal_means(maps, patches, region))
        if progress is not None:
            progress(done / len(inputs))
    return {kind: np.stack(of_kind) for kind, of_kind in curves.items()}


def against_nulls(
    ds: xr.Dataset,
    nulls: Mapping[Null, ArrayLike],
    *,
    period: float | None = None,
    region: Region = "all",
    level: float = LEVEL,
) -> Dependence:
    """Test the lag curves of one signal against those of null inputs, as `null_curves` returns them.

    The bands are one-sided and hold over all heads and lags tested together, so a head may be chosen afterwards.

    Parameters
    ----------
    period
        In samples. If given, only lags within half a patch of it are tested, because the claim "this head looks one
        period back" fixes them beforehand. Otherwise every lag of two patches or more is tested, which needs a stronger
        peak.

    Raises
    ------
    NullError
        For a period that the lag axis cannot resolve, too few nulls, or nulls of another model.
    """
    if not isinstance(ds, xr.Dataset) or schema.TIME_ATTENTION not in ds or schema.SIGNAL in ds.dims:
        raise NullError("give the Dataset of one signal, from capture or from ds.sel(signal=…) of a store")
    if not isinstance(nulls, Mapping) or not nulls:
        raise NullError(f"nulls must be curves by kind of null, as null_curves returns them, got {nulls!r:.60}")
    if period is not None:
        period = positive(period, "the period", "samples", error=NullError)
    choice(region, "region", REGIONS, error=NullError)
    fewest_nulls(level)  # refuses what is no level
    known = lags_to_test(ds, period=period, region=region)
    observed = lag_curve(ds[schema.TIME_ATTENTION].values, int(ds[schema.HISTORY_PATCHES]), region)
    curves = observed.mean[..., known]
    bands = {}
    for kind, each in nulls.items():
        null = numbers(each, f"the {kind} curves", error=NullError)
        if null.shape[1:] != observed.mean.shape:
            raise NullError(f"the {kind} curves have shape {null.shape}, expected (n, *{observed.mean.shape})")
        bands[kind] = max_statistic(curves, null[..., known], level)
    exceeded = np.logical_and.reduce([band.exceeded(curves) for band in bands.values()])
    lags = observed.lag[known] * float(ds[schema.SAMPLES_PER_PATCH])
    return Dependence(lags, exceeded, {kind: float(band.p_value.min()) for kind, band in bands.items()})


def lags_to_test(ds: xr.Dataset, *, period: float | None = None, region: Region = "all") -> NDArray[np.bool_]:
    """Which of the signed lags `against_nulls` tests, (L,); NullError if there are none."""
    patches, spp = ds.sizes[QUERY_PATCH], float(ds[schema.SAMPLES_PER_PATCH])
    lag = np.arange(-(patches - 1), patches)
    known = (pair_counts(patches, int(ds[schema.HISTORY_PATCHES]), region) >= MIN_PAIRS) & (lag >= SHORTEST_PERIOD)
    if period is not None:
        known &= np.abs(lag * spp - period) <= spp / 2
    if not known.any():
        raise NullError(
            f"no lag can be tested: periods from {SHORTEST_PERIOD * spp:g} samples on are resolved, "
            f"up to where the region {region} has {MIN_PAIRS} pairs"
        )
    return known

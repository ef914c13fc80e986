"""One number per head, by which the head matrix is coloured and ranked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.attention.lags import MIN_PAIRS, lag_means
from vitime_cache.attention.peaks import EDGE, SHORTEST_PERIOD, period_prominence, resolvable
from vitime_cache.series.spans import samples_in_words

# Name -> (what it says, units); the two prominences need a period.
MEASURES: Mapping[str, tuple[str, str]] = {
    "period_prominence": ("prominence of the lag peak at the period", "of the curve's mean"),
    "multiples_prominence": ("prominence of the strongest lag peak at a multiple of the period", "of the curve's mean"),
    "past_share": ("attention to patches in the past of the query", "share"),
    "history_share": ("attention of the forecast to the history", "share"),
    "cls_share": ("attention to CLS", "share"),
    "entropy": ("spread over patch columns: 0 on one column, 1 even", "normalised entropy"),
    "locality": ("mean distance looked", "samples"),
}


def head_measures(ds: xr.Dataset, period: float | None = None) -> xr.Dataset:
    """Compute every measure of every head, over (layer, head).

    Parameters
    ----------
    ds
        A Dataset of `schema`, one signal.
    period
        Period in samples; None leaves the two prominences out.

    Returns
    -------
    The variables of `MEASURES`, with `long_name` and `units`. Shares are of the attention to patches, except
    `cls_share`. `history_share` is NaN where no patch column shows the forecast. Prominences ignore lags with fewer
    than `lags.MIN_PAIRS` pairs; for a period that the lag axis cannot show they are NaN, and the attribute `unseen`
    says why.
    """
    time = ds[schema.TIME_ATTENTION].transpose(..., schema.QUERY_PATCH, schema.KEY_PATCH)
    attention = np.asarray(time.values, dtype=np.float32)
    n = attention.shape[-1]
    samples_per_patch, history = float(ds[schema.SAMPLES_PER_PATCH]), int(ds[schema.HISTORY_PATCHES])
    lag, curve = lag_means(attention)
    pairs = n - np.abs(lag)
    share = curve * pairs.astype(np.float32)  # (..., L): mass per lag
    share /= share.sum(axis=-1, keepdims=True)
    rows = attention / attention.sum(axis=-1, keepdims=True)
    surprise = -rows * np.log(np.maximum(rows, np.finfo(np.float32).tiny))
    forecast = attention[..., history:, :].sum(axis=-2)  # (..., n): mass per key
    values = {
        "past_share": share[..., lag > 0].sum(axis=-1),
        "history_share": forecast[..., :history].sum(axis=-1) / (forecast.sum(axis=-1) if history < n else np.nan),
        "cls_share": ds[schema.CLS_ATTENTION].transpose(..., schema.QUERY_TOKEN).values.mean(axis=-1, dtype=np.float64),
        "entropy": surprise.sum(axis=-1).mean(axis=-1) / np.log(n),
        "locality": share @ np.abs(lag).astype(np.float32) * samples_per_patch,
    }
    if period is not None:
        supported = np.where(pairs >= MIN_PAIRS, curve, np.nan)
        multiples = range(1, int(n * samples_per_patch / period) + 2)
        values["period_prominence"] = period_prominence(lag, supported, samples_per_patch, period)
        values["multiples_prominence"] = period_prominence(lag, supported, samples_per_patch, period, multiples)
    dims = time.dims[:-2]
    labels = {name: {"long_name": label, "units": units} for name, (label, units) in MEASURES.items()}
    reason = "" if period is None else unseen(ds, period)
    return xr.Dataset(
        {name: (dims, values[name].astype(np.float64), labels[name]) for name in MEASURES if name in values},
        coords={name: ds[name] for name in dims},
        attrs={"unseen": reason} if reason else {},
    )


def unseen(ds: xr.Dataset, period: float) -> str:
    """Why the lag axis of a signal cannot show a period in samples, and what to change; empty where it can."""
    samples_per_patch, columns = float(ds[schema.SAMPLES_PER_PATCH]), ds.sizes[schema.QUERY_PATCH]
    said = partial(samples_in_words, sample_seconds=float(ds[schema.SAMPLE_SECONDS]))
    if not resolvable(period, samples_per_patch):
        most = period / SHORTEST_PERIOD
        return (
            f"A period of {said(period)} cannot be seen at {said(samples_per_patch, digits=3)} a patch; it needs "
            f"{most:.3g} or fewer: history and horizon of at most {said(int(columns * most))} together."
        )
    longest = (columns - MIN_PAIRS - EDGE) * samples_per_patch
    if period > longest + samples_per_patch / 2:
        return (
            f"A period of {said(period)} cannot be seen on a lag axis that shows peaks up to {said(longest)}; it needs "
            "a longer history or horizon."
        )
    return ""

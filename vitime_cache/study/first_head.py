"""Chooses the default head, and says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.attention.measures import head_measures
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.levels.tracking import Tracking, choose_head, track_periods
from vitime_cache.evidence.question import series_hash
from vitime_cache.evidence.verdict.data import set_heads
from vitime_cache.model.checkpoint import PUBLISHED_NAME
from vitime_cache.series.examples import catalogue
from vitime_cache.series.signal import Signal
from vitime_cache.series.spans import samples_in_words
from vitime_cache.study.defaults import study_head

SWEEP = "sweep_"  # prefix of the catalogue's sweep signals
UNRELATED = ("ar1", "white_noise", "constant")
FEWEST = 3  # periods needed for a slope


def first_head(
    ds: xr.Dataset, verdict: xr.Dataset | None = None, tracking: Tracking | None = None
) -> tuple[str, int, str]:
    """Layer, head, and the reason for the choice.

    The study's head 7 of the last layer is meaningful for the published weights only.

    Parameters
    ----------
    ds
        One signal.
    verdict
        A verdict on the signal; the first head of its set has priority.
    tracking
        Every head over a sweep of periods, by the same weights; see `sweep_tracking`.
    """
    layers, heads = [str(layer) for layer in ds[schema.LAYER].values], ds.sizes[schema.HEAD]
    if verdict is not None and (few := set_heads(verdict)):
        layer, head = few[0]
        return str(verdict[schema.LAYER].values[layer]), int(verdict[schema.HEAD].values[head]), (
            "the answer rests on it most"
        )  # fmt: skip
    if ds.attrs["weights"] == PUBLISHED_NAME.removesuffix(".pth"):
        return *study_head(layers, heads), "the head that the reference study looks at"
    if tracking is not None:
        try:
            layer, head = choose_head(tracking)
            return (
                layers[layer],
                head,
                "of all heads its peak moves most closely with the period over this store's sweep",
            )
        except VitimeError:  # no head has peaks at three periods
            pass
    return _most_prominent(ds) or (layers[-1], 0, "the first of the last layer: there is nothing to choose by")


def sweep_tracking(ds: xr.Dataset) -> Tracking | None:
    """Track every head over the sweep of periods in a store; None if the store has no sweep.

    Lags and periods are in patches, whose length may differ from signal to signal.
    """
    signals = [str(name) for name in ds[schema.SIGNAL].values]
    slowest = np.fmax.reduce(ds[schema.COMPONENT_PERIOD].transpose(schema.SIGNAL, ...).values, axis=1, initial=0)
    periods = slowest / ds[schema.SAMPLES_PER_PATCH].values  # 0: not known
    named = np.array([name.startswith(SWEEP) for name in signals])
    unrelated = [name for name in UNRELATED if name in signals]
    kept = np.flatnonzero(named & (periods > 0))
    if len(kept) < FEWEST or not unrelated:
        return None
    return track_periods(
        ds[schema.LAG].values,
        ds[schema.LAG_ATTENTION][{schema.SIGNAL: kept}].values,
        periods[kept],
        1.0,
        ds[schema.LAG_ATTENTION].sel({schema.SIGNAL: unrelated}).values,
    )


def newest_verdict(store: str | Path, ds: xr.Dataset) -> xr.Dataset | None:
    """The latest verdict in a store on one of its signals, for the same weights; None if there is none.

    Raises
    ------
    StoreError
        If the verdict is damaged.
    """
    from vitime_cache.store.verdicts import open_verdict, verdicts_on

    signal = schema.signal_of(ds)
    kept = verdicts_on(store, *_hashes(signal), sample_seconds=signal.sample_seconds, start=signal.start)
    same = [each for each in kept if each.question["weights_sha256"] == ds.attrs["weights_sha256"]]
    return open_verdict(store, same[0].group) if same else None


def _hashes(signal: Signal) -> list[str]:
    """Hashes of a stored series as it is, and with its future if the catalogue knows it."""
    known = [each for each in catalogue() if np.array_equal(each.values, signal.values)]
    return [series_hash(values) for values in (signal.values, *(each.known for each in known))]


def _most_prominent(ds: xr.Dataset) -> tuple[str, int, str] | None:
    """The head whose curve has the largest peak at the signal's longest known period."""
    period = float(np.nanmax(ds[schema.COMPONENT_PERIOD].values, initial=0))
    if period <= 0:
        return None
    prominence = head_measures(ds, period)["period_prominence"].transpose(schema.LAYER, schema.HEAD)
    if not (prominence > 0).any():
        return None
    back = samples_in_words(period, float(ds[schema.SAMPLE_SECONDS]))
    layer, head = np.unravel_index(int(np.nanargmax(prominence.values)), prominence.shape)
    return str(ds[schema.LAYER].values[layer]), int(ds[schema.HEAD].values[head]), (
        f"of all heads its curve stands out most one period of {back} back"
    )  # fmt: skip

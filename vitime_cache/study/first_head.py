"""The head that is shown where none is named, and why it is that one."""

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
from vitime_cache.study.defaults import study_head

SWEEP = "sweep_"  # how the catalogue names the signals of its sweep
UNRELATED = ("ar1", "white_noise", "constant")
FEWEST = 3  # periods that a slope can be taken over


def first_head(
    ds: xr.Dataset, verdict: xr.Dataset | None = None, tracking: Tracking | None = None
) -> tuple[str, int, str]:
    """Layer, head and the reason for it.

    Head 7 of the last layer is a head of the published weights; of others it says nothing.

    Parameters
    ----------
    ds
        One signal.
    verdict
        What is known of it; the first head of the set that carries the answer comes before all others.
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
            return layers[layer], head, "of all heads it tracks the period best over this store's sweep"
        except VitimeError:  # no head has peaks at three periods
            pass
    return _most_prominent(ds) or (layers[-1], 0, "the first of the last layer: there is nothing to choose by")


def sweep_tracking(ds: xr.Dataset) -> Tracking | None:
    """Every head over the sweep of periods that a store holds; None where it holds none."""
    signals = [str(name) for name in ds[schema.SIGNAL].values]
    names = [name for name in signals if name.startswith(SWEEP)]
    unrelated = [name for name in UNRELATED if name in signals]
    if len(names) < FEWEST or not unrelated:
        return None
    sweep = ds.sel({schema.SIGNAL: names})
    return track_periods(
        ds[schema.LAG].values,
        sweep[schema.LAG_ATTENTION].values,
        np.nanmax(sweep[schema.COMPONENT_PERIOD].values, axis=1),
        float(sweep[schema.SAMPLES_PER_PATCH].values[0]),
        ds[schema.LAG_ATTENTION].sel({schema.SIGNAL: unrelated}).values,
    )


def newest_verdict(store: str | Path, ds: xr.Dataset) -> xr.Dataset | None:
    """The verdict that a store was given last on one of its signals, by its weights; None where it has none.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    from vitime_cache.store.verdicts import open_verdict, verdicts_on

    kept = verdicts_on(store, *_hashes(schema.signal_of(ds)))
    mine = [each for each in kept if each.question["weights_sha256"] == ds.attrs["weights_sha256"]]
    return open_verdict(store, mine[0].group) if mine else None


def _hashes(signal: Signal) -> list[str]:
    """Of a stored series as it is, and with what came after it where the catalogue knows that."""
    known = [each for each in catalogue() if np.array_equal(each.values, signal.values)]
    whole = [np.concatenate((each.values, each.future)) for each in known if each.future is not None]
    return [series_hash(values) for values in (signal.values, *whole)]


def _most_prominent(ds: xr.Dataset) -> tuple[str, int, str] | None:
    """The head whose curve stands out most at the signal's longest known period."""
    period = float(np.nanmax(ds[schema.COMPONENT_PERIOD].values, initial=0))
    if period <= 0:
        return None
    prominence = head_measures(ds, period)["period_prominence"].transpose(schema.LAYER, schema.HEAD)
    if not (prominence > 0).any():
        return None
    layer, head = np.unravel_index(int(np.nanargmax(prominence.values)), prominence.shape)
    return str(ds[schema.LAYER].values[layer]), int(ds[schema.HEAD].values[head]), (
        f"of all heads its curve stands out most one period of {period:.4g} samples back"
    )  # fmt: skip

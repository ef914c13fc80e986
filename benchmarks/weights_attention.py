"""What the heads of a network do on a sweep of periods, and on a signal against its reduction, for `weights_report`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.forecasting import HISTORY, HORIZON
from vitime_cache.arrays import Floats
from vitime_cache.attention.capture import capture_batch
from vitime_cache.attention.lags import over_baseline
from vitime_cache.attention.peaks import FIRST_SHARE, lag_peaks, period_prominence
from vitime_cache.compare.reduction import SignalCurve, prominence_ratio
from vitime_cache.evidence.levels.tracking import Tracking, choose_head, track_periods
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal
from vitime_cache.series.sources import catalogue

CHOSEN_ON = np.geomspace(34, 240, 12)
MEASURED_ON = np.geomspace(32, 256, 15)
STRICT_SHARE = 0.5
SEEN_WELL = 4  # patches: what lies whole periods back is told from other lags from this period on
MOST_SWEEPS = 0.9  # share of the sweep's signals


@dataclass(frozen=True, eq=False)
class SweepCurves:
    """Lag curves of a network on sines of many periods.

    Attributes
    ----------
    layers
        Names of the network's layers.
    lag
        Signed lags in patches, (L,).
    samples_per_patch
        Samples per patch of lag.
    unrelated
        Curves of signals without a period, (signal, layer, head, L).
    chosen_on
        Of the periods `CHOSEN_ON`, (12, layer, head, L).
    measured_on
        Of the periods `MEASURED_ON`, at five times other phases, (5, 15, layer, head, L).
    """

    layers: list[str]
    lag: NDArray[np.intp]
    samples_per_patch: float
    unrelated: Floats
    chosen_on: Floats
    measured_on: Floats

    @classmethod
    def of(cls, model: ViTime) -> SweepCurves:
        """Capture them: 99 signals."""
        return cls(
            list(model.config.layers),
            _lags(model),
            model.config.samples_per_patch(HISTORY + HORIZON),
            lag_curves(model, unrelated()),
            lag_curves(model, sweep(CHOSEN_ON, 1)),
            np.stack([lag_curves(model, sweep(MEASURED_ON, seed)) for seed in range(2, 7)]),
        )


def lag_curves(model: ViTime, signals: list[Signal]) -> Floats:
    """(signal, layer, head, L), signed lags in patches."""
    return np.stack([capture_batch(model, [signal])[0]["lag_attention"] for signal in signals]).astype(np.float64)


def sweep(periods: Floats, seed: int) -> list[Signal]:
    """One sine for each period, at random phases."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(periods))
    n = np.arange(HISTORY)
    return [Signal(f"{p:.0f}", np.sin(2 * np.pi * n / p + f)) for p, f in zip(periods, phase, strict=True)]


def unrelated(seed: int = 11) -> list[Signal]:
    """White noise and random walks: no period, so what their curves share is position."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((12, HISTORY))
    return [Signal(f"unrelated {i}", x.cumsum() if i % 2 else x) for i, x in enumerate(noise)]


def tracking(curves: SweepCurves) -> Iterator[str]:
    """A line for each definition of a first peak: the head chosen on one sweep, and all heads, on five others."""
    for share in (FIRST_SHARE, STRICT_SHARE):
        told = f"(a) first peak ≥ {share:.0%} of the strongest: "
        chosen = _track(curves, curves.chosen_on, CHOSEN_ON, share)
        if not np.isfinite(chosen.slope).any():
            yield told + "no head has a peak at three or more periods"
            continue
        head = choose_head(chosen)
        sweeps = [_track(curves, measured, MEASURED_ON, share) for measured in curves.measured_on]
        found = np.mean([one.found[head] for one in sweeps])
        tracks = np.mean([one.tracks for one in sweeps], axis=0) > 0.5
        slope, r_squared = ([getattr(one, name)[head] for one in sweeps] for name in ("slope", "r_squared"))
        yield (
            f"{told}{curves.layers[head[0]]} head {head[1]}: slope {_spread(slope, 2)}, R² {_spread(r_squared, 3)}, "
            f"a peak at {found:.0%} of {len(MEASURED_ON)} periods; "
            f"{int(tracks.sum())} of {tracks.size} heads within 0.9 … 1.1 and R² ≥ 0.95 in most sweeps"
        )


def whole_periods_back(curves: SweepCurves) -> tuple[Floats, float]:
    """How often a head's strongest peak lies a whole number of periods back, one, two or more.

    The first peak misses heads that look two or three periods back, or one where several multiples of a period that
    is no whole number of patches stand out alike. Periods below `SEEN_WELL` patches are left out: there nearly every
    lag is within half a patch of a multiple.

    Returns
    -------
    tuple
        Share of the sweep's signals, (layer, head), and the share that a lag drawn at random would have.
    """
    seen = SEEN_WELL * curves.samples_per_patch <= MEASURED_ON
    periods = MEASURED_ON[seen]
    ratio = over_baseline(curves.measured_on[:, seen], curves.unrelated)  # (sweep, period, layer, head, L)
    hit = np.zeros(ratio.shape[:-1], dtype=bool)
    for at in np.ndindex(hit.shape):
        peaks = lag_peaks(curves.lag, ratio[at], curves.samples_per_patch, period=float(periods[at[1]]))
        hit[at] = bool(peaks) and max(peaks, key=lambda peak: peak.prominence).matches
    return hit.mean(axis=(0, 1)), float(np.mean(curves.samples_per_patch / periods))


def whole_periods(curves: SweepCurves) -> Iterator[str]:
    """A line on how many heads look whole periods back, and which."""
    share, chance = whole_periods_back(curves)
    which = [f"{curves.layers[layer]} {head}" for layer, head in np.argwhere(share >= MOST_SWEEPS)]
    yield (
        f"    strongest peak whole periods back on {MOST_SWEEPS:.0%} of the signals or more (a random lag: "
        f"{chance:.0%}): {len(which)} of {share.size} heads{': ' * bool(which)}{', '.join(which)}"
    )


def full_against_reduced(model: ViTime) -> Iterator[str]:
    """A line on the head with the greatest ratio of prominence at one and two periods, as the Compare page has it."""
    signals = {s.name: s for s in catalogue()}
    names = ("full", "reduced_harmonic")
    removed = max(harmonic.period for harmonic in signals["full"].harmonics)
    curves, lag = lag_curves(model, [signals[name] for name in names]), _lags(model)
    samples_per_patch = model.config.samples_per_patch(HISTORY + HORIZON)
    ratios = np.empty(curves.shape[1:-1])
    for at in np.ndindex(ratios.shape):
        whole, reduced = (
            SignalCurve(name, lag, curve[at], samples_per_patch) for name, curve in zip(names, curves, strict=True)
        )
        ratios[at] = prominence_ratio(whole, reduced, removed)
    layer, head = np.unravel_index(ratios.argmax(), ratios.shape)
    (full_one, reduced_one), (full_two, reduced_two) = (
        period_prominence(lag, curves[:, layer, head], samples_per_patch, removed, (k,)) for k in (1, 2)
    )
    yield (
        f"(b) {model.config.layers[layer]} head {head}: prominence at one, two periods: full {full_one:.2f}, "
        f"{full_two:.2f}; reduced {reduced_one:.2f}, {reduced_two:.2f} of the curve's mean; ratio {ratios.max():.1f}; "
        f"{int((ratios >= 3).sum())} of {ratios.size} heads at 3 or more, {int((ratios >= 10).sum())} at 10 or more"
    )


def _lags(model: ViTime) -> NDArray[np.intp]:
    columns = model.config.grid[1]
    return np.arange(-(columns - 1), columns)


def _track(curves: SweepCurves, measured: Floats, periods: Floats, share: float) -> Tracking:
    return track_periods(curves.lag, measured, periods, curves.samples_per_patch, curves.unrelated, share)


def _spread(values: list[float], digits: int) -> str:
    """Median and range."""
    return f"{np.median(values):.{digits}f} [{min(values):.{digits}f} … {max(values):.{digits}f}]"

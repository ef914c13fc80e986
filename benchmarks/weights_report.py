"""What a weights file can do, against the same network with random weights: the measures that the README quotes.

    python -m benchmarks.weights_report                        # the default weights
    python -m benchmarks.weights_report --weights my.safetensors

(a) period sweep: the first prominent peak of a head's lag curve, divided by its mean curve over unrelated signals,
    against the period; the head is chosen on one sweep and measured on five others, of other periods and phases:
    median, and range in brackets.
(b) full against reduced: how far peaks at 64 and 128 samples stand out in both signals of the reference study.
(c) forecast: mean absolute error of the median in standard deviations of the history, against the history's mean and
    against repeating the last season (the best autocorrelation lag), on series that training never drew and on the
    real series of the catalogue.
(d) all of it for random weights.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import find_peaks

from vitime_cache.attention.capture import capture_batch
from vitime_cache.attention.lags import autocorrelation
from vitime_cache.attention.peaks import prominences
from vitime_cache.evidence.tracking import Tracking, choose_head, track_periods
from vitime_cache.model.checkpoint import load_model
from vitime_cache.model.network import ViTime
from vitime_cache.series.examples import REAL_SERIES
from vitime_cache.series.sources import Signal, catalogue
from vitime_cache.training.synthesis import Mixture, periodic, slow, synthesise

Floats = NDArray[np.float64]

HISTORY, HORIZON = 512, 720
CHOSEN_ON = np.geomspace(34, 240, 12)
MEASURED_ON = np.geomspace(32, 256, 15)
HELD_OUT_SEED = 2**33 + 7  # training draws from [seed, step]


@dataclass(frozen=True)
class Forecasts:
    """Mean absolute errors of one group of series, in standard deviations of the history."""

    group: str
    model: float
    mean: float
    seasonal: float


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


def period_tracking(model: ViTime) -> tuple[tuple[int, ...], list[Tracking]]:
    """The head that tracks best on one sweep, and the regressions of all heads on five others."""
    lag = np.arange(-(model.config.grid[1] - 1), model.config.grid[1])
    samples_per_patch = model.config.samples_per_patch(HISTORY + HORIZON)
    baseline = lag_curves(model, unrelated())

    def tracking(periods: Floats, seed: int) -> Tracking:
        return track_periods(lag, lag_curves(model, sweep(periods, seed)), periods, samples_per_patch, baseline)

    return choose_head(tracking(CHOSEN_ON, 1)), [tracking(MEASURED_ON, seed) for seed in range(2, 7)]


def full_against_reduced(model: ViTime) -> tuple[str, Floats, Floats, Floats]:
    """Head with the greatest ratio of prominence at 64 and 128 samples; (64, 128) in full and reduced; all ratios.

    The smaller of the two ratios counts, and a prominence below 2 % of the curve's mean is taken as 2 %.
    """
    signals = {s.name: s for s in catalogue()}
    curves = lag_curves(model, [signals["full"], signals["reduced_harmonic"]])
    past = curves[..., curves.shape[-1] // 2 :]  # lags 0, 1, 2 … patches of 16 samples
    relative = prominences(past) / past[..., 2:].mean(axis=-1, keepdims=True)
    around = np.stack([relative[..., k - 1 : k + 2].max(axis=-1) for k in (4, 8)], axis=-1)  # (2, layer, head, 2)
    ratio = (around[0] / np.maximum(around[1], 0.02)).min(axis=-1)
    layer, head = np.unravel_index(ratio.argmax(), ratio.shape)
    name = f"{model.config.layers[layer]} head {head}"
    return name, around[0, layer, head], around[1, layer, head], ratio


def seasonal_naive(history: Floats, horizon: int) -> Floats:
    """Repeat the last season; its length is the highest peak of the autocorrelation, or the whole history."""
    correlation = autocorrelation(history, len(history) * 2 // 3)
    at, _ = find_peaks(correlation)
    season = int(at[correlation[at].argmax()]) if len(at) else len(history)
    return np.resize(history[-season:], horizon)


def forecast_errors(model: ViTime, signals: list[Signal], group: str) -> Forecasts:
    """Errors on signals whose future is known."""
    errors = []
    for signal in signals:
        assert signal.future is not None
        arrays = capture_batch(model, [signal])[0]
        median = arrays["forecast_quantile"][3, -signal.horizon :]
        guesses = (median, np.full(signal.horizon, signal.values.mean()), seasonal_naive(signal.values, signal.horizon))
        scale = signal.values.std()
        errors.append([np.abs(guess - signal.future).mean() / scale for guess in guesses])
    return Forecasts(group, *np.mean(errors, axis=0))


def groups_of_series(n: int) -> dict[str, list[Signal]]:
    """Held-out synthetic series of three kinds, and every real series on its own."""
    rng = np.random.default_rng(HELD_OUT_SEED)
    length = HISTORY + HORIZON
    drawn = {
        "synthetic, as trained": synthesise(rng, n, length, Mixture()),
        "synthetic, periodic": periodic(rng, n, length),
        "synthetic, slow sines": slow(rng, n, length),
    }
    groups = {
        name: [Signal(str(i), s[:HISTORY], horizon=HORIZON, future=s[HISTORY:]) for i, s in enumerate(series)]
        for name, series in drawn.items()
    }
    real = {series.name for series in REAL_SERIES}
    return groups | {f"real, {s.name}": [s] for s in catalogue() if s.name in real}


def spread(values: list[float], digits: int) -> str:
    """Median and range."""
    return f"{np.median(values):.{digits}f} [{min(values):.{digits}f} … {max(values):.{digits}f}]"


def report(model: ViTime, title: str, n: int) -> None:
    print(f"\n{title}")
    head, sweeps = period_tracking(model)
    found = np.mean([one.found[head] for one in sweeps])
    tracks = np.mean([one.tracks for one in sweeps], axis=0) > 0.5
    slope, r_squared = ([getattr(one, name)[head] for one in sweeps] for name in ("slope", "r_squared"))
    print(
        f"(a) {model.config.layers[head[0]]} head {head[1]}: slope {spread(slope, 2)}, R² {spread(r_squared, 3)}, "
        f"a peak at {found:.0%} of {len(MEASURED_ON)} periods; "
        f"{int(tracks.sum())} of {tracks.size} heads within 0.9 … 1.1 and R² ≥ 0.95 in most sweeps"
    )
    best, full, reduced, ratios = full_against_reduced(model)
    print(
        f"(b) {best}: prominence at 64, 128 samples: full {full[0]:.2f}, {full[1]:.2f}; "
        f"reduced {reduced[0]:.2f}, {reduced[1]:.2f} of the curve's mean; ratio {ratios.max():.1f}; "
        f"{int((ratios >= 3).sum())} of {ratios.size} heads at 3 or more"
    )
    print(f"(c) {'mean absolute error / history std':36}{'model':>8}{'mean':>8}{'seasonal':>10}")
    for group, signals in groups_of_series(n).items():
        errors = forecast_errors(model, signals, group)
        print(f"    {group:36}{errors.model:8.2f}{errors.mean:8.2f}{errors.seasonal:10.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a weights file (default: the one `build` takes)")
    parser.add_argument("--series", type=int, default=100, help="held-out series of each kind (default 100)")
    arguments = parser.parse_args()
    model = load_model(arguments.weights, device="cpu")
    report(model, f"{model.weights.name}: {model.weights.note or 'as published'}", arguments.series)
    torch.manual_seed(0)
    control = ViTime(model.config).eval().requires_grad_(False)
    report(control, "(d) the same network with random weights", arguments.series)


if __name__ == "__main__":
    main()

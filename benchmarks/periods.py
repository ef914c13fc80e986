"""How often a series without a period is given one, how often a period that is there is found, and how long it takes.

    python -m benchmarks.periods                    # 100 series of each kind, 600 samples
    python -m benchmarks.periods --series 400 --length 2000

"proposed" counts series for which any period is proposed: false for the aperiodic kinds. Of the periodic kinds "found"
counts series whose true period is among the proposals (within 2 %), "first" those where it is the strongest. Bounds are
one-sided Clopper-Pearson 95 %.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import numpy as np
from scipy.signal import lfilter, savgol_coeffs
from scipy.stats import beta

from vitime_cache.arrays import Array
from vitime_cache.evidence.periods import propose_periods

Make = Callable[[np.random.Generator, int], Array]
SETTLING = 500  # samples after which a filter has forgotten how it began


def filtered(numerator: list[float] | Array, denominator: list[float] | Array = (1.0,)) -> Make:  # type: ignore[assignment]
    """Noise with a rational spectrum."""
    return lambda rng, n: lfilter(numerator, denominator, rng.standard_normal(n + SETTLING))[SETTLING:]


def moving_average(samples: int) -> Make:
    """Equal weights over that many samples."""
    return filtered(np.full(samples, 1 / samples))


def steps(rng: np.random.Generator, n: int) -> Array:
    """One to four changes of level, in noise."""
    x = 0.3 * rng.standard_normal(n)
    for at in rng.integers(n // 20, n - n // 20, rng.integers(1, 5)):
        x[at:] += rng.normal(0, 1.5)
    return x


def telegraph(rng: np.random.Generator, n: int) -> Array:
    """Two levels, changed at random, some 15 times."""
    return np.cumsum(rng.random(n) < 15 / n) % 2 + 0.2 * rng.standard_normal(n)


def growth(rng: np.random.Generator, n: int) -> Array:
    """A logistic curve in noise."""
    middle, pace = rng.uniform(0.2, 0.8) * n, rng.uniform(0.02, 0.15) * n
    series: Array = 1 / (1 + np.exp(-(np.arange(n) - middle) / pace)) + 0.03 * rng.standard_normal(n)
    return series


def ramp(rng: np.random.Generator, n: int) -> Array:
    """Level, rise, level, in noise."""
    first, last = np.sort(rng.uniform(0, n, 2))
    series: Array = np.clip((np.arange(n) - first) / (last - first), 0, 1) + 0.03 * rng.standard_normal(n)
    return series


def spikes(rng: np.random.Generator, n: int) -> Array:
    """One to five samples far off, in noise."""
    x = rng.standard_normal(n)
    x[rng.integers(0, n, rng.integers(1, 6))] += rng.uniform(10, 50)
    return x


def drift(rng: np.random.Generator, n: int) -> Array:
    """A smooth level that wanders (a spline through random points), in noise."""
    from scipy.interpolate import CubicSpline

    points = int(rng.integers(5, 12))
    level = CubicSpline(np.linspace(0, n - 1, points), rng.standard_normal(points))(np.arange(n))
    return np.asarray(level + 0.3 * rng.standard_normal(n))


def chirp(rng: np.random.Generator, n: int) -> Array:
    """A sine whose frequency rises three- to eightfold, in noise."""
    slow = rng.uniform(1 / 100, 1 / 50)
    fast = slow * rng.uniform(3, 8)
    t = np.arange(n)
    return np.sin(2 * np.pi * (slow * t + (fast - slow) * t**2 / (2 * n))) + 0.3 * rng.standard_normal(n)


def volatile(rng: np.random.Generator, n: int) -> Array:
    """Noise whose size wanders."""
    series: Array = rng.standard_normal(n) * np.exp(0.7 * filtered([0.2], [1, -0.98])(rng, n) / 1.0)
    return series


APERIODIC: Mapping[str, Make] = {
    "white noise": filtered([1.0]),
    "AR(1), 0.8": filtered([1.0], [1, -0.8]),
    "AR(1), 0.95": filtered([1.0], [1, -0.95]),
    "AR(1), -0.7": filtered([1.0], [1, 0.7]),
    "AR(2), broad resonance": filtered([1.0], [1, -2 * 0.8 * np.cos(2 * np.pi / 12), 0.8**2]),
    "AR(4)": filtered([1.0], np.poly([0.8, -0.5, 0.6 * np.exp(2j), 0.6 * np.exp(-2j)]).real),
    "moving average of 3": moving_average(3),
    "moving average of 7": moving_average(7),
    "moving average of 24": moving_average(24),
    "moving average of 24, noise": lambda rng, n: moving_average(24)(rng, n) + 0.05 * rng.standard_normal(n),
    "moving average of 60": moving_average(60),
    "moving average of 24 of a random walk": filtered(np.full(24, 1 / 24), [1, -1]),
    "moving average of 24, twice": filtered(np.convolve(np.ones(24), np.ones(24)) / 24**2),
    "Savitzky-Golay, 31 samples": filtered(savgol_coeffs(31, 3)),
    "differences": filtered([1.0, -1.0]),
    "differences at 24 samples": filtered(np.array([1.0, *np.zeros(23), -1.0])),
    "random walk": lambda rng, n: rng.standard_normal(n).cumsum(),
    "random walk, noise": lambda rng, n: rng.standard_normal(n).cumsum() + 3 * rng.standard_normal(n),
    "walk with drift": lambda rng, n: (0.3 + rng.standard_normal(n)).cumsum(),
    "twice integrated": lambda rng, n: rng.standard_normal(n).cumsum().cumsum(),
    "steps": steps,
    "telegraph": telegraph,
    "ramp": ramp,
    "logistic growth": growth,
    "exponential growth": lambda rng, n: np.exp(np.linspace(0, 4, n) + 0.05 * rng.standard_normal(n)),
    "single spikes": spikes,
    "drifting level": drift,
    "heavy tails": lambda rng, n: rng.standard_t(2, n),
    "volatile": volatile,
    "chirp": chirp,
}


def wave(period: float, size: float, noise: Make, harmonics: int = 1) -> Make:
    """Harmonics of falling size and random phases in noise of unit deviation."""

    def make(rng: np.random.Generator, n: int) -> Array:
        rest = noise(rng, n)
        angle = 2 * np.pi * np.outer(np.arange(1, harmonics + 1), np.arange(n)) / period
        parts = np.cos(angle + rng.uniform(0, 2 * np.pi, (harmonics, 1))) / np.arange(1, harmonics + 1)[:, None]
        return np.asarray(size * parts.sum(axis=0) + rest / rest.std())

    return make


def load(rng: np.random.Generator, n: int) -> Array:
    """A day of two humps, weaker at the weekend: an hourly load."""
    hour = np.arange(n)
    day = 1 - np.cos(2 * np.pi * hour / 24) + 0.5 * np.cos(4 * np.pi * hour / 24 - 1)
    weekend = (hour // 24 + rng.integers(7)) % 7 >= 5
    noise = filtered([1.0], [1, -0.8])(rng, n)
    series: Array = 10 + day * np.where(weekend, 0.6, 1.0) - 0.8 * weekend + 0.3 * noise / noise.std()
    return series


def over_years(rng: np.random.Generator, n: int) -> Array:
    """A season of 52.2 weeks on a growing level."""
    t = np.arange(n)
    series: Array = (
        0.01 * t + 1e-5 * t**2 + np.cos(2 * np.pi * t / 52.18 + rng.uniform(0, 6)) + 0.3 * rng.standard_normal(n)
    )
    return series


WHITE, RED, REDDER = filtered([1.0]), filtered([1.0], [1, -0.8]), filtered([1.0], [1, -0.95])
PERIODIC: Mapping[str, tuple[tuple[float, ...], Make]] = {
    "sine of 24, amplitude 0.35, white": ((24,), wave(24, 0.35, WHITE)),
    "sine of 24, amplitude 0.5, white": ((24,), wave(24, 0.5, WHITE)),
    "sine of 7, amplitude 0.4, AR(1) 0.8": ((7,), wave(7, 0.4, RED)),
    "sine of 24, amplitude 0.8, AR(1) 0.8": ((24,), wave(24, 0.8, RED)),
    "sine of 50, amplitude 1.2, AR(1) 0.8": ((50,), wave(50, 1.2, RED)),
    "sine of 24, amplitude 0.5, AR(1) 0.95": ((24,), wave(24, 0.5, REDDER)),
    "sine of 24, amplitude 0.5, moving average of 5": ((24,), wave(24, 0.7, moving_average(5))),
    "sine of 12, amplitude 0.3, random walk": ((12,), wave(12, 0.3, APERIODIC["random walk"])),
    "sine of 50, amplitude 1.5, moving average of 24": ((50,), wave(50, 1.5, moving_average(24))),
    "sine of 15, amplitude 0.35, moving average of 24": ((15,), wave(15, 0.35, moving_average(24))),
    "sine of 12, amplitude 0.2, moving average of 24": ((12,), wave(12, 0.2, moving_average(24))),
    "six harmonics of 24, amplitude 1": ((24,), wave(24, 1.0, WHITE, 6)),
    "six harmonics of 37.3, amplitude 1, AR(1) 0.8": ((37.3,), wave(37.3, 1.0, RED, 6)),
    "day and week": ((24, 168), lambda rng, n: wave(24, 1.0, RED)(rng, n) + wave(168, 1.0, WHITE)(rng, n)),
    "hourly load": ((24, 168), load),
    "season and growth": ((52.18,), over_years),
}  # fmt: skip


def bounds(hits: int, n: int) -> str:
    """A share with its one-sided Clopper-Pearson 95 % bounds."""
    low = beta.ppf(0.05, hits, n - hits + 1) if hits else 0.0
    high = beta.ppf(0.95, hits + 1, n - hits) if hits < n else 1.0
    return f"{hits / n:.2f} [{low:.2f} … {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=100, help="of each kind (100)")
    parser.add_argument("--length", type=int, default=600, help="samples of a series (600)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    n, length = arguments.series, arguments.length
    print(f"{n} series of {length} samples of each kind; a share with its bounds")
    for number, (kind, make) in enumerate(APERIODIC.items()):
        rng = np.random.default_rng([arguments.seed, number])
        proposed = sum(bool(propose_periods(make(rng, length))) for _ in range(n))
        print(f"  {kind:48} proposed {bounds(proposed, n)}", flush=True)
    for number, (kind, (periods, periodic)) in enumerate(PERIODIC.items()):
        rng = np.random.default_rng([arguments.seed, 1, number])
        lists = [[p.period for p in propose_periods(periodic(rng, length))] for _ in range(n)]
        told = []
        for period in periods:
            if period > length / 3:
                continue
            near = [[abs(p / period - 1) < 0.02 + period / length / 4 for p in found] for found in lists]
            found, first = sum(map(any, near)), sum(each[:1] == [True] for each in near)
            told.append(f"{period:g}: found {bounds(found, n)}, first {first / n:.2f}")
        print(f"  {kind:48} {'; '.join(told)}", flush=True)
    for length in (600, 2000, 100_000, 1_000_000):
        x = load(np.random.default_rng(0), length)
        began = time.perf_counter()
        propose_periods(x)
        print(f"  an hourly load of {length} samples takes {1000 * (time.perf_counter() - began):.0f} ms", flush=True)


if __name__ == "__main__":
    main()

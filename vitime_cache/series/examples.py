"""The catalogue: the reference study's experiments, controls for them, and real series.

Every series continues beyond its history, so that each signal has its true future (`Signal.future`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import numpy as np

from vitime_cache.series.axis import Column
from vitime_cache.series.bounds import Choices
from vitime_cache.series.layouts import read_series
from vitime_cache.series.signal import Harmonic, Signal, compose, hold_out
from vitime_cache.series.text import read_text

EXAMPLE = "full"  # the signal that is shown if none was chosen
N_HISTORY = 512
HORIZON = 720

# The reference study's sin(n/10) + sin(n/5 + 50) + cos(n + 50).
SLOW = Harmonic(period=20 * math.pi)
MIDDLE = Harmonic(period=10 * math.pi, phase=50)
FAST = Harmonic(period=2 * math.pi, phase=50 + math.pi / 2)

# Twelve periods in equal ratios from 2 to 16 patches of 16 samples, rounded.
SWEEP_PERIODS = (32, 39, 47, 56, 68, 82, 99, 120, 145, 175, 212, 256)

DATA = Path(__file__).parent / "data"


def catalogue() -> list[Signal]:
    """Signals that come with the package, in the order in which they are best viewed.

    Names are stable and need no escaping in a URL. Synthetic signals have 512 samples of history and 720 of horizon,
    as in the reference study; those of the real series are chosen so that the main period spans at least two patches.
    """
    return [*_reference(), *_sweep(), *_waveforms(), *_nulls(), *map(_read, REAL_SERIES)]


def _reference() -> Iterator[Signal]:
    """The two experiments of the reference study, and each of their harmonics alone."""
    text = "sin(n/10) + sin(n/5 + 50) + cos(n + 50): periods of 62.8, 31.4 and 6.28 samples"
    yield compose("full", [SLOW, MIDDLE, FAST], description=f"Reference experiment 1: {text}")
    yield compose(
        "reduced_harmonic", [MIDDLE, FAST], reduced_of="full",
        description="Reference experiment 2: full without sin(n/10), periods of 31.4 and 6.28 samples",
    )  # fmt: skip
    yield compose("harmonic_63", [SLOW], description="sin(n/10) alone: a period of 62.8 samples")
    yield compose("harmonic_31", [MIDDLE], description="sin(n/5 + 50) alone: a period of 31.4 samples, below 2 patches")
    yield compose("harmonic_6", [FAST], description="cos(n + 50) alone: a period of 6.28 samples, below 2 patches")


def _sweep() -> Iterator[Signal]:
    """One sine at many periods: the lag peak of a head that tracks the period moves with it."""
    for period in SWEEP_PERIODS:
        yield compose(f"sweep_{period:03}", [Harmonic(period)], description=f"Sine with a period of {period} samples")


def _waveforms() -> Iterator[Signal]:
    """Periodic series that are not sines, or whose period changes."""
    n = np.arange(N_HISTORY + HORIZON)
    slow, fast = 1 / 192, 1 / 32  # cycles per sample at the first and at the last sample
    cycles = slow * n + (fast - slow) * n**2 / (2 * (len(n) - 1))
    yield hold_out(
        "chirp",
        np.sin(2 * np.pi * cycles),
        HORIZON,
        description="Chirp: the period falls from 192 samples at the start to 32 at the end of the horizon",
    )
    period = 64
    angle = math.pi / period
    odd = [Harmonic(period / k, amplitude=4 / period / math.sin(k * angle), phase=k * angle) for k in (1, 3, 5)]
    yield hold_out(
        "square",
        np.where(n % period < period // 2, 1.0, -1.0),
        HORIZON,
        harmonics=tuple(odd),
        description="Square wave with a period of 64 samples; of its odd harmonics the first three are listed",
    )
    season = Harmonic(period=96)
    yield hold_out(
        "trend_season",
        n / 128 + season.at(n),
        HORIZON,
        harmonics=(season,),
        description="Trend of 4 over the history, and a sine with a period of 96 samples",
    )


def _nulls() -> Iterator[Signal]:
    """Series without a period: a head that appears to find one here is mistaken."""
    length = N_HISTORY + HORIZON
    shocks = np.random.default_rng(1).standard_normal(length)
    shocks[0] /= math.sqrt(1 - 0.9**2)  # start from the stationary distribution
    walk = np.fromiter(accumulate(shocks, lambda last, shock: 0.9 * last + shock), float, length)
    yield hold_out("ar1", walk, HORIZON, description="First-order autoregression, coefficient 0.9: slow, but no period")
    yield compose("white_noise", [], noise=1.0, seed=2, description="Independent normal samples")
    yield hold_out("constant", np.ones(length), HORIZON, description="1 throughout")


@dataclass(frozen=True)
class RealSeries:
    """The end of a series in data/: its last `history` + `horizon` samples."""

    name: str
    history: int
    horizon: int
    description: str


REAL_SERIES = (
    RealSeries("sunspots", 110, 44, "Sunspot number, yearly, 1855-2008: a period of about 11 samples"),
    RealSeries("co2_mauna_loa", 512, 104, "CO2 at Mauna Loa in ppmv, weekly, 1990-2001: trend, period of 52.2 samples"),
    RealSeries(
        "seattle_temperature", 1096, 365,
        "Highest temperature of the day in Seattle in degrees C, 2012-2015: a period of 365.25 samples",
    ),
    RealSeries(
        "el_nino", 180, 60,
        "Sea surface temperature off Peru (Nino 1+2) in degrees C, monthly, 1991-2010: a period of 12 samples",
    ),
    RealSeries(
        "greensboro_temperature", 308, 154,
        "Air temperature in Greensboro, North Carolina, in degrees C, hourly, August 2001: a period of 24 samples",
    ),
    RealSeries("nile", 80, 20, "Flow of the Nile at Aswan in 10^8 m^3, yearly, 1871-1970: no period, a drop near 1898"),
)  # fmt: skip


def _read(real: RealSeries) -> Signal:
    """The signal of a real series, with its last `horizon` samples held out."""
    column = _column(real.name)
    window = column.values[-(real.history + real.horizon) :].copy()
    return hold_out(real.name, window, real.horizon, description=real.description, sample_seconds=column.sample_seconds)


@cache
def _column(name: str) -> Column:
    """A file of the package, read once per process."""
    file = DATA / f"{name}.csv"
    [column] = read_series(file.name, read_text(file.name, file.read_bytes()), Choices(), str)
    return column

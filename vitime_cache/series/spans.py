"""Spans of time in words and in samples: "7 days" of hourly samples are 168.

`sample_seconds` is 0 if not known: a store keeps it as JSON, which has no NaN.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vitime_cache.series.bounds import SignalError

# Seconds, months and years as the mean of the Julian calendar.
UNITS = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_629_800.0,
    "year": 31_557_600.0,
}
SHORT = {"s": "second", "sec": "second", "min": "minute", "h": "hour", "hr": "hour", "d": "day", "w": "week"}
SHORT |= {"wk": "week", "mo": "month", "q": "quarter", "y": "year", "yr": "year", "a": "year"}
_SPAN = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)?\s*([a-z]*)")
WRITTEN = "24, 24h, 1d or '2 weeks'"


def to_samples(text: str, sample_seconds: float = 0.0) -> float:
    """Samples in a span as people write it: "24" is 24 samples, "1d" the samples of a day.

    Parameters
    ----------
    text
        A number of samples, or a number with a unit: s, min, h, d, w (or weeks), months, quarters, years.

    Raises
    ------
    SignalError
        If the text is not a span, or gives a time while the spacing of the samples is unknown.

    Examples
    --------
    >>> to_samples("2 weeks", 3600)
    336.0
    """
    found = _SPAN.fullmatch(text.strip().lower())
    number = float(found[1] or 1) if found and found.group() else 0.0
    if not found or not 0 < number < 1e12:
        raise SignalError(f"{text!r:.60} is not a span such as {WRITTEN}")
    if not found[2] or found[2].rstrip("s") == "sample":
        return number
    name = next((SHORT.get(each, each) for each in (found[2], found[2].rstrip("s")) if each), "")
    name, number = ("month", 3 * number) if name.rstrip("s") == "quarter" else (name.rstrip("s"), number)
    if name not in UNITS:
        raise SignalError(f"{text!r:.60} is not a span such as {WRITTEN}; units are {', '.join(UNITS)}")
    if not sample_seconds:
        raise SignalError(f"the spacing of the samples is not known: give {text!r:.60} in samples")
    return number * UNITS[name] / sample_seconds


def time_unit(samples: float, sample_seconds: float, least: float = 2) -> tuple[str, float] | None:
    """The largest unit that fits `least` times into a span, and its length in samples; None if not known.

    Examples
    --------
    >>> time_unit(168, 3600)
    ('day', 24.0)
    """
    if not sample_seconds or not samples:
        return None
    span = abs(samples) * sample_seconds
    name = next((name for name in reversed(UNITS) if span >= least * UNITS[name]), "second")
    return name, UNITS[name] / sample_seconds


def in_words(samples: float, sample_seconds: float, least: float = 2) -> str:
    """A span of samples as time, such as "7 days"; empty if the spacing is not known."""
    unit = time_unit(samples, sample_seconds, least)
    return "" if unit is None else _counted([samples], *unit)


def samples_in_words(samples: float | Sequence[float], sample_seconds: float, digits: int = 4) -> str:
    """A span as "168 samples (7 days)", or "168 samples" if the spacing is not known.

    Several spans share a unit: "24, 48 samples (1, 2 days)".
    """
    spans = samples if isinstance(samples, Sequence) else [samples]
    unit = time_unit(max(spans, key=abs), sample_seconds)
    return _counted(spans, "sample", 1.0, digits) + ("" if unit is None else f" ({_counted(spans, *unit)})")


def _counted(spans: Sequence[float], name: str, samples: float, digits: int = 3) -> str:
    """Spans in a unit of that many samples, never with a power of ten (10080, not 1.008e+04)."""
    counts = [span / samples for span in spans]
    said = [f"{count:.{digits}g}" if abs(count) < 10**digits - 0.5 else f"{count:.0f}" for count in counts]
    return f"{', '.join(said)} {name}{'' if said == ['1'] else 's'}"

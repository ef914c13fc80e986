"""How numbers are written, the same in sentences, tables and charts: decimals, a true minus sign, shares in percent."""

from __future__ import annotations

import numpy as np

MINUS = "\N{MINUS SIGN}"
# The same in charts: formats of d3, and what its locale puts for a minus and a percent sign.
NUMBER, SHORT, SIGNED, SAMPLES, PERCENT, PERCENT_1 = ".3~r", ".2~r", "+.3~r", ".6~r", ".0%", ".1%"
LOCALE = {"number": {
    "decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""], "percent": " %", "minus": MINUS,
}}  # fmt: skip


def number(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """A number in significant digits, without an exponent or trailing zeros; "no figure" for NaN."""
    if not np.isfinite(value):
        return "no figure" if np.isnan(value) else f"{MINUS if value < 0 else ''}∞"
    text = np.format_float_positional(value + 0.0, digits, unique=False, fractional=False, trim="-", sign=signed)
    return text.replace("-", MINUS)


def number_below(value: float, limit: float, digits: int = 3) -> str:
    """A number below a limit, in more digits where fewer would round it up to the limit."""
    while digits < 17 and float(f"{value:.{digits}g}") >= limit:
        digits += 1
    return number(value, digits)


def equals(one: float, other: float, digits: int = 4) -> str:
    """The sign between two numbers: "=" where they are equal to these digits, else "≈"."""
    return "=" if number(one, digits) == number(other, digits) else "≈"


def percent(share: float, decimals: int = 0) -> str:
    """A share as "84 %"; "no figure" for NaN."""
    if not np.isfinite(share):
        return "no figure"
    return f"{round(100 * share, decimals) + 0.0:.{decimals}f} %".replace("-", MINUS)

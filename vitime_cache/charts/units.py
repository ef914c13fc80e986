"""The units of charts: how attention is measured and how its numbers are written.

Stored attention is a softmax weight, a number such as 8e-4 that is hard to interpret. Charts show it as multiples of
even attention: 1 is what every patch would get if all got the same. The stored arrays are not changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vitime_cache.numerals import NUMBER, number

Unit = Literal["even", "weight"]

EVEN_WORDS = "Attention is in multiples of even attention: 1 means that all patches get the same."


@dataclass(frozen=True)
class AttentionUnit:
    """How attention is shown.

    Attributes
    ----------
    factor
        Factor for stored weights.
    suffix
        Suffix of the name of a quantity on axes and in tooltips.
    format, axis_format
        d3 formats.
    words
        A sentence for a subtitle, or "".
    """

    factor: float
    suffix: str
    format: str
    axis_format: str
    words: str

    def title(self, of: str = "attention") -> str:
        """The name of a quantity with its unit."""
        return f"{of}{self.suffix}"

    def amount(self, value: float) -> str:
        """A value with its unit, for a sentence."""
        return f"{self.label(value)}{self.suffix.removeprefix(',')}"

    def label(self, value: float) -> str:
        """A value in this unit, as `format` writes it."""
        return number(value) if self.format == NUMBER else f"{value:.1e}" if value else "0"


WEIGHT = AttentionUnit(1.0, "", ".3e", ".1e", "")


def attention_unit(unit: Unit, tokens: int) -> AttentionUnit:
    """The unit of that name for a model with this number of tokens.

    An even softmax over all patches, with nothing for CLS, gives each 1 / tokens. A cell of time attention is a mean of
    such weights over the rows of two columns, so its even value is the same.
    """
    return WEIGHT if unit == "weight" else AttentionUnit(float(tokens), ", × even", NUMBER, NUMBER, EVEN_WORDS)

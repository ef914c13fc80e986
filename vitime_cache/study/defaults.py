"""The reference study's settings, shared by its API and the app's first view of a store."""

from __future__ import annotations

from vitime_cache.charts.shading import Contrast

HEAD = 7  # of the last decoder block
MOST_LAGS = 40  # patches at which its curves end
DPI = 200
CONTRAST = Contrast()


def study_head(layers: list[str], heads: int) -> tuple[str, int]:
    """The head of the study: head 7 of the last layer, or its last head if there are fewer."""
    return layers[-1], min(HEAD, heads - 1)

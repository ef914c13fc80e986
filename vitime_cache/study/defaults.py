"""The reference study's settings, which its API and the app's first sight of a store share."""

from __future__ import annotations

from vitime_cache.charts.shading import Contrast

HEAD = 7  # of the last decoder block
MOST_LAGS = 40  # patches: where its curves end
DPI = 200
CONTRAST = Contrast()


def study_head(layers: list[str], heads: int) -> tuple[str, int]:
    """The head the study looks at: head 7 of the last layer, or the last head where there are fewer."""
    return layers[-1], min(HEAD, heads - 1)

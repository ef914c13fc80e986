"""The windows of a question on its series, and the samples that are left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from vitime_cache.charts.style import (
    FORECAST,
    HISTORY,
    NEUTRAL,
    STRETCH,
    Spec,
    assemble,
    layer,
    quantity,
    readable,
    thin,
    tip,
)


def window_picture(
    name: str, values: np.ndarray, starts: Sequence[int], history: int, horizon: int, words: str = "",
    *, width: int = 860, height: int = 180,
) -> Spec:  # fmt: skip
    """A whole series (T,) with the stretches that are the model's history and those that it must forecast."""
    line = thin(np.arange(len(values)), values, 1200)
    x = quantity("time", "sample", scale={"domain": [0, len(values)], "nice": False})
    y = quantity("value", "value", scale={"zero": False})
    boxes = [
        {"from": start + first, "to": min(start + last, len(values)), "part": part, "colour": colour}
        for start in starts
        for first, last, part, colour in (
            (0, history, "history given to the model", HISTORY),
            (history, history + horizon, "to be forecast", FORECAST),
        )
    ]
    layers = [
        *(
            layer(
                [box for box in boxes if box["colour"] == colour],
                "rect",
                encoding={
                    "x": quantity("from"),
                    "x2": {"field": "to"},
                    "tooltip": [tip("part", "part"), tip("from", "from sample", "d"), tip("to", "to sample", "d")],
                },
                color=colour,
                opacity=0.18,
            )
            for colour in (HISTORY, FORECAST)
        ),
        layer(line, "line", encoding={"x": x, "y": y}, color=NEUTRAL, strokeWidth=1.2),
        layer(
            line,
            "rule",
            encoding={"x": x, "tooltip": [tip("time", "sample", "d"), tip("value", "value", readable(line["value"]))]},
            opacity=0,
            strokeWidth=3,
        ),
    ]
    return assemble(
        layers,
        f"The stretch asked about: {name}",
        [*words.split("; "), "Blue: history given to the model; orange: to be forecast; no colour: left out"],
        width=width,
        height=height,
        autosize=STRETCH,
    )


def window_table(values: np.ndarray, starts: Sequence[int], history: int, horizon: int) -> pd.DataFrame:
    """sample, value, and its part: history, horizon, or left out."""
    part = np.full(len(values), "left out", dtype=object)
    for start in starts:
        part[start : start + history] = "history"
        part[start + history : start + history + horizon] = "horizon"
    return pd.DataFrame({"sample": np.arange(len(values)), "value": values, "part": part})

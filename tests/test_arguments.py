"""Every argument of every public call, found by its signature and given rubbish: taken, or refused before any work.

A refusal is one line that names the argument. A new argument is tried without being listed here.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vitime_cache as vc
from tests.conftest import random_model, small_config

X = np.sin(2 * np.pi * np.arange(80) / 8)
DAY = vc.Signal("day", X, 40)
MODEL = random_model(small_config(context_columns=160, horizon_columns=80))
HEADS = [("decoder.0", 1)]
ATTENTION = vc.capture(MODEL, DAY)

# Nothing of this can be an argument of anything.
NEVER = {"object": object(), "complex": 1j, "objects": [object()]}
RUBBISH = NEVER | {
    "none": None, "nan": np.nan, "negative": -3, "huge": 10**400, "half": 1.5, "truth": True, "text": "rubb\nish",
    "ragged": [[1], [2, 3]], "matrix": np.zeros((3, 4)), "bytes": b"x", "empty": [],
}  # fmt: skip

# What a message calls an argument, if not by its name.
CALLED = {
    "signals": "signal", "history": "series|signal", "signal": "series", "values": "signal 's'", "reference": "signal",
    "stand_in": "signal|stand-in", "historical_data": "series|history", "input_tensor": "series|history|sample",
    "x": "series|history", "A": "attention", "A_time": "attention", "tokens": "layer", "wanted": "layer",
    "source": "file", "columns": "column", "time": "column", "rows": "1 sample", "path": "store", "ds": "vc.show",
    "horizon_columns": "columns", "context_columns": "columns", "prediction_horizon": "horizon", "period": "span",
    "heads_to_plot": "head", "window": "history", "lags": "lag", "tempature": "temperature", "start": "earlier",
    "max_size": "--max-size", "future_length": "horizon",
}  # fmt: skip


# Arguments that a call takes, to which the rubbish one is added.
SEVERAL = {"model": MODEL, "signals": DAY, "heads": HEADS}
FIGURES = {"input_tensor": X, "heads_to_plot": 0, "save_dir": "pictures"}
GIVEN: dict[str, dict[str, Any]] = {
    "Harmonic": {"period": 8},
    "Signal": {"name": "s", "values": X},
    "read_signals": {"source": pd.DataFrame({"v": X})},
    "capture": {"model": MODEL, "signal": DAY},
    "ablate_heads": SEVERAL, "mask_lags": SEVERAL | {"period": 8}, "patch_values": SEVERAL | {"lags": [2]},
    "null_curves": {"model": MODEL, "history": DAY, "horizon": 40},
    "against_nulls": {"ds": ATTENTION, "nulls": vc.null_curves(MODEL, DAY, 40)},
    "ask": {"model": MODEL, "signal": DAY, "period": 8}, "ask_all": {"model": MODEL, "signals": [DAY], "period": 8},
    "show": {"ds": ATTENTION},
    "build": {"signals": [DAY], "store": "a.zarr", "model": MODEL}, "open_store": {"path": "none.zarr"},
    "ViTimePrediction": {"device": "cpu"},
    "AttentionRollout": {"model": MODEL}, "MultiHeadAttentionRollout": {"model": MODEL},
    "published": {"model_size": 0.25}, "from_dict": {"values": MODEL.config.to_dict()},
    "samples_per_patch": {"samples": 100}, "select_layers": {"wanted": "all"}, "with_horizon": {"horizon": 9},
    "prediction": {"historical_data": X, "future_length": 40}, "history": {"historical_data": X, "future_length": 9},
    "rollout": {"input_tensor": X}, "forward": {"x": X, "prediction_horizon": 40}, "plot_attention_heads": FIGURES,
    "token_attn_to_time_attn": {"A": np.eye(60)}, "mean_attention_vs_time_lag": {"A_time": np.eye(60)},
}  # fmt: skip


def public_calls() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions and classes, and the methods of the classes, of a class once for those that inherit it."""
    predictor = vc.ViTimePrediction("cpu")
    predictor.model = MODEL
    for name in vc.__all__:
        if callable(call := getattr(vc, name)) and not (isinstance(call, type) and issubclass(call, Exception)):
            yield name, call
    owners = (vc.MultiHeadAttentionRolloutPlotter(MODEL), vc.AttentionRollout(MODEL), predictor, DAY, MODEL.config)
    for owner in (*owners, vc.Harmonic(8)):
        for name, method in inspect.getmembers(owner, inspect.ismethod):
            if not name.startswith("_") and inspect.signature(method).parameters:
                yield f"{type(owner).__name__}.{name}", method


PUBLIC = dict(public_calls())
TRIED = [
    (name, argument)
    for name, call in PUBLIC.items()
    if name != "MultiHeadAttentionRolloutPlotter"
    for argument, parameter in inspect.signature(call).parameters.items()
    if parameter.kind is not parameter.VAR_KEYWORD
]


class Ran(BaseException):
    """The model was run, so every argument was taken."""


@pytest.fixture(scope="module", autouse=True)
def stopped_model() -> Iterator[None]:
    def ran(*_: object) -> None:
        raise Ran

    handle = MODEL.patch_embed.register_forward_pre_hook(ran)
    yield
    handle.remove()


@pytest.mark.parametrize(("name", "argument"), TRIED, ids=lambda x: x)
def test_rubbish_is_refused_in_one_line_that_names_the_argument_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, argument: str
) -> None:
    monkeypatch.chdir(tmp_path)
    warnings.simplefilter("ignore")
    named = re.compile(rf"{argument}|{CALLED.get(argument, argument)}", re.IGNORECASE)
    for kind, value in RUBBISH.items():
        there, said = sorted(tmp_path.rglob("*")), ""
        try:
            PUBLIC[name](**GIVEN.get(name.split(".")[-1], {}) | {argument: value})
        except Ran:
            pass
        except vc.VitimeError as error:
            said = str(error)
        assert said or kind not in NEVER, f"{name} takes {argument}={value!r}"
        if said:
            assert "\n" not in said
            assert named.search(said), f"{kind}: {said}"
            assert sorted(tmp_path.rglob("*")) == there

"""One signal under two weights: both forecasts, which heads changed, and the limits of the comparison."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st
import xarray as xr

from vitime_cache import charts
from vitime_cache.attention import schema
from vitime_cache.compare.forecasts import ForecastGap, compare_forecasts
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.budget import SMALL
from vitime_cache.numerals import number
from vitime_cache.ui import other_weights
from vitime_cache.ui.address import pick
from vitime_cache.ui.chart import SERIES, figure
from vitime_cache.ui.copied import compared_code, copy_python
from vitime_cache.ui.stores import Store, reading
from vitime_cache.ui.two_signals import SAME_HEAD, both_curves, both_maps, called, choose_how, heads_apart, show_reading
from vitime_cache.ui.verdicts import whole_series
from vitime_cache.ui.weights import WeightsFile, weights_files
from vitime_cache.ui.width import page_width
from vitime_cache.ui.words import complain, end_page, plain, weights_note

Load = Callable[[], xr.Dataset | None]


def two_weights(first: xr.Dataset, head: tuple[str, int]) -> None:
    """Show the comparison; the second network's results are read from a store, or computed here."""
    choices = _choices(first)
    if not choices:
        st.info(
            f"No weights other than {plain(first.attrs['weights'])} are available for this series. Put a second file "
            "into `weights/`, such as one that `python -m vitime_cache train` adapted to your series, or build a store "
            "with it.",
            icon=":material/model_training:",
        )
        end_page()
    second = choices[pick("Against the weights", list(choices), "against", where=st)]()
    if second is None:
        end_page()
    names = _names(first, second)
    weights_note(first, second)
    future = whole_series(first).future
    try:
        gap = compare_forecasts(first, second, future)
    except VitimeError as error:
        complain(error)
        return
    st.markdown(plain(_conclusion(gap, names)))
    figure(
        charts.two_forecasts, first, second, names, None if future is None else np.asarray(future),
        key="forecasts", width="stretch", table=lambda: charts.two_forecasts_table(first, second, names, future),
    )  # fmt: skip
    wide = page_width()
    laid = heads_apart(first, second, names, head, wide)
    if laid:
        _one_head(first, second, names, head, wide)
    show_reading(_supports(gap, names), _limits(laid))


@st.fragment
def _one_head(first: xr.Dataset, second: xr.Dataset, names: tuple[str, str], head: tuple[str, int], wide: int) -> None:
    """The same layer and head of both networks: its maps, each on its own scale, and both lag curves."""
    st.subheader(f"{plain(head[0])}, head {head[1]}, of both", anchor=False)
    period, options, contrast = choose_how(first)
    both = [
        called(ds, name).assign_attrs({SERIES: schema.name_of(ds)})
        for ds, name in zip((first, second), names, strict=True)
    ]
    views = [charts.HeadView(ds, *head) for ds in both]
    shadings = [charts.shared_shading([view], contrast) for view in views]
    with st.container(horizontal=True):
        both_maps(views, shadings, wide)
    both_curves(views, options, period)
    copy_python(compared_code((first, second), names, head, options, period))


def _choices(first: xr.Dataset) -> dict[str, Load]:
    """The options for the second weights: those of stores that hold the series, then files; each weights once."""
    found: dict[str, Load] = {}
    seen = {first.attrs["weights_sha256"]}
    for other in other_weights.elsewhere(first):
        sha = other.store.dataset.attrs["weights_sha256"]
        if sha not in seen:
            seen.add(sha)
            found[f"{other.weights}, in {other.store.name}"] = partial(_stored, other.store, other.signal)
    for file in weights_files().values():
        if isinstance(file, WeightsFile) and file.info.sha256 not in seen:
            seen.add(file.info.sha256)
            found[f"{file.info.name}, run here"] = partial(_run, first, file)
    return found


def _stored(store: Store, signal: str) -> xr.Dataset:
    with reading(store):
        return store.signal(signal)


def _run(first: xr.Dataset, weights: WeightsFile) -> xr.Dataset | None:
    """The signal under other weights: as kept, or run now; a large network only runs on a button press."""
    try:
        if other_weights.under(first, weights) is None:
            name, small = plain(weights.info.name), weights.config.tokens <= SMALL
            if not small and not st.button(f"Run {name} on this signal", icon=":material/play_arrow:"):
                return None
            with st.spinner(f"{name} runs on {plain(schema.name_of(first))}"):
                other_weights.run_under(first, weights)
        return other_weights.under(first, weights)
    except (VitimeError, MemoryError, OSError) as error:
        complain(error)
        return None


def _names(first: xr.Dataset, second: xr.Dataset) -> tuple[str, str]:
    """The names of the two weights, with their hash if the names are the same."""
    a, b = (str(ds.attrs["weights"]) for ds in (first, second))
    if a != b and not {a, b} & {"history", "actual"}:
        return a, b
    one, two = (f"{ds.attrs['weights']} {ds.attrs['weights_sha256'][:6]}" for ds in (first, second))
    return one, two


def _conclusion(gap: ForecastGap, names: tuple[str, str]) -> str:
    said = (
        f"The forecasts of {names[0]} and {names[1]} are {number(gap.apart)} {gap.unit} apart on average, "
        f"{number(gap.widest)} at most."
    )
    if np.isfinite(gap.first_error):
        said += f" Their mean absolute errors are {number(gap.first_error)} and {number(gap.second_error)}."
    return said


def _supports(gap: ForecastGap, names: tuple[str, str]) -> tuple[str, ...]:
    said = ["Where these two networks look on this signal, and what they forecast of it."]
    if np.isfinite(gap.first_error):
        better = names[0] if gap.first_error < gap.second_error else names[1]
        who = "both are equally near" if gap.first_error == gap.second_error else f"{better} is nearer"
        said.append(f"On this one stretch {who} to the actual values (mean absolute error of the median).")
    return tuple(said)


def _limits(laid: bool) -> tuple[str, ...]:
    said = [
        "Which network forecasts better: this takes many stretches and series.",
        "That a changed head is why the forecasts differ: this takes knocking it out.",
    ]
    if laid:
        said.append(SAME_HEAD)
    return tuple(said)

"""Python code for what a page shows, to copy into a notebook."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
import xarray as xr

from vitime_cache.attention.schema import name_of
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.ui.shared import END, KEY
from vitime_cache.ui.stores import store_of


def copy_python(code: str) -> None:
    """A button that shows the code, with Streamlit's own copy button."""
    with st.popover("Python for this view", icon=":material/code:", type="tertiary"):
        st.code(code, language="python")


def head_code(ds: xr.Dataset, layer: str, head: int) -> str:
    """Code that shows one head of one signal of a store."""
    return f"{_store(ds)}vc.show(store.sel(signal={name_of(ds)!r}), {layer!r}, {head})\n"


def heads_code(ds: xr.Dataset, period: float | None) -> str:
    """Code that shows all heads of one signal, with their measures at a period."""
    return (
        f"{_store(ds)}ds = store.sel(signal={name_of(ds)!r}).load()\n\n"
        "from vitime_cache.attention.measures import head_measures\n\n"
        f"measures = head_measures(ds, {None if period is None else float(period)!r})\n"
        "vc.charts.altair_chart(vc.charts.small_multiples(ds, measures))\n"
    )


def compared_code(first: xr.Dataset, second: xr.Dataset, layer: str, head: int) -> str:
    """Code that shows where the maps of one head differ between two signals, of one store or of two."""
    other = "" if store_of(first) == store_of(second) else f"other = vc.open_store({str(store_of(second))!r})\n"
    return (
        f"{_store(first)}{other}a = vc.charts.HeadView(store.sel(signal={name_of(first)!r}), {layer!r}, {head})\n"
        f"b = vc.charts.HeadView({'other' if other else 'store'}.sel(signal={name_of(second)!r}), {layer!r}, {head})\n"
        "vc.charts.altair_chart(vc.charts.difference(a, b))\n"
    )


def answer_code(verdict: xr.Dataset) -> str:
    """Code that shows an answer: opened from its store, or asked again if no store keeps it."""
    place = Path(str(verdict.attrs.get(KEY, "")).partition(END)[0])
    if (place / "zarr.json").is_file():
        return f"import vitime_cache as vc\nimport xarray as xr\n\nvc.show(xr.open_zarr({str(place)!r}).load())\n"
    question, window = (vschema.facts(verdict, name) for name in ("question", "window_facts"))
    options: dict[str, object] = {"period": float(question["period"])}
    options |= {} if window["chosen"] else {"window": (window["history"], window["horizon"])}
    options |= {} if question["budget"] is None else {"budget": question["budget"]}
    asked = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return (
        "import vitime_cache as vc\n\n"
        f"series = {question['signal']!r}  # in place of its name, its samples\n"
        f"vc.show(vc.ask(vc.load_model(), series, {asked}))  # by the weights {question['weights']!r}\n"
    )


def _store(ds: xr.Dataset) -> str:
    return f"import vitime_cache as vc\n\nstore = vc.open_store({str(store_of(ds))!r})\n"

"""Python code for what a page shows, to copy into a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st
import xarray as xr

from vitime_cache.attention.schema import name_of
from vitime_cache.charts import HeadView
from vitime_cache.charts.tables import why_no_difference
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.ui import own
from vitime_cache.ui.options import LagOptions
from vitime_cache.ui.shared import END, KEY
from vitime_cache.ui.stores import store_of
from vitime_cache.ui.verdicts import Subject
from vitime_cache.ui.weights import WeightsFile, weights_files

IMPORTS = "import vitime_cache as vc\n"


def copy_python(code: str) -> None:
    """A button that shows the code, with Streamlit's own copy button."""
    with st.popover("Python for this view", icon=":material/code:", type="tertiary"):
        st.code(code, language="python")


def head_code(views: Sequence[HeadView], options: LagOptions, period: float | None, **more: object) -> str:
    """Code that shows one head of one signal of a store, linked, with the curves of others, and `more` options."""
    first, *others = map(_view, views)
    how = f"beside=[{', '.join(others)}], {_lags(options, period)}, {_told(more)}"
    return (
        f"{IMPORTS}from vitime_cache.charts.shading import Contrast\n\n{_signal('ds', views[0].ds)}view = {first}\n"
        f"vc.charts.altair_chart(vc.charts.linked_head(view, {how}))\n"
    )


def heads_code(ds: xr.Dataset, period: float | None, verdict: xr.Dataset | None, draw: str) -> str:
    """Code that shows all heads of one signal, with their measures at a period and the figures of a verdict.

    Parameters
    ----------
    draw
        Makes the chart of `ds`, `measures` and `verdict`.
    """
    claims = "verdict = None\n"
    if verdict is not None:
        claims = f"{_verdict(verdict, Subject.of(ds))}measures = measures.assign(claim_figures(verdict))\n"
    return (
        f"import xarray as xr\n\n{IMPORTS}from vitime_cache.attention.measures import head_measures\n"
        "from vitime_cache.charts.shading import Contrast\n"
        f"from vitime_cache.evidence.verdict.data import claim_figures\n\n{_signal('ds', ds)}"
        f"measures = head_measures(ds, {_number(period)})\n{claims}vc.charts.altair_chart({draw})\n"
    )


def compared_code(
    both: Sequence[xr.Dataset], names: Sequence[str], head: tuple[str, int], options: LagOptions, period: float | None
) -> str:
    """Code that shows where the maps of one head differ between two Datasets, if they can be compared, and both curves.

    Parameters
    ----------
    names
        What the two are called on the page, where their own names are the same.
    """
    opened = "".join(
        _signal(letter, ds, name) + f"{letter} = vc.charts.HeadView({letter}, {head[0]!r}, {head[1]})\n"
        for letter, ds, name in zip("ab", both, names, strict=True)
    )
    apart = why_no_difference(*(HeadView(ds, *head) for ds in both))
    shown = "curves" if apart else "vc.charts.beside([vc.charts.difference(a, b), curves], columns=1)"
    return (
        f"{IMPORTS}\n{opened}curves = vc.charts.lag_curves([a, b], {_lags(options, period)})\n"
        f"vc.charts.altair_chart({shown})\n"
    )


def answer_code(verdict: xr.Dataset, subject: Subject) -> str:
    """Code that shows an answer: opened from its store, or asked again if no store keeps it."""
    return f"import xarray as xr\n\n{IMPORTS}\n{_verdict(verdict, subject)}vc.show(verdict)\n"


def _verdict(verdict: xr.Dataset, subject: Subject) -> str:
    """Lines that open a verdict from its store, or ask its question again if no store keeps it."""
    if (place := _kept(verdict)) is not None:
        return f"verdict = xr.open_zarr({str(place)!r}).load()\n"
    question, window = (vschema.facts(verdict, name) for name in ("question", "window_facts"))
    options: dict[str, object] = {"period": float(question["period"])}
    options |= {} if window["chosen"] else {"window": (window["history"], window["horizon"])}
    options |= {} if question["budget"] is None else {"budget": question["budget"]}
    return (
        f"{_series(subject)}{_model(subject)}"
        f"verdict = vc.ask(model, series, {_told(options)})  # asked again, as no store keeps the answer\n"
    )


def _series(subject: Subject) -> str:
    """The line that opens the series of a subject: what its answers are about."""
    name = subject.signal.name
    if subject.signal.future is not None:  # a store keeps the history only
        return f"series = next(each for each in vc.catalogue() if each.name == {name!r})\n"
    if subject.store.parent.name != own.FOLDER:
        return f"series = vc.open_store({str(subject.store)!r}).sel(signal={name!r})\n"
    whole = f"vc.open_store({str(subject.store)!r}).sel(signal={own.WHOLE!r})"
    return f"series = {whole}.assign_coords(signal={name!r})\n"


def _model(subject: Subject) -> str:
    """The line that loads the weights of a subject, from their file if it is among those of the server."""
    for path, file in weights_files().items():
        if isinstance(file, WeightsFile) and file.info.sha256 == subject.weights_sha256:
            return f"model = vc.load_model({str(path)!r})\n"
    return f"model = vc.load_model({subject.weights!r})  # in place of their name, the file of these weights\n"


def _kept(verdict: xr.Dataset) -> Path | None:
    """The group of a verdict in its store; None if no store keeps it."""
    place = Path(str(verdict.attrs.get(KEY, "")).partition(END)[0])
    return place if (place / "zarr.json").is_file() else None


def _signal(variable: str, ds: xr.Dataset, name: str = "") -> str:
    """The line that opens a signal, under another name if there is one."""
    renamed = f".assign_coords(signal={name!r})" if name and name != name_of(ds) else ""
    return f"{variable} = vc.open_store({str(store_of(ds))!r}).sel(signal={name_of(ds)!r}){renamed}\n"


def _view(view: HeadView) -> str:
    return f"vc.charts.HeadView(ds, {view.layer!r}, {view.head}, {view.queries!r})"


def _lags(options: LagOptions, period: float | None) -> str:
    region, side, log, longest = options.region, options.side, options.log, options.longest
    return _told({"region": region, "period": _number(period), "side": side, "log": log, "max_lag": longest})


def _told(options: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)

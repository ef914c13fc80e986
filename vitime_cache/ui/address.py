"""Pickers that keep their choice in the address of the page, so that a view can be shared and survives a reload.

The address decides: a picker shows what the address says, and a change by hand is written to the address first.
Options of a single page use Streamlit's own `bind="query-params"`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.places import FIRST_STORE
from vitime_cache.ui import own
from vitime_cache.ui.asked import in_address as asked_in_address
from vitime_cache.ui.asked import write_address
from vitime_cache.ui.options import chosen_period
from vitime_cache.ui.stores import Store, readable, reading, stores
from vitime_cache.ui.sweep import first_head
from vitime_cache.ui.words import DELETABLE, complain, end_page, plain, say_if_unknown

T = TypeVar("T", str, int)
UNWRITTEN = "unwritten_address"
SHARED = ("store", "signal", "other", "layer", "head")  # parameters of the address that pages hand on


def pick(
    label: str,
    options: Sequence[T],
    key: str,
    *,
    default: T | None = None,
    format_func: Callable[[Any], str] = str,
    where: Any = None,
    kept: bool = True,
) -> T:
    """A select box over `options` that follows the parameter `key` of the address, and warns of an unknown value.

    Parameters
    ----------
    kept
        Whether other pages keep what is shown here even if nobody chose it.
    """
    by_text: dict[str, T] = {str(option): option for option in options}
    asked = st.query_params.get(key) or named_in_address().get(key)
    wanted = asked if asked is not None else _remembered().get(key)
    value = by_text.get(wanted or "", options[0] if default is None else default)
    shown = plain(format_func(value))
    say_if_unknown(key, label, by_text, shown)
    unnamed = key == "signal" and asked is None  # the short address, if there is one, names no signal
    if st.query_params.get(key) is None and (unnamed or (asked is not None and asked not in by_text)):
        say_if_unknown("q", label, (), shown)
    widget = f"pick_{key}"
    st.session_state[widget] = value
    place = st.sidebar if where is None else where
    place.selectbox(label, options, key=widget, format_func=format_func, on_change=_write, args=(key, widget))
    if kept or asked is not None or value != default:
        _remembered()[key] = str(value)
    else:
        _remembered().pop(key, None)
    missing = key in DELETABLE and asked is not None and asked not in by_text  # it may come back to its address
    if asked != str(value) and not missing and (asked or value != (options[0] if default is None else default)):
        keep_in_address(key, str(value))
    return value


def named_in_address() -> dict[str, str]:
    """The choice that the short name `q` in the address stands for: an own series, or a question about any series."""
    q = st.query_params.get("q", "")
    if own.is_here(q):
        return {"signal": own.PREFIX + q}
    asked = asked_in_address()
    if asked is None:
        return {}
    return asked.place


def names_another() -> bool:
    """Whether the address names a store or a signal that is not here, so that the pickers show another."""
    named = {
        **named_in_address(),
        **{key: st.query_params[key] for key in ("store", "signal") if key in st.query_params},
    }
    nothing = "q" in st.query_params and not named_in_address()
    return nothing or any(st.session_state.get(f"pick_{key}") != value for key, value in named.items())


def keep_in_address(key: str, value: str) -> None:
    """Have a parameter of the address written with what else it lacks, unless it is there."""
    if st.query_params.get(key) != value:
        st.session_state.setdefault(UNWRITTEN, {})[key] = value


def settle_address() -> None:
    """Write the missing part of the choice to the address at once: each write is an entry in the browser's history."""
    if unwritten := st.session_state.pop(UNWRITTEN, None):
        st.query_params.update(unwritten)


def address(**changes: object) -> dict[str, str]:
    """The shared choice with some changes, as query parameters of a link to another page."""
    return {**_remembered(), **{key: str(value) for key, value in changes.items()}}


def choose_store() -> Store | None:
    """The store picker, above the others on every page; None without a store that can be read."""
    own.take_up(named_in_address().get("signal", "").removeprefix(own.PREFIX))  # before any page lists own series
    found = stores()
    if not found:
        say_if_unknown("store", "Store", (), "none")
        return None
    store = found[pick("Store", list(found), "store", default=_first_with_signals(found))]
    return store if readable(store) else None  # the pages go on with series of one's own


def choose_signal(
    store: Store | None, label: str = "Signal", key: str = "signal", default: str = "", where: Any = None
) -> xr.Dataset:
    """The signal picker over the store and this session's own series; ends the page if there are none."""
    stored = stored_signals(store) if store else []
    mine = own.options()
    options = [*stored, *mine]
    if not options:
        say_if_unknown("q" if "q" in st.query_params else key, label, (), "nothing")
        st.info(
            "There is no signal to show yet. Bring a series on the page **Ask**, or build a store in the **Library**.",
            icon=":material/hourglass_empty:",
        )
        end_page()
    name = pick(
        label, options, key, default=default if default in options else None, where=where,
        format_func=lambda option: f"{mine[option]} (yours)" if option in mine else option,
    )  # fmt: skip
    return dataset(store, name)


def dataset(store: Store | None, name: str) -> xr.Dataset:
    """One signal of the store, or one of this session's own series."""
    if not own.is_option(name):
        assert store is not None
        with reading(store):
            return store.signal(name)
    try:
        with reading(own.store_behind(name)):
            return own.dataset(name)
    except own.OwnError as error:
        complain(error)
        end_page()


def choose_other(store: Store | None, first: xr.Dataset, where: Any = None) -> xr.Dataset:
    """The picker of the signal to compare with; by default the reduction of `first`, or the signal it reduces."""
    return choose_signal(store, "Compare with", "other", default=_partner(store, first), where=where)


def _partner(store: Store | None, first: xr.Dataset) -> str:
    """The default partner of `first`: the signal it reduces, its reduction, or another one, of its length if possible.

    Maps of signals of other lengths do not fit on one another.
    """
    name, fuller = schema.name_of(first), str(first[schema.REDUCED_OF].item())
    if store is None or fuller:
        return fuller
    with reading(store):
        facts = (store.dataset[each].values.tolist() for each in (schema.REDUCED_OF, schema.N_HISTORY, schema.HORIZON))
        others = [each for each in zip(store.signals, *facts, strict=True) if each[0] != name]
    lengths = [int(first[each]) for each in (schema.N_HISTORY, schema.HORIZON)]
    reductions = [other for other, of, *_ in others if of == name]
    alike = [other for other, _, *theirs in others if theirs == lengths]
    return next(iter(reductions or alike or [other for other, *_ in others]), "")


def stored_signals(store: Store) -> list[str]:
    """Names of the signals in a store; shows a message and ends the page if the store cannot be read."""
    with reading(store):
        return store.signals


def choose_head(store: Store | None, ds: xr.Dataset) -> tuple[str, int]:
    """Pickers of layer and head, with the reason for the first choice."""
    layers = [str(layer) for layer in ds[schema.LAYER].values]
    heads = [int(head) for head in ds[schema.HEAD].values]
    layer, head, reason = first_head(store, ds, chosen_period(ds))
    chosen = (
        pick("Layer", layers, "layer", default=layer, kept=False), pick("Head", heads, "head", default=head, kept=False)
    )  # fmt: skip
    st.sidebar.caption(f"First shown is {plain(layer)}, head {head}: {reason}.")
    return chosen


def forget_choice(key: str, value: str) -> None:
    """Have links to other pages no longer carry a choice that was deleted."""
    if _remembered().get(key) == value:
        del _remembered()[key]


def open_head(chosen: dict[str, Any] | None) -> None:
    """Go to the page of the head that was clicked."""
    if chosen is not None:
        st.switch_page("pages/head.py", query_params=address(layer=chosen["layer"], head=chosen["head"]))


def _first_with_signals(found: dict[str, Store]) -> str:
    if (named := os.environ.get(FIRST_STORE)) in found:
        return str(named)
    return next((name for name, store in found.items() if store.stamp is not None), next(iter(found)))


def _remembered() -> dict[str, str]:
    """This session's choice, which links carry; at first the address's, as not every page has every picker."""
    if "choice" not in st.session_state:
        asked = {**named_in_address(), **st.query_params.to_dict()}
        st.session_state["choice"] = {key: asked[key] for key in SHARED if key in asked}
    choice: dict[str, str] = st.session_state["choice"]
    return choice


def _write(key: str, widget: str) -> None:
    """Write a choice to the address together with the other pickers: one entry in the browser's history.

    The browser sends its address along with a choice. If two choices follow each other faster than the server
    answers, that address is older than both, so the other pickers are written with their present values.
    """
    chosen = str(st.session_state[widget])
    shown = {
        other: str(st.session_state[f"pick_{other}"])
        for other in _independent_of(key)
        if f"pick_{other}" in st.session_state
    }
    dropped = {name for name in ("store", "signal", "other") if _shown_instead(name)}
    short = {}
    if key in ("store", "signal"):
        dropped.add("q")
        short = {"q": chosen.removeprefix(own.PREFIX)} if own.is_option(chosen) else {}
    elif "q" in st.query_params:
        shown = {other: value for other, value in shown.items() if other not in ("store", "signal")}
    write_address({**shown, key: chosen, **short}, dropped)


def _shown_instead(key: str) -> bool:
    """Whether a picker shows another value than the address asks it for, as that is not here."""
    asked = st.query_params.get(key)
    return asked is not None and st.session_state.get(f"pick_{key}", asked) != asked


def _independent_of(key: str) -> tuple[str, ...]:
    """The pickers that stay valid when `key` changes: another store may lack the signal, but not the reverse."""
    above = {"store": (), "signal": ("store",), "other": ("store", "signal")}
    return above.get(key, SHARED)

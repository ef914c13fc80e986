"""What all sessions share: results found by the names of their arguments, bounded, and never changed."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import numpy as np
import pytest
import xarray as xr
from streamlit.testing.v1 import AppTest

from vitime_cache.attention.mock import mock_dataset
from vitime_cache.charts import HeadView
from vitime_cache.ui.shared import KEY, forget_everything, shared


def counted(most: int) -> tuple[Any, list[Any]]:
    """A shared function, and the calls that it had to work out."""
    calls: list[Any] = []

    @shared(most)
    def work(*args: Any, **options: Any) -> object:
        calls.append((args, options))
        return object()

    return work, calls


def test_a_dataset_in_another_state_of_its_store_is_another_argument() -> None:
    work, calls = counted(8)
    before, same, after = (xr.Dataset(attrs={KEY: key}) for key in ("a@1:full", "a@1:full", "a@2:full"))
    assert work(before) is work(same)
    assert work(before) is not work(after)
    assert len(calls) == 2


def test_a_dataset_without_a_name_is_refused_rather_than_mistaken_for_another() -> None:
    work, calls = counted(8)
    with pytest.raises(KeyError):
        work(xr.Dataset())
    assert not calls


def test_everything_that_changes_what_a_view_of_a_head_shows_is_in_its_name() -> None:
    work, calls = counted(32)
    view = HeadView(mock_dataset().isel(signal=0).assign_attrs({KEY: "made up"}), "decoder.0", 0)
    others: dict[str, Any] = {
        "ds": view.ds.assign_attrs({KEY: "other"}), "layer": "encoder.0", "head": 1, "queries": "ink",
        "shown_in": "weight",
    }  # fmt: skip
    assert set(others) == {each.name for each in dataclasses.fields(view) if each.init}
    work([view])
    for name, value in others.items():
        work([dataclasses.replace(view, **{name: value})])
    work([dataclasses.replace(view)])
    assert len(calls) == 1 + len(others)


def test_arrays_options_and_the_functions_of_a_page_that_runs_again_are_found_by_what_they_are() -> None:
    work, calls = counted(8)
    for _ in range(2):

        def draw() -> None: ...

        work(draw, np.arange(3.0), region="all", log=False)
        work(draw, np.arange(3.0), log=False, region="all")
    assert len(calls) == 1
    work(draw, np.arange(3.0) + 1e-9, region="all", log=False)
    work(draw, np.arange(3), region="all", log=False)
    assert len(calls) == 3


def test_only_the_results_used_last_are_kept() -> None:
    work, calls = counted(2)
    for number in (1, 2, 1, 3, 1):  # 3 takes the place of 2
        work(number)
    assert len(calls) == 3
    work(2)
    assert len(calls) == 4
    forget_everything()
    work(2)
    assert len(calls) == 5


def test_sessions_that_want_the_same_at_once_wait_for_one_of_them_to_work_it_out() -> None:
    calls = []

    @shared(8)
    def slow(number: int) -> int:
        calls.append(number)
        time.sleep(0.05)
        return number

    sessions = [threading.Thread(target=slow, args=(7,)) for _ in range(8)]
    for each in sessions:
        each.start()
    for each in sessions:
        each.join()
    assert calls == [7]


def test_an_error_is_not_kept() -> None:
    tries = []

    @shared(8)
    def sometimes() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("for now")
        return 1

    with pytest.raises(OSError, match="for now"):
        sometimes()
    assert sometimes() == 1


def test_a_page_that_shows_a_chart_leaves_the_shared_chart_as_it_was_drawn() -> None:
    def page() -> None:
        import pandas as pd
        import streamlit as st

        from vitime_cache.ui.chart import figure, worked_out

        def draw() -> dict[str, object]:
            colour = {"field": "x", "type": "quantitative", "legend": {"title": None}}  # Streamlit puts a blank there
            return {"data": {"values": [{"x": 1}]}, "mark": "point", "encoding": {"color": colour}, "autosize": "pad"}

        figure(draw, key="drawn", table=pd.DataFrame)
        st.code(str(worked_out(draw) == draw()))

    at = AppTest.from_function(page).run()
    assert not at.exception
    assert at.code[0].value == "True"

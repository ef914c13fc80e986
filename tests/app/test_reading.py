"""What a file or a pasted table leaves open is asked beside it, and read as it was answered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Element

OpenPage = Callable[..., AppTest]
WAVE = [f"{np.sin(i / 9):.4f}" for i in range(96)]
GAPS = "date,load\n" + "".join(f"2016-01-01 {i // 60:02}:{i % 60:02},{v}\n" for i, v in enumerate(WAVE) if i != 50)
IN_ROWS = "".join(f"{name}," + ",".join(WAVE) + "\n" for name in ("north", "south"))
TWO_TIMES = "start,end,load\n" + "".join(f"{2000 + i}-01-01,{2001 + i}-01-01,{v}\n" for i, v in enumerate(WAVE))
COLUMNS = "state,load,wind\n" + "".join(f"ON,{v},{i if i > 1 else 'x'}\n" for i, v in enumerate(WAVE))
MARKED = "state,load\n" + "".join(f"ON,{-999 if i == 50 else v}\n" for i, v in enumerate(WAVE))
COMMAS = "date;load\n" + "".join(f"{2000 + i}-01-01;1,{100 + i}\n" for i in range(96))


def ask_here() -> None:
    """A page of nothing but the way in."""
    import streamlit as st

    from vitime_cache.errors import VitimeError
    from vitime_cache.ui.compose import pasted
    from vitime_cache.ui.reading import Brought, chosen_series

    try:
        data = st.session_state["data"]
        signal = pasted() if data is None else chosen_series(Brought(data.encode(), "f.csv", str(hash(data))), "upload")
        if signal is not None:
            st.session_state["got"] = (signal.name, len(signal.values), signal.sample_seconds)
    except VitimeError as error:
        st.error(str(error))


def control(at: AppTest, name: str) -> Element:
    return next(each for each in [*at.selectbox, *at.multiselect, *at.text_input] if f"_{name}_" in str(each.key))


def opened(data: str | None) -> AppTest:
    at = AppTest.from_function(ask_here, default_timeout=300)
    at.session_state["data"] = data
    return at.run()


@pytest.mark.parametrize(
    ("data", "message", "name", "answer", "got"),
    [
        (IN_ROWS, "“A series is”: each row;", "rows", "each row", ("north", 96)),
        (TWO_TIMES, "with “Time column”: start", "time", "end", ("load", 96)),
        (TWO_TIMES, "with “Time column”: start", "time", "none: rows are in order", ("load", 96)),
        (COLUMNS, "with “Columns to be read”, or", "columns", ["load"], ("load", 96)),
        (COMMAS, "with “Decimals”", "decimal", "after a comma", ("load", 96)),
        (MARKED, "“What marks missing values”: -999; if", "missing", "none", ("load", 96)),
    ],
)  # fmt: skip
def test_what_a_table_leaves_open_is_asked_and_read_as_answered(data, message, name, answer, got):
    at = opened(data)
    assert message in at.error[0].value
    assert "--" not in at.error[0].value, "a flag means nothing on a page"
    assert at.expander[0].proto.expanded, "the questions are in sight"
    control(at, name).set_value(answer)
    at.run()
    assert not at.exception
    assert not at.error
    assert at.session_state["got"][:2] == got
    assert not at.expander[0].proto.expanded


def test_gaps_in_time_are_filled_on_request():
    at = opened(GAPS)
    assert "1 step" in at.error[0].value
    assert "fill the gaps with “Fill missing values”, or" in at.error[0].value
    assert "with “Time column”: none" in at.error[0].value
    at.toggle(key="fill").set_value(True).run()
    assert not at.error
    assert at.session_state["got"] == ("load", 96, 60)


def test_a_pasted_table_is_read_as_a_file_is():
    at = opened(None)
    at.text_area(key="pasted").input(COLUMNS).run()
    assert "'x' is not a number" in at.error[0].value
    control(at, "columns").set_value(["load"])
    at.run()
    assert not at.error
    assert at.session_state["got"] == ("load", 96, 0)


@pytest.mark.parametrize("text", ["1,5\n2,5", "1, 2, three", "12\n13\nx"])
def test_pasted_numbers_with_a_fault_keep_their_own_message(text):
    at = opened(None)
    at.text_area(key="pasted").input(text).run()
    assert at.error[0].value.startswith("pasted")
    assert not at.expander


@pytest.mark.usefixtures("store")
def test_the_page_ask_takes_in_a_series_from_a_row_once_it_is_told(open_page: OpenPage) -> None:
    at = open_page("ask")
    at.file_uploader(key="upload").upload("wide.csv", IN_ROWS.encode()).run()
    assert at.warning[0].value == "What follows is about full: the series above is not read yet."
    assert "“A series is”: each row" in at.error[0].value.replace("\\", "")
    control(at, "rows").set_value("each row")
    at.run()
    assert not at.exception
    assert not [*at.error, *at.warning]
    assert "north (yours)" in at.selectbox(key="pick_signal").options

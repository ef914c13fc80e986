"""What people paste and drop: each input gives a series or one clear line, and the next one works."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from tests.app.test_own import SINE, paste
from tests.app.test_pages import charts, leads_on, read
from vitime_cache.ui import own

OpenPage = Callable[..., AppTest]
N = 240
T = np.arange(N)
WAVE = 10 + np.sin(T * 2 * np.pi / 24)
HOURS = pd.date_range("2024-01-01", periods=N, freq="h")


def table(separator: str = ",", head: str = "load", form: str = "{:.4f}", values: np.ndarray = WAVE) -> str:
    rows = "\n".join(f"{at:%Y-%m-%d %H:%M}{separator}{form.format(x)}" for at, x in zip(HOURS, values, strict=True))
    return f"time{separator}{head}\n{rows}\n"


def bare(values: np.ndarray, separator: str = "\n", form: str = "{:.6g}") -> str:
    return separator.join(form.format(x) for x in values)


GAP = np.where(T == 7, np.nan, WAVE)
# What is pasted, and the words of the line that refuses it; "" where it is a series.
PASTED = {
    "a column": (bare(WAVE), ""),
    "many lines of several numbers": ("\n".join(bare(row, " ") for row in WAVE.reshape(-1, 8)), ""),
    "blank lines and blanks": (bare(WAVE, " \n\n  "), ""),
    "a header and a column": ("load\n" + bare(WAVE), ""),
    "a table with commas": (table(), ""),
    "a table from a spreadsheet": (table("\t"), ""),
    "a German table": (table(";").replace(".", ","), ""),
    "several columns": (table("\t", "a\tb", "{0:.3f}\t{0:.1f}"), ""),
    "two columns of equal name": (table(",", "a,a", "{0:.3f},{0:.1f}"), "two columns are named 'a'"),
    "numbers with decimal commas": (bare(WAVE).replace(".", ","), "decimal point"),
    "numbers with decimal commas apart by semicolons": (bare(WAVE, "; ").replace(".", ","), "decimal point"),
    "a list of Python": (str([round(x, 4) for x in WAVE.tolist()]), ""),
    "an array of numpy": (str(np.round(WAVE[:100], 3)), ""),
    "an array as Python shows it": (repr(np.round(WAVE[:100], 3)), ""),
    "a level of 1.2e7 ± 0.1": (bare(1.2e7 + 0.1 * np.sin(T / 4), form="{:.3f}"), ""),
    "tiny units": (bare(1e-12 * WAVE), ""),
    "20 samples": (bare(WAVE[:20]), ""),
    "a constant": (bare(np.full(N, 3.0)), ""),
    "NaN": (bare(GAP), "NaN|missing"),
    "one number": ("5", "sample|number"),
    "words": ("hello world, what is this", "number"),
    "emoji": ("🌊🌊🌊", "number"),
    "only commas": (",,,,", "number|missing|empty"),
}


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60), np.uint8)).save(file, "PNG")
    return file.getvalue()


WIDE = (
    ",".join(f"c{i}" for i in range(5000))
    + "\n"
    + "\n".join(",".join(["1.5"] * 4999 + [f"{x:.3f}"]) for x in WAVE[:60])
)
DROPPED = {
    "load 🌊.csv": (table(), ""),
    "emoji in a column.csv": (table(head="🌊 *Last* [a](b)"), ""),
    "full.csv": ("full\n" + bare(WAVE), ""),
    "equal names.csv": (table(",", "a,a", "{0:.3f},{0:.1f}"), "two columns are named 'a'"),
    "5000 columns.csv": (WIDE, "one series in each row"),
    "picture.csv": (png(), "is no text"),
    "empty.csv": (b"", "empty|no "),
    "blank.csv": (b"\n\n \n", "empty|no "),
    "header only.csv": (b"time,load\n", "no |row"),
    "constant.csv": ("load\n" + bare(np.full(N, 3.0)), ""),
    "NaN.csv": (table(values=GAP), "missing|NaN"),
    "20 samples.csv": ("load\n" + bare(WAVE[:20]), ""),
    "level.csv": ("load\n" + bare(1.2e7 + 0.1 * np.sin(T / 4), form="{:.3f}"), ""),
    "tiny.csv": ("load\n" + bare(1e-12 * WAVE), ""),
}


def judge(at: AppTest, before: str, refused: str) -> str:
    """What the page says of an input: it must be one line of these words, or another series and no error."""
    if at.exception:
        return f"exception: {at.exception[0].message}"
    if not (charts(at) or at.info or at.warning or at.error) or not leads_on(at):
        return "the page is not whole"
    said = [read(each.value) for each in at.error]
    if any("\n" in each.strip() for each in said):
        return f"several lines: {said}"
    if refused:
        return "" if len(said) == 1 and pd.Series(said).str.contains(refused, case=False).all() else f"said: {said}"
    return f"refused: {said}" if said else "" if at.selectbox(key="pick_signal").value != before else "nothing"


@pytest.mark.usefixtures("store")
def test_whatever_is_pasted_gives_a_series_or_one_line_and_the_next_input_works(open_page: OpenPage) -> None:
    at, wrong = open_page("ask", unfolded=False), {}
    for name, (text, refused) in PASTED.items():
        before = paste(at, SINE)
        at.text_area(key="pasted").input(text).run()
        if problem := judge(at, before, refused):
            wrong[name] = problem
    assert not wrong, "\n".join(f"{name}: {problem}" for name, problem in wrong.items())


@pytest.mark.usefixtures("store")
def test_whatever_is_dropped_gives_a_series_or_one_line_and_the_next_input_works(
    open_page: OpenPage, folder: Path
) -> None:
    at, wrong = open_page("ask", unfolded=False), {}
    for name, (content, refused) in DROPPED.items():
        before = paste(at, SINE)
        at.file_uploader(key="upload").upload(name, content if isinstance(content, bytes) else content.encode()).run()
        if problem := judge(at, before, refused):
            wrong[name] = problem
        at.file_uploader(key="upload").set_value(None).run()
        paste(at, "")
    assert not wrong, "\n".join(f"{name}: {problem}" for name, problem in wrong.items())
    assert len(list((folder / own.FOLDER).iterdir())) > 5

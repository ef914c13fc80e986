"""One way to write numbers: the same in sentences, tables and charts."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitime_cache.charts.render import figure_bytes
from vitime_cache.charts.style import assemble, layer, quantity
from vitime_cache.numerals import NUMBER, PERCENT, PERCENT_1, SHORT, SIGNED, number, number_below, percent

PACKAGE = Path(__file__).parents[1] / "vitime_cache"
# Rooms whose sentences, tables and charts people read side by side, and the formats that are not for reading.
READ = [*PACKAGE.glob("charts/*.py"), *PACKAGE.glob("ui/*.py"), *PACKAGE.glob("compare/*.py")]
READ += [*PACKAGE.glob("evidence/verdict/*.py"), PACKAGE / "evidence/agreement.py"]
READ += [*(PACKAGE.parent / "pages").glob("*.py")]
BY_HAND = re.compile(r":\+?\.([1-4][gfe]|[0-4]%)\}|[\"']\+?\.[0-6]~?[gfe%][\"']")
EXCEPT = {
    '[float(f"{value:.3g}")',
    "M{x - 0.4:.1f},.5L",
    'WEIGHT = AttentionUnit(1.0, "", ".3e", ".1e", "")',
    'f"{value:.1e}" if value',
}


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.2345, "1.23"), (-0.0109, "−0.0109"), (0.5, "0.5"), (1e-4, "0.0001"), (-0.0, "0"), (math.nan, "no figure"),
     (12_345.0, "12300"), (-math.inf, "−∞")],
)  # fmt: skip
def test_a_number_has_three_digits_no_exponent_and_a_true_minus_sign(value: float, written: str) -> None:
    assert number(value) == written


def test_a_number_below_a_limit_is_never_rounded_up_to_it() -> None:
    assert [number_below(each, 0.02, 2) for each in (0.0123, 0.0199, 0.01999)] == ["0.012", "0.0199", "0.01999"]
    assert number_below(math.nextafter(0.02, 0), 0.02).startswith("0.0")


def test_a_signed_number_has_its_sign_and_a_share_is_in_percent() -> None:
    assert [number(each, signed=True) for each in (1.5, -1.5)] == ["+1.5", "−1.5"]
    assert [percent(0.836), percent(-0.21), percent(-0.001), percent(0.0125, 1)] == ["84 %", "−21 %", "0 %", "1.2 %"]


@given(st.floats(-1e6, 1e6))
def test_a_number_is_read_back_to_its_digits(value: float) -> None:
    text = number(value)
    assert not set(text) & set("-e")
    assert float(text.replace("−", "-")) == pytest.approx(value, rel=5e-3, abs=1e-300)


@pytest.mark.parametrize("value", [-0.2134, 0.51239, -0.011, 0.999])
def test_a_chart_writes_a_number_as_a_sentence_does(value: float) -> None:
    text = {NUMBER: number(value), SHORT: number(value, 2), SIGNED: number(value, signed=True)}
    text |= {PERCENT: percent(value), PERCENT_1: percent(value, 1)}
    marks = [
        layer([{"a": value}], "text", encoding={"text": quantity("a", format=how), "y": {"value": 20 * i}})
        for i, how in enumerate(text)
    ]
    drawn = figure_bytes(assemble(marks, "t", width=99, height=99, autosize={"type": "pad"}), "svg").decode()
    assert all(f">{each}<" in drawn for each in text.values()), (text, re.findall(">([^<]+)<", drawn))


@pytest.mark.parametrize("path", READ, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_people_read_takes_its_formats_from_one_place(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not any(each in line for each in EXCEPT)]
    assert [line for line in lines if BY_HAND.search(line)] == []

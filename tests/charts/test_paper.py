"""Figures of a paper: widths, words, captions; and the card of an answer."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from PIL import Image

from vitime_cache import charts
from vitime_cache.attention.measures import head_measures
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.charts.paper import COLUMNS
from vitime_cache.charts.social import social_card
from vitime_cache.charts.style import ChartError
from vitime_cache.evidence.verdict.mock import mock_verdict

DS = mock_dataset(tokens=False).sel(signal="full")
VIEW = charts.HeadView(DS, "decoder.0", 0)
DRAWN = {
    "map": lambda: charts.heatmap(VIEW),
    "curve": lambda: charts.lag_curves([VIEW]),
    "two maps": lambda: charts.beside([charts.heatmap(VIEW)] * 2),
    "answer": lambda: charts.answer_forecast(mock_verdict()),
}


@pytest.mark.parametrize("what", DRAWN)
def test_every_figure_is_exactly_as_wide_as_its_column_in_every_format(what: str) -> None:
    chart = DRAWN[what]()
    for inches in COLUMNS.values():
        paper = charts.Paper(inches)
        png = Image.open(io.BytesIO(charts.figure_bytes(chart, "png", 100, paper=paper)))
        svg = charts.figure_bytes(chart, "svg", paper=paper).decode()
        pdf = charts.figure_bytes(chart, "pdf", paper=paper)
        assert png.width == round(inches * 100)
        assert re.search(r'<svg[^>]* width="([\d.]+)"', svg)[1] == f"{inches * 72:g}"  # type: ignore[index]
        box = re.search(rb"MediaBox \[0 0 (\d+)", pdf)
        assert box is not None
        assert abs(int(box[1]) - inches * 72) <= 1


@pytest.mark.parametrize("points", [6, 11])
def test_words_have_the_size_that_was_asked_for(points: int) -> None:
    svg = charts.figure_bytes(DRAWN["curve"](), "svg", paper=charts.Paper(7.2, points)).decode()
    assert set(re.findall(r'font-size="([\d.]+)px"', svg)) == {str(points)}


def test_the_title_is_in_the_caption_and_not_in_the_figure() -> None:
    chart = DRAWN["map"]()
    assert "looks at" not in charts.figure_bytes(chart, "svg", paper=charts.Paper(3.5)).decode()
    assert charts.caption(chart, DS).startswith("Which moments each moment looks at: full, decoder.0, head 0.")


def test_parts_of_a_figure_bear_the_letters_that_the_caption_tells_them_by() -> None:
    chart = charts.beside([charts.heatmap(VIEW), charts.lag_curves([VIEW])])
    svg = charts.figure_bytes(chart, "svg", paper=charts.Paper(7.2)).decode()
    assert [letter for letter in "abc" if f">{letter}</text>" in svg] == ["a", "b"]
    said = charts.caption(chart, DS)
    assert "(a) Which moments" in said
    assert "(b) How far" in said


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (lambda: charts.linked_head(VIEW), "Yellow: where the moment framed looks. (b)"),
        (lambda: charts.layers_in_order(DS, "decoder.0", 0), "Head 0 of decoder.0. Each map has its own colour scale"),
        (lambda: charts.small_multiples(DS), "each head on its own colour scale. Below each map"),
        (lambda: charts.head_matrix(head_measures(DS), "entropy"), "1 even. Signal full. "),
        (lambda: charts.difference_gallery(DS, DS, ("a", "b")), "key to the right. Signal full"),
        (lambda: charts.claims_grid(mock_verdict(), selected=("decoder.0", 0)), "below zero there is none. "),
    ],
)
def test_a_caption_has_a_title_as_it_is_first_and_no_words_of_a_chart_say_what_only_a_page_can_do(
    draw: Callable[[], charts.Spec], told: str
) -> None:
    chart = draw()
    said = charts.caption(chart, DS)
    assert told in said
    for left in ("{", "..", "  "):
        assert left not in said, said
    for left in ("Click", "Point at", "slider"):
        assert left not in str(chart)


def test_the_caption_of_a_comparison_names_both_signals_and_both_weights() -> None:
    other = DS.assign_coords(signal="other").assign_attrs(weights="second", weights_sha256="0" * 64)
    said = charts.caption(charts.difference_gallery(DS, other, ("a", "b")), DS, other)
    assert re.search(r"Signal full: .* Signal other: .* Weights mock .* Weights second .* Attention after", said)
    assert said.count("Attention after the softmax") == 1


def test_a_caption_states_weights_window_and_method() -> None:
    of_head, of_answer = charts.caption(DRAWN["map"](), DS), charts.caption(DRAWN["answer"](), mock_verdict())
    assert "Weights mock (SHA-256" in of_head
    assert "made-up attention" in of_head
    assert "512 samples of history and a forecast of 720" in of_head
    assert "mean over the rows of the image" in of_head
    for stated in ("Weights ", "samples of history", "Level 0.05, seed 0, method"):
        assert stated in of_answer


@pytest.mark.parametrize(("inches", "points"), [(0, 8), (50, 8), (3.5, 1), (3.5, 99), (float("nan"), 8)])
def test_widths_and_sizes_that_no_paper_has_are_refused(inches: float, points: float) -> None:
    with pytest.raises(ChartError, match="must be"):
        charts.Paper(inches, points)


@pytest.mark.parametrize("kind", ["mostly", "indifferent", "not shown"])
def test_the_card_has_the_size_that_links_are_shown_in(kind: str) -> None:
    assert Image.open(io.BytesIO(social_card(mock_verdict(kind=kind)))).size == (1200, 630)


def test_the_card_of_a_name_from_outside_is_drawn_and_its_markup_is_text() -> None:
    wide = social_card(mock_verdict(signal="</text><rect width='1200' height='630' fill='red'/>" + "x" * 500))
    picture = Image.open(io.BytesIO(wide)).convert("RGB")
    assert picture.getpixel((1190, 10)) == (255, 255, 255)


def test_there_is_no_card_of_a_question_without_an_answer() -> None:
    with pytest.raises(ChartError, match="no level has been worked on"):
        social_card(mock_verdict(stages=()))

"""Pictures of a verdict: what they show of it, for every head, complete or not."""

import io
import re

import altair
import numpy as np
import pandas as pd
import pytest
import vl_convert
from altair.utils.schemapi import validate_jsonschema

from vitime_cache import charts
from vitime_cache.charts.card import verdict_card
from vitime_cache.cli import console
from vitime_cache.evidence.agreement import looking_and_mattering
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.evidence.verdict.report import verdict_table
from vitime_cache.evidence.window import choose_window


@pytest.fixture(scope="module")
def verdict():
    return mock_verdict(windows=2)


def cells(chart, at=0) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(chart["layer"][at]["data"]["values"]))


def test_every_picture_of_a_verdict_follows_the_schema_and_renders(verdict):
    drawn = [
        charts.rung_matrix(verdict, selected=("decoder.0", 1)),
        charts.looking_chart(looking_and_mattering(verdict), "full"),
        charts.asked_window(verdict),
        charts.verdict_curve(verdict, "decoder.0", 0),
        charts.verdict_sweep(verdict, "decoder.0", 0),
        charts.verdict_effect(verdict, "decoder.0", 0),
        charts.window_picture("a", np.arange(500.0), [100, 300], 150, 50, "words"),
    ]
    for chart in drawn:
        validate_jsonschema(chart, altair.Chart._rootschema)
        assert vl_convert.vegalite_to_svg(chart).startswith("<svg")


def test_no_line_below_a_title_is_longer_than_a_page_shows(verdict):
    window = choose_window(9000, 62.83, columns=1232, patch_width=16)
    drawn = [
        charts.window_picture("a", np.arange(9000.0), window.starts, window.history, window.horizon, window.words),
        charts.rung_matrix(verdict),
        charts.asked_window(v.with_facts(verdict, window_facts=window.facts())),
        charts.verdict_curve(verdict, "decoder.0", 0),
        charts.verdict_effect(verdict, "decoder.0", 0),
    ]
    for chart in drawn:
        lines = np.atleast_1d(chart["title"]["subtitle"])
        assert max(map(len, lines)) < 90, lines
    assert len(charts.rung_matrix(verdict)["title"]["text"]) < 40


def test_the_matrix_says_of_every_head_and_rung_what_the_verdict_says(verdict):
    shown = cells(charts.rung_matrix(verdict)).set_index(["layer", "head", "rung"])
    assert len(shown) == verdict["verdict"].size
    for (layer, head, rung), row in shown.iterrows():
        at = {"layer": layer, "head": head, "rung": rung}
        assert row["verdict"] == v.WORDS[int(verdict["verdict"].sel(at))]
        assert row["figure"] == pytest.approx(float(verdict["figure"].sel(at)), rel=1e-3, abs=1e-4)


def test_rungs_stand_in_their_order_and_heads_best_first(verdict):
    chart = charts.rung_matrix(verdict, selected=("decoder.0", 1))
    across, down = ([layer["encoding"][axis].get("scale") for layer in chart["layer"]] for axis in ("x", "y"))
    assert {"domain": list(v.RUNGS)} in across
    assert next(scale for scale in down if scale)["domain"][:3] == ["encoder.0 · 0", "encoder.1 · 0", "decoder.0 · 0"]
    svg = vl_convert.vegalite_to_svg(chart)
    at = [svg.index(f">{rung}<") for rung in v.RUNGS]
    assert at == sorted(at)


def test_the_matrix_the_command_and_the_card_put_the_heads_in_one_order(verdict, capsys):
    rng = np.random.default_rng(5)
    mixed = verdict.copy(deep=True)
    mixed["figure"].values[:] = rng.random(mixed["figure"].shape)
    mixed["verdict"].values[:] = rng.integers(-1, 2, mixed["verdict"].shape)
    drawn = list(dict.fromkeys(cells(charts.rung_matrix(mixed))["name"].str.replace(" · ", " ")))
    console.show_verdict(mixed, rows=12)
    printed = re.findall(r"│ (\w+\.\d \d) +│", capsys.readouterr().out)
    carded = re.findall(r"<td>(\w+\.\d \d)</td>", verdict_card(mixed))
    assert len(drawn) == 12
    assert drawn == printed == carded
    assert drawn == [f"{row.layer} {row.head}" for row in verdict_table(mixed).itertuples()]


def test_the_best_heads_come_first_and_heads_not_asked_about_do_not_come(verdict):
    table = verdict_table(verdict)
    assert table["head"].iloc[:3].eq(0).all(), "head 0 of each layer passes every rung"
    asked = verdict["asked"].copy()
    asked[{"head": 0}] = False
    assert 0 not in cells(charts.rung_matrix(verdict.assign(asked=asked)))["head"].to_numpy()


def test_a_partial_verdict_shows_what_is_not_tested_and_what_cannot_be_drawn_says_so():
    partial = mock_verdict(stages=("descriptive",))
    assert verdict_table(partial)["causal"].eq("not tested").all()
    assert charts.rung_matrix(partial)["layer"]
    assert charts.verdict_curve(partial, "decoder.0", 0)["layer"]
    with pytest.raises(charts.ChartError, match="sweep"):
        charts.verdict_sweep(partial, "decoder.0", 0)
    with pytest.raises(charts.ChartError, match="not been knocked out"):
        charts.verdict_effect(partial, "decoder.0", 0)
    with pytest.raises(charts.ChartError, match="lag curve"):
        charts.verdict_curve(mock_verdict(stages=()), "decoder.0", 0)


def test_the_tables_behind_the_pictures_are_the_verdict_s_arrays(verdict):
    one = verdict.sel(layer="encoder.1", head=2)
    curve = charts.verdict_curve_table(verdict, "encoder.1", 2)
    np.testing.assert_allclose(curve["attention"], one["lag_curve"].values[1:])
    np.testing.assert_allclose(curve["ar1_upper"], one["null_upper"].sel(null="ar1").values[1:])
    np.testing.assert_allclose(curve["lag"].iloc[0], v.facts(verdict, "window_facts")["samples_per_patch"])
    sweep = charts.verdict_sweep_table(verdict, "encoder.1", 2)
    np.testing.assert_allclose(sweep["lag"], one["sweep_peak"])
    effects = charts.verdict_effect_table(verdict, "encoder.1", 2, "error")
    assert (effects["what"] == "other lags").sum() == (effects["what"] == "as much as at other lags").sum() == 99
    own = effects.set_index("what")["effect"]
    assert own["this head"] == pytest.approx(float(one["knockout"].sel(outcome="error").mean()))
    assert own["the lags of the period"] == pytest.approx(float(one["mask"].sel(outcome="error").mean()))


def test_a_head_that_is_not_in_the_verdict_is_an_error(verdict):
    with pytest.raises(charts.ChartError, match="no head 9"):
        charts.verdict_curve(verdict, "decoder.0", 9)


def test_a_test_that_could_not_be_made_is_said_in_words_and_not_as_nan(verdict):
    few = verdict.copy(deep=True)
    for name in ("mask_p", "slope_low", "slope_high"):
        few[name].values[:] = np.nan
    few["mask_control"].values[2:] = np.nan
    assert "2 other lags are too few" in str(charts.verdict_effect(few, "decoder.0", 0)["title"])
    assert "no interval" in str(charts.verdict_sweep(few, "decoder.0", 0)["title"])
    for name in ("slope", "mask", "mask_control", "mask_elsewhere", "mask_control_elsewhere"):
        few[name].values[:] = np.nan
    for draw, words in ((charts.verdict_effect, "not tested"), (charts.verdict_sweep, "no slope")):
        said = str(draw(few, "decoder.0", 0)["title"])
        assert words in said
        assert "nan" not in said


def test_what_is_said_under_a_picture_fits_the_narrowest_column_it_stands_in(verdict):
    for draw in (charts.verdict_curve, charts.verdict_sweep, charts.verdict_effect):
        lines = draw(verdict, "decoder.0", 0)["title"]["subtitle"]
        assert max(len(line) for line in lines) <= 66, lines

"""The linked pictures of one head: what follows the pointer, that it is one row of the map, and that it fits."""

import io
import json

import altair
import numpy as np
import pytest
import vl_convert
from altair.utils.schemapi import validate_jsonschema
from PIL import Image

from vitime_cache import charts
from vitime_cache.attention.mock import mock_dataset

LAYER = "decoder.0"
AMBER = np.array([0xE6, 0x9F, 0x00])


@pytest.fixture(scope="module")
def full():
    return mock_dataset().isel(signal=0)


def looking(full, looks: dict[int, int]) -> charts.HeadView:
    """A head whose moments look at one other moment each, all others nowhere."""
    n = full.sizes["key_patch"]
    attention = np.zeros((n, n), "float32")
    attention[list(looks), list(looks.values())] = 0.1
    maps = np.broadcast_to(attention, full.time_attention.shape)
    return charts.HeadView(full.assign(time_attention=full.time_attention.copy(data=maps)), LAYER, 0)


def parts(chart):
    """Every single view of a chart."""
    for together in ("hconcat", "vconcat"):
        if together in chart:
            return [single for part in chart[together] for single in parts(part)]
    return [chart]


def parameter(chart, name):
    return next(each for each in chart["params"] if each["name"] == name)


def rendered(chart) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(charts.figure_bytes(chart, "png", 72))).convert("RGB"), dtype=int)


@pytest.mark.parametrize("width", [320, 880])
def test_the_linked_pictures_follow_the_schema_and_are_an_altair_chart(full, width):
    chart = charts.linked_head(charts.HeadView(full, LAYER, 0), period=63.0, total_width=width)
    validate_jsonschema(chart, altair.Chart._rootschema)
    assert len(parts(charts.altair_chart(chart).to_dict())) == 3
    assert len(json.dumps(chart)) < 600_000


def test_the_pointer_is_heard_by_the_map_s_cells_and_by_the_series(full):
    chart = charts.linked_head(charts.HeadView(full, LAYER, 0))
    named = {layer.get("name"): layer for part in parts(chart) for layer in part["layer"]}
    for selection in (parameter(chart, "moment"), parameter(chart, "cell")):
        for view in selection["views"]:
            columns = named[view]["data"]["values"].splitlines()[0].split(",")
            worked_out = [each["as"] for each in named[view].get("transform", []) if "calculate" in each]
            assert set(selection["select"]["fields"]) <= {*columns, *worked_out}


def test_every_selection_is_a_signal_that_a_page_can_listen_to(full):
    """Vega-Lite drops a layer's own selection without a word where the whole chart has one."""
    chart = charts.linked_head(charts.HeadView(full, LAYER, 0))
    signals = {signal["name"] for signal in vl_convert.vegalite_to_vega(chart)["signals"]}
    assert {"moment", "cell"} <= signals


def test_what_follows_the_pointer_is_a_row_of_the_map(full):
    view = charts.HeadView(full, LAYER, 0)
    chart = charts.linked_head(view)
    np.testing.assert_allclose(parameter(chart, "attention")["value"], view.shown_attention, rtol=6e-3)
    np.testing.assert_allclose(parameter(chart, "strongest")["value"], view.shown_attention.max(axis=1), rtol=6e-3)


def test_the_line_above_the_series_names_the_moment_looked_at_most(full):
    chart = charts.linked_head(looking(full, {40: 36, 20: 21, 50: 50}))
    said = parameter(chart, "said")["value"]
    assert said[40] == ["Sample 640 looks most at sample 576,", "64 samples back: 15.4 × even"]
    assert said[20][1].startswith("16 samples ahead")
    assert said[50][1].startswith("itself")


def test_another_moment_lights_another_past(full):
    """The lit column lies where the moment looks, read off the pixels."""
    view = looking(full, {40: 10, 60: 30})
    lit = []
    for moment in (40, 60):
        chart = charts.linked_head(view, moment=moment)
        series = parts(chart)[0]
        top, bottom = 0, series["height"] + 60
        picture = rendered(chart)[top:bottom]
        amber = (np.abs(picture - (0.85 * AMBER + 0.15 * 255)).sum(axis=-1) < 40).sum(axis=0)
        lit.append(float(np.flatnonzero(amber > 40).mean()))
    width = parts(charts.linked_head(view))[0]["width"]
    assert lit[1] - lit[0] == pytest.approx(20 / 77 * width, abs=3)


@pytest.mark.parametrize("width", [320, 480, 700, 880, 1400])
def test_the_linked_pictures_are_no_wider_than_they_may_be(full, width):
    view = charts.HeadView(full, LAYER, 0)
    for chart in (charts.linked_head(view, total_width=width, period=63.0),):
        assert rendered(chart).shape[1] <= width


def test_pictures_stand_side_by_side_where_there_is_room(full):
    view = charts.HeadView(full, LAYER, 0)
    assert "hconcat" in charts.linked_head(view, total_width=880)["vconcat"][1]
    assert all("layer" in part for part in charts.linked_head(view, total_width=390)["vconcat"])


@pytest.mark.parametrize("moment", [-1, 77])
def test_a_moment_that_does_not_exist_is_an_error_that_names_those_that_do(full, moment):
    with pytest.raises(charts.ChartError, match="there are 0 … 76"):
        charts.linked_head(charts.HeadView(full, LAYER, 0), moment=moment)


def test_every_patch_alike_is_an_attention_of_one(full):
    rows, columns = 2, 77
    even = full.assign(time_attention=full.time_attention * 0 + 1 / (rows * columns))
    view = charts.HeadView(even, LAYER, 0)
    np.testing.assert_allclose(view.shown_attention, 1, rtol=1e-6)
    np.testing.assert_allclose(charts.lag_table([view])["attention"], 1, rtol=1e-6)
    np.testing.assert_allclose(charts.HeadView(even, LAYER, 0, shown_in="weight").shown_attention, 1 / 154, rtol=1e-6)


def test_attention_carries_the_same_unit_on_every_axis_legend_and_tooltip(full):
    view, other = charts.HeadView(full, LAYER, 0), charts.HeadView(full, LAYER, 1)
    for chart in (
        charts.linked_head(view), charts.heatmap(view), charts.lag_curves([view]), charts.difference(view, other),
        charts.token_look(view, 40),
    ):  # fmt: skip
        shown = [
            channel
            for part in parts(chart) for each in part["layer"] for channels in each["encoding"].values()
            for channel in (channels if isinstance(channels, list) else [channels])
            if channel.get("field") in ("attention", "gap", "a", "b") and "title" in channel
        ]  # fmt: skip
        legends = [each["encoding"]["color"]["legend"] for part in parts(chart) for each in part["layer"]
                   if each["encoding"].get("color", {}).get("field") == "shade"]  # fmt: skip
        assert shown
        for each in [*shown, *legends]:
            assert each["title"].split(",", 1)[1].startswith(" × even"), each
        for each in shown:
            assert each.get("format", each.get("axis", {}).get("format")).endswith(".3~r"), each


def test_nothing_of_the_lag_curve_is_drawn_above_its_axis(full):
    """The axis is fixed so that it does not move with the moment; the interval's band may exceed it."""
    curve = parts(charts.linked_head(looking(full, {40: 20})))[-1]
    bands = [each["mark"] for each in curve["layer"] if each["mark"]["type"] == "area"]
    assert bands
    assert all(mark["clip"] for mark in bands)
    assert "cut at the top" in json.dumps(curve["title"])
    logarithmic = parts(charts.linked_head(charts.HeadView(full, LAYER, 0), log=True))[-1]
    assert "cut at both ends" in json.dumps(logarithmic["title"])

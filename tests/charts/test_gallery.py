"""All heads in one picture, and one head of all layers under a slider."""

import base64
import io
import json
import re

import altair
import numpy as np
import pytest
import vl_convert
from altair.utils.schemapi import validate_jsonschema
from PIL import Image

from vitime_cache import charts
from vitime_cache.attention import measures, schema
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.charts import style
from vitime_cache.charts.heads import SPARK_SHADE
from vitime_cache.charts.raster import sparks
from vitime_cache.charts.shading import NO_CONTRAST
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.ui.keys import _inside


@pytest.fixture(scope="module")
def full():
    return mock_dataset().isel(signal=0)


@pytest.fixture(scope="module")
def verdict(full):
    return mock_verdict(schema.config_of(full))


def images(chart):
    (layer,) = (each for each in chart["layer"] if each["mark"]["type"] == "image")
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(row["url"].split(",")[1]))).convert("RGB"))
        for row in layer["data"]["values"]
    ]


def test_a_spark_is_as_high_as_its_curve():
    picture = sparks([[0.0, 1.0, 2.0, 4.0]], height=8, width=4, shade=SPARK_SHADE)[0]
    assert np.isfinite(picture).sum(axis=0).tolist() == [0, 2, 4, 8]
    assert np.isfinite(picture)[-1, 1], "it stands on the ground"
    assert np.isnan(sparks(np.zeros((2, 5)), 4, 4, 1.0)).all()


def test_below_each_map_stands_the_head_s_lag_curve():
    plain = mock_dataset().isel(signal=0)
    steep = plain.lag_attention.copy(data=np.zeros(plain.lag_attention.shape, "float32"))
    steep[..., int(np.flatnonzero(plain.lag.values == 4)[0])] = 1.0
    one, other = (images(charts.small_multiples(ds))[0] for ds in (plain, plain.assign(lag_attention=steep)))
    assert one.shape == other.shape
    assert one.shape[0] / plain.sizes["layer"] > 1.2 * one.shape[1] / plain.sizes["head"]
    assert (one != other).any()


def test_the_verdict_stands_in_dots_below_the_maps_of_heads_that_were_asked_about(full, verdict):
    chart = charts.small_multiples(full, verdict=verdict)
    validate_jsonschema(chart, altair.Chart._rootschema)
    dots = [each for each in chart["layer"] if each["mark"]["type"] == "point"]
    assert len(dots) == 5
    words = [row.split(",")[-1].strip('"') for each in dots for row in each["data"]["values"].splitlines()[1:]]
    table = charts.claims_grid_table(verdict)
    for word in ("supported", "inconclusive", "not supported"):
        assert words.count(word) == (table["verdict"] == word).sum()
    assert not [e for e in charts.small_multiples(full)["layer"] if e["mark"]["type"] == "point"]

    # As the renderer draws them: an inconclusive claim is a ring that can be seen, not a dot without any paint.
    svg = vl_convert.vegalite_to_svg({key: part for key, part in chart.items() if key != "usermeta"})
    drawn = re.findall(r'<path[^>]*aria-roledescription="point"[^>]*>', svg)
    assert len(drawn) == len(words)
    for dot in drawn:
        ring = "verdict: inconclusive" in dot
        assert 'stroke="#' in dot
        assert ('fill="#' in dot) is not ring


def test_a_slider_in_the_picture_plays_the_layers_in_their_order(full):
    table = charts.layers_in_order_table(full, 1).set_index(["layer", "head", "query_patch", "key_patch"])["attention"]
    maps = full["time_attention"].sel(head=1)
    assert table.loc[("decoder.0", 1, 9, 4)] == pytest.approx(
        float(maps.sel(layer="decoder.0")[9, 4]) * full.sizes["query_token"]
    )
    assert len(table) == maps.size
    chart = charts.layers_in_order(full, "decoder.0", 1, NO_CONTRAST)
    validate_jsonschema(chart, altair.Chart._rootschema)
    place = next(each for each in chart["params"] if each["name"] == "place")
    layers = full.layer.values.tolist()
    assert (place["value"], place["bind"]["max"]) == (layers.index("decoder.0"), len(layers) - 1)
    for layer, picture in zip(layers, images(chart), strict=True):
        (alone,) = images(charts.heatmap(charts.HeadView(full, layer, 1), NO_CONTRAST))
        np.testing.assert_array_equal(picture, alone)


def test_moving_the_slider_changes_the_map_drawn(full):
    chart = charts.layers_in_order(full, "encoder.0", 1)
    drawn = [charts.figure_bytes(chart | {"params": _at(chart, place)}, "png", 50) for place in (0, 1)]
    assert drawn[0] != drawn[1]


def _at(chart, place):
    return [each | {"value": place} if each["name"] == "place" else each for each in chart["params"]]


def test_a_peak_that_is_not_there_is_blank(full):
    numbers = measures.head_measures(full, 63.0)
    none = numbers.assign(period_prominence=numbers.period_prominence * 0)
    table = charts.measures_table(none)
    assert table["period_prominence"].isna().all()
    assert "0.00" not in json.dumps(charts.head_matrix(none, "period_prominence"))
    for tooltips in (charts.head_matrix(none, "locality")["layer"][-1], charts.small_multiples(full, none)["layer"][1]):
        assert "no figure" in tooltips["data"]["values"]
        assert "nan" not in tooltips["data"]["values"]


@pytest.mark.parametrize(
    ("at", "place"), [([1, 2], (1, 2)), ([3, 0], None), ([-1, 0], None), ("rubbish", None), ([0.5, 1], None)]
)
def test_a_place_that_the_keys_name_is_one_of_the_heads(at, place):
    assert _inside(at, 3, 4) == place


def contrast(one: str, other: str) -> float:
    """Contrast of two colours (WCAG 2.2)."""
    lights = []
    for colour in (one, other):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(float(np.dot([0.2126, 0.7152, 0.0722], linear)) + 0.05)
    return max(lights) / min(lights)


@pytest.mark.parametrize(("ground", "dark"), [("#ffffff", False), ("#0e1117", True), ("#181714", True)])
def test_text_in_charts_can_be_read_on_both_themes(ground, dark):
    text = style.for_dark(style.TEXT) if dark else style.TEXT
    assert contrast(text, ground) >= 4.5


def test_on_a_narrow_screen_the_lines_below_the_title_of_all_heads_are_wrapped_and_none_is_cut(full, verdict):
    for chart in (
        charts.small_multiples(full, verdict=verdict, width=360),
        charts.difference_gallery(full, full, ("first", "second"), width=360),
    ):
        assert max(map(len, chart["title"]["subtitle"])) <= 360 / 6


@pytest.mark.parametrize("width", [300, 340, 600, 1120])
def test_the_maps_of_all_heads_are_square_however_many_lines_the_title_takes(full, verdict, width):
    other = mock_dataset().isel(signal=1)
    below = 1.43  # a map with its lag curve and dots is this much higher than wide
    for chart, high in (
        (charts.small_multiples(full, verdict=verdict, width=width), below),
        (charts.difference_gallery(full, other, ("full", "reduced_harmonic"), width=width), 1.0),
    ):
        svg = vl_convert.vegalite_to_svg({key: part for key, part in chart.items() if key != "usermeta"})
        wide, tall = (float(re.search(rf'<image[^>]* {of}="([\d.]+)"', svg)[1]) for of in ("width", "height"))
        cell = tall / full.sizes["layer"] / (wide / full.sizes["head"])
        assert cell == pytest.approx(high, rel=0.2)

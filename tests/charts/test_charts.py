"""Charts: what they show, where they show it, and that they stay small."""

import base64
import io
import json
import re

import altair
import numpy as np
import pandas as pd
import pytest
import vl_convert
from altair.utils.schemapi import validate_jsonschema
from PIL import Image

from vitime_cache import charts
from vitime_cache.attention import lags, measures, pooling
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.charts import style
from vitime_cache.charts.raster import mosaic, palette, png_url, shrink
from vitime_cache.charts.shading import NO_CONTRAST, Contrast
from vitime_cache.evidence.window import choose_window
from vitime_cache.model.config import ViTimeConfig

LAYER = "decoder.0"
KILOBYTE = 1000


@pytest.fixture(scope="module")
def full():
    return mock_dataset().isel(signal=0)


@pytest.fixture(scope="module")
def reduced():
    return mock_dataset().isel(signal=1)


@pytest.fixture(scope="module")
def full_size():
    """18 layers of 16 heads, 77 patches: the published model's 288 maps."""
    config = ViTimeConfig(encoder_width=64, encoder_depth=12, decoder_width=64, decoder_depth=6, heads=16)
    return mock_dataset(config, ("full",), tokens=False).isel(signal=0)


@pytest.fixture(scope="module")
def drawn(full, reduced):
    """One of each chart."""
    view, other = charts.HeadView(full, LAYER, 0), charts.HeadView(reduced, LAYER, 0)
    numbers = measures.head_measures(full, 63.0)
    return {
        "series": charts.series(full),
        "heatmap": charts.heatmap(view, query=40),
        "heatmap upwards": charts.heatmap(view, query=40, upwards=True),
        "heatmap of ink": charts.heatmap(charts.HeadView(full, LAYER, 0, "ink")),
        "two heatmaps": charts.beside([charts.heatmap(each) for each in (view, other)]),
        "difference": charts.difference(view, other),
        "token look": charts.token_look(view, 40),
        "one token's look": charts.token_look(view, 40, query_row=1),
        "lag curve": charts.lag_curves([view], period=63.0),
        "lag curves": charts.lag_curves([view, other], "forecast→history", period=63.0, log=True),
        "autocorrelation": charts.autocorrelation(full, period=63.0),
        "head matrix": charts.head_matrix(numbers, "entropy", selected=(LAYER, 1)),
        "small multiples": charts.small_multiples(full, numbers, selected=(LAYER, 1)),
    }


@pytest.mark.parametrize("name", ["series", "heatmap", "token look", "lag curve", "lag curves", "linked"])
def test_data_that_layers_share_are_written_once_and_the_picture_stays_the_same(drawn, full, name):
    chart = charts.linked_head(charts.HeadView(full, LAYER, 0)) if name == "linked" else drawn[name]
    once = style.data_once(chart)
    validate_jsonschema(once, altair.Chart._rootschema)
    assert vl_convert.vegalite_to_svg(once).count("<path") == vl_convert.vegalite_to_svg(chart).count("<path")
    assert vl_convert.vegalite_to_png(once) == vl_convert.vegalite_to_png(chart)
    if name in ("heatmap", "token look", "lag curve", "linked"):
        assert len(json.dumps(once)) < 0.94 * len(json.dumps(chart))


def parts(chart):
    """The single-view charts of a chart."""
    return chart.get("concat", [chart])


def image_of(chart) -> np.ndarray:
    """The picture in a chart, (rows, columns, RGBA)."""
    url = next(layer for layer in parts(chart)[0]["layer"] if layer["mark"]["type"] == "image")["data"]["values"][0][
        "url"
    ]
    return decoded(url)


def decoded(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA"))


def rendered(chart) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(charts.figure_bytes(chart, "png", 72))).convert("RGB"), dtype=int)


def hot_spot(full, query: int, key: int, head: int = 0) -> charts.HeadView:
    """A head that looks from one patch to one other."""
    n = full.sizes["key_patch"]
    attention = np.zeros((n, n), "float32")
    attention[query, key] = 1
    maps = np.broadcast_to(attention, full.time_attention.shape)
    return charts.HeadView(full.assign(time_attention=full.time_attention.copy(data=maps)), LAYER, head)


def test_every_chart_follows_the_vega_lite_schema(drawn):
    for chart in drawn.values():
        validate_jsonschema(chart, altair.Chart._rootschema)


def test_a_notebook_gets_an_altair_chart_with_the_same_layers(drawn):
    for name in ("autocorrelation", "two heatmaps"):
        same = charts.altair_chart(drawn[name]).to_dict()
        for part, original in zip(parts(same), parts(drawn[name]), strict=True):
            assert [layer["mark"] for layer in part["layer"]] == [layer["mark"] for layer in original["layer"]]


def test_every_chart_has_a_title_and_named_axes_and_leaves_text_and_background_to_the_theme(drawn):
    for name, chart in drawn.items():
        assert chart["background"] == "transparent", name
        assert chart["config"]["mark"] == {"tooltip": None}, f"{name}: raw fields where no tooltip is meant"
        for part in parts(chart):
            assert len(part["title"]["text"]) > 10, name
            assert "color" not in part["title"], name
            encodings = [layer["encoding"] for layer in part["layer"]]
            for axis in ("x", "y"):
                titles = {e[axis].get("title") for e in encodings if "title" in e.get(axis, {})}
                assert titles, (name, axis)


def test_the_title_of_several_curves_names_what_they_differ_in_and_what_they_share(drawn):
    assert drawn["lag curves"]["title"]["text"] == "How far it looks: full; reduced_harmonic (decoder.0, head 0)"
    assert drawn["difference"]["title"]["text"] == "Where full and reduced_harmonic differ (decoder.0, head 0)"


def test_the_title_of_curves_that_share_nothing_ends_with_their_names(full, reduced):
    chart = charts.lag_curves([charts.HeadView(full, LAYER, 0), charts.HeadView(reduced, "encoder.0", 1)])
    assert chart["title"]["text"].endswith("full, decoder.0, head 0; reduced_harmonic, encoder.0, head 1")


def test_no_chart_is_larger_than_600_kilobytes(drawn, full_size):
    sizes = {name: len(json.dumps(chart)) for name, chart in drawn.items()}
    sizes["288 small multiples"] = len(json.dumps(charts.small_multiples(full_size)))
    assert max(sizes.values()) < 600 * KILOBYTE, sizes
    assert sizes["heatmap"] < 250 * KILOBYTE


def test_charts_render_on_white_at_the_resolution_asked_for(drawn):
    for name in ("difference", "token look", "lag curves", "small multiples"):
        assert rendered(drawn[name])[0, 0].tolist() == [255, 255, 255]
    small, large = (Image.open(io.BytesIO(charts.figure_bytes(drawn["series"], "png", dpi))) for dpi in (100, 200))
    assert np.allclose(np.array(large.size) / np.array(small.size), 2, atol=0.01)
    assert np.allclose(large.info["dpi"], 200, atol=1)
    assert charts.figure_bytes(drawn["series"], "svg").startswith(b"<svg")


def test_what_only_answers_to_a_mouse_is_not_exported(drawn):
    svg = charts.figure_bytes(drawn["two heatmaps"], "svg")
    assert svg.count(b"<image") == 2
    assert b"key: sample looked at" in svg
    assert len(svg) < 0.2 * len(vl_convert.vegalite_to_svg(drawn["two heatmaps"]))


def test_exported_small_multiples_keep_the_names_of_layers_and_heads(drawn):
    svg = charts.figure_bytes(drawn["small multiples"], "svg").decode()
    assert all(f">{name}<" in svg for name in ("encoder.0", "decoder.0", "head", "3"))


@pytest.mark.parametrize(("file_format", "dpi", "message"), [("gif", 200, "'gif'"), ("png", 5000, "got 5000")])
def test_another_format_or_resolution_is_an_error_that_quotes_it(drawn, file_format, dpi, message):
    with pytest.raises(charts.ChartError, match=message):
        charts.figure_bytes(drawn["series"], file_format, dpi)


def test_the_heatmap_has_queries_downwards_and_keys_to_the_right(full):
    picture = image_of(charts.heatmap(hot_spot(full, query=10, key=60), NO_CONTRAST))
    bright = np.argwhere((picture[..., :3] == palette(style.SEQUENTIAL)[254]).all(axis=-1))
    assert bright.tolist() == [[10, 60]]


def test_the_invisible_cells_lie_where_the_picture_shows_them(full):
    chart = charts.heatmap(hot_spot(full, query=10, key=60), NO_CONTRAST, size=400)
    image, cells = chart["layer"][0], chart["layer"][-1]
    axes = {axis: cells["encoding"][axis] | {"scale": image["encoding"][axis]["scale"]} for axis in ("x", "y")}
    colour = {"field": "attention", "type": "quantitative", "scale": {"range": ["#000000", "#ff0000"]}, "legend": None}
    seen = {
        "data": cells["data"],
        "transform": cells["transform"],
        "mark": cells["mark"] | {"opacity": 1},
        "encoding": cells["encoding"] | axes | {"color": colour},
    }
    bare = {"width": 400, "height": 400, "view": {"stroke": None}}
    by_image = rendered(bare | {"layer": [image]})
    by_cells = rendered(bare | {"layer": [seen]})
    yellow = np.argwhere((by_image[..., 0] > 200) & (by_image[..., 2] < 100))
    red = np.argwhere((by_cells[..., 0] > 200) & (by_cells[..., 1] < 60))
    np.testing.assert_allclose(yellow.mean(axis=0), red.mean(axis=0), atol=1)


def test_the_cells_hold_attention_and_the_click_selection(full):
    view = charts.HeadView(full, LAYER, 0)
    cells = charts.heatmap(view)["layer"][-1]
    values = pd.read_csv(io.StringIO(cells["data"]["values"]))["attention"].to_numpy()
    np.testing.assert_allclose(values, view.time_attention.ravel() * 2 * 77, rtol=1e-4)
    (parameter,) = cells["params"]
    assert parameter["name"] == "cell"
    assert parameter["select"]["fields"] == ["query_patch", "key_patch"]
    for chart, name in ((charts.token_look(view, 3), "token"), (charts.small_multiples(full), "head")):
        assert [p["name"] for layer in chart["layer"] for p in layer.get("params", [])] == [name]


def test_the_legend_is_labelled_with_attention_not_with_shades(full):
    view = charts.HeadView(full, LAYER, 0)
    (legend,) = (
        layer["encoding"]["color"]["legend"]
        for layer in charts.heatmap(view, Contrast())["layer"]
        if "color" in layer["encoding"]
    )
    texts = json.loads(legend["labelExpr"].split("]")[0].replace("'", '"') + "]")
    assert [text[:2] for text in (texts[0], texts[-1])] == ["≤ ", "≥ "], "some cells are beyond the percentiles"
    labels = [float(text.removeprefix("≤ ").removeprefix("≥ ")) for text in texts]
    assert labels == sorted(labels)
    low, high = np.percentile(view.shown_attention, (5, 99))
    np.testing.assert_allclose([labels[0], labels[-1]], [low, high], rtol=0.05)


def test_two_heatmaps_on_one_scale_give_equal_attention_equal_colours(full, reduced):
    views = [charts.HeadView(ds, LAYER, 3) for ds in (full, reduced)]
    shading = charts.shared_shading(views, NO_CONTRAST)
    pictures = [image_of(charts.heatmap(view, shading=shading)) for view in views]
    brightest = max(views, key=lambda view: view.time_attention.max())
    reached = [(p[..., :3] == palette(style.SEQUENTIAL)[254]).all(axis=-1).any() for p in pictures]
    assert reached == [view is brightest for view in views]


def test_the_difference_is_orange_where_the_first_attends_more_and_purple_where_the_second_does(full):
    a, b = hot_spot(full, 10, 60), hot_spot(full, 30, 5, head=1)
    picture = image_of(charts.difference(a, b, percentile=100))[..., :3].astype(int)
    assert picture[10, 60, 0] > picture[10, 60, 2] + 50
    assert picture[30, 5, 2] > picture[30, 5, 0]
    assert (picture[0, 0] > 240).all()


def test_signals_of_different_lengths_cannot_be_subtracted(full):
    longer = mock_dataset(n_history=1024, horizon=720).isel(signal=0)
    with pytest.raises(charts.ChartError, match="samples of history"):
        charts.difference(charts.HeadView(full, LAYER, 0), charts.HeadView(longer, LAYER, 0))


def test_token_look_shows_high_values_at_the_top(full):
    view = charts.HeadView(full, LAYER, 0)
    rows, columns = view.grid
    attention = full.token_attention.values.copy()
    attention[..., :] = 0
    attention[..., (rows - 1) * columns + 7] = 1  # the top row's eighth token
    looking_up = charts.HeadView(full.assign(token_attention=full.token_attention.copy(data=attention)), LAYER, 0)
    chart = charts.token_look(looking_up, 40, contrast=NO_CONTRAST)
    bright = np.argwhere((image_of(chart)[..., :3] == palette(style.SEQUENTIAL)[254]).all(axis=-1))
    assert bright.tolist() == [[0, 7]]


def test_the_value_axis_of_the_image_is_that_of_the_encoding(full):
    view = charts.HeadView(full, LAYER, 0)
    table = charts.token_table(view, 40)
    config = view.encoding.config
    span = table["value_high"] - table["value_low"]
    for share in (0.01, 0.99):
        pixel_rows = view.encoding.rows(table["value_low"] + share * span)
        np.testing.assert_array_equal(pixel_rows // config.patch_height, table["token_row"])


def test_the_token_table_sums_to_what_cls_leaves(full):
    view = charts.HeadView(full, LAYER, 1)
    share = view.cls_share(pooling.tokens_of_column(40, view.grid))
    assert charts.token_table(view, 40)["attention"].mean() == pytest.approx(1 - share, abs=5e-3)


def test_queries_weighted_by_ink_are_pooled_so_everywhere(full):
    even, ink = (charts.HeadView(full, LAYER, 0, queries) for queries in ("even", "ink"))
    expected = pooling.pool_queries_by_ink(full.token_attention.sel(layer=LAYER, head=0), ink.ink, ink.grid)
    np.testing.assert_allclose(ink.time_attention, expected)
    np.testing.assert_allclose(charts.heatmap_table(ink)["attention"], expected.ravel() * ink.unit.factor)
    assert charts.lag_table([even, ink])["curve"].unique().tolist() == ["queries by even", "queries by ink"]


def test_stacked_lag_charts_share_their_axis(full):
    view = charts.HeadView(full, LAYER, 0)
    stacked = [charts.lag_curves([view], region) for region in lags.REGIONS] + [charts.autocorrelation(full)]
    axes = [
        (e["x"]["scale"]["domain"], e["y"]["axis"]["minExtent"], e["y"]["axis"]["maxExtent"])
        for chart in stacked
        for e in (layer["encoding"] for layer in chart["layer"])
        if "scale" in e.get("x", {}) and "axis" in e.get("y", {})
    ]
    assert all(axis == axes[0] for axis in axes)


def test_lag_tables_hold_what_the_library_computes(full):
    view = charts.HeadView(full, LAYER, 0)
    for region, side in (("all", "past"), ("all", "future"), ("forecast→history", "past")):
        table = charts.lag_table([view], region, side=side)
        curve = lags.lag_curve(view.time_attention, view.history_patches, region)
        sign = 1 if side == "past" else -1
        assert (table["patches"].diff().dropna() == 1).all()
        np.testing.assert_allclose(table["lag"], 16 * table["patches"])
        at = table["patches"].to_numpy() * sign + view.grid[1] - 1
        np.testing.assert_allclose(table["attention"], curve.mean[at] * view.unit.factor)
        np.testing.assert_array_equal(table["pairs"], curve.pairs[at])


def test_the_peak_table_names_lag_multiple_and_error_in_samples(full):
    table = charts.peak_table([charts.HeadView(full, LAYER, 0)], period=63.0)
    first = table.iloc[0]
    assert (first["lag"], first["multiple"], first["error"], first["matches"]) == (64, 1, 1, True)
    assert charts.peak_table([charts.HeadView(full, LAYER, 3)], period=63.0, min_prominence=10).empty


def test_lags_are_told_in_time_where_the_time_between_samples_is_known(full):
    hourly = charts.HeadView(full.assign_coords(sample_seconds=3600.0), LAYER, 0)
    table = charts.lag_table([hourly])
    assert table.loc[table["lag"] == 48, "time"].item() == "2 days"
    assert charts.peak_table([hourly], period=63.0)["time"].iloc[0] == "2.67 days"
    assert "that is" in json.dumps(charts.lag_curves([hourly])["layer"])
    assert "time" not in charts.lag_table([charts.HeadView(full, LAYER, 0)])


def test_tables_of_maps_are_in_samples(full, reduced):
    view, other = charts.HeadView(full, LAYER, 0), charts.HeadView(reduced, LAYER, 0)
    table = charts.heatmap_table(view).set_index(["query_patch", "key_patch"])
    cell = table.loc[(9, 4)]
    assert (cell["query_sample"], cell["key_sample"], cell["lag"]) == (144, 64, 80)
    assert cell["attention"] == pytest.approx(view.shown_attention[9, 4])
    gap = charts.difference_table(view, other)
    np.testing.assert_allclose(gap["difference"], gap["attention_a"] - gap["attention_b"])


def test_the_series_table_ends_with_the_signal():
    joined = mock_dataset(n_history=512, horizon=100).isel(signal=0)
    padded = joined.reindex(time=np.arange(2000))
    table = charts.series_table(padded)
    assert len(table) == 612
    assert table["history"].count() == 512
    assert list(table.columns[3:]) == ["q05", "q10", "q25", "q50", "q75", "q90", "q95"]


def test_the_autocorrelation_table_stops_before_the_overlap_gets_short(full):
    table = charts.autocorrelation_table(full)
    assert table["lag"].max() == 384
    assert table["autocorrelation"].iloc[63] > 0.99
    assert charts.autocorrelation_table(full, max_lag=50)["lag"].max() == 50


def test_the_head_matrix_names_every_measure_in_its_tooltip(full):
    numbers = measures.head_measures(full, 63.0)
    cells = charts.head_matrix(numbers, "locality")["layer"][-1]
    assert {line["field"] for line in cells["encoding"]["tooltip"]} == {"layer", "head", *numbers.data_vars}
    table = charts.measures_table(numbers)
    assert len(table) == full.sizes["layer"] * full.sizes["head"]
    assert table.loc[5, "locality"] == pytest.approx(float(numbers.locality[1, 1]))
    told = "Blank: no figure."
    assert told not in charts.head_matrix(numbers, "locality")["title"]["subtitle"]
    gaps = numbers.assign(locality=numbers.locality.where(numbers["head"] > 0))
    assert told in charts.head_matrix(gaps, "locality")["title"]["subtitle"]


def test_the_mosaic_puts_layers_down_and_heads_across_with_a_gap():
    maps = np.arange(6.0).reshape(2, 3, 1, 1) * np.ones((2, 3, 4, 4))
    picture = mosaic(maps, gap=2)
    assert picture.shape == (12, 18)
    assert np.isnan(picture[0]).all()
    np.testing.assert_array_equal(picture[1:5, 7:11], 1)
    np.testing.assert_array_equal(picture[7:11, 13:17], 5)


def test_maps_of_many_heads_are_averaged_down_to_the_pixels_allowed():
    maps = np.random.default_rng(0).random((2, 3, 8, 8))
    assert shrink(maps, 2 * 3 * 64).shape == maps.shape
    small = shrink(maps, 2 * 3 * 16)
    np.testing.assert_allclose(small[1, 2, 3, 0], maps[1, 2, 6:8, 0:2].mean())
    last = np.zeros((1, 1, 77, 77))
    last[..., -1] = 1  # 77 patches in 38 columns: the last patch is 38/77 of the last column
    uneven = shrink(last, 1500)
    assert uneven.shape == (1, 1, 38, 38)
    np.testing.assert_allclose(uneven[..., -1], 38 / 77)
    assert not uneven[..., :-1].any()
    np.testing.assert_array_equal(shrink(maps, maps.size), maps)


def test_a_picture_keeps_its_shades_and_leaves_missing_cells_transparent():
    picture = decoded(png_url([[0.0, 1.0], [np.nan, 0.5]], ["#000000", "#ffffff"]))
    assert picture[0, 0].tolist() == [0, 0, 0, 255]
    assert picture[0, 1].tolist() == [255, 255, 255, 255]
    assert picture[1, 0, 3] == 0
    assert abs(int(picture[1, 1, 0]) - 127) <= 1


def test_the_palettes_run_evenly_from_dark_to_light_and_are_symmetric_in_lightness_where_they_diverge():
    lightness = palette(style.SEQUENTIAL)[:255].astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -0.5).all()
    diverging = palette(style.DIVERGING)[:255].astype(float) @ [0.2126, 0.7152, 0.0722]
    assert diverging.argmax() == pytest.approx(127, abs=2)


def test_inline_tables_survive_names_with_commas_and_quotes_and_missing_numbers():
    frame = pd.DataFrame({"curve": ['a, "b"', "c"], "value": [1.23456789, np.nan], "count": [7, 8]})
    inline = style.inline(frame)
    assert inline["format"]["parse"] == {"value": "number", "count": "number"}
    read = pd.read_csv(io.StringIO(inline["values"]))
    pd.testing.assert_frame_equal(read, frame, rtol=1e-4)


def test_values_far_from_zero_are_written_as_finely_as_their_span_needs():
    for values in ([101325.4, 101330.9], [1e9 + 0.25, 1e9 + 0.5], [-40000.01, -40000.02]):
        read = pd.read_csv(io.StringIO(style.inline(pd.DataFrame({"v": values}))["values"]))["v"]
        np.testing.assert_allclose(np.diff(read), np.diff(values), rtol=1e-3)


def test_a_pressure_of_101325_is_drawn_as_it_is_and_its_tokens_can_be_clicked(full):
    pressure = full.assign(history=full.history * 3 + 101328, forecast=full.forecast * 3 + 101328)
    drawn = charts.series(pressure)["layer"][2]["data"]["values"]
    values = pd.read_csv(io.StringIO(drawn))["value"]
    assert values.nunique() > 50, "a sine of 63 samples takes as many values"
    tokens = charts.token_look(charts.HeadView(pressure, LAYER, 0), 40)["layer"][-1]["data"]["values"]
    cells = pd.read_csv(io.StringIO(tokens))
    assert (cells["y2"] > cells["y"]).all()
    np.testing.assert_allclose(np.diff(np.unique(cells["y"]))[0], (cells["y2"] - cells["y"])[0], rtol=1e-3)


def test_the_band_of_a_curve_is_never_below_zero_and_is_drawn_for_one_curve(full):
    views = [charts.HeadView(full, LAYER, head) for head in range(3)]
    assert (charts.lag_table(views)["low"] >= 0).all()
    (band,) = (layer for layer in charts.lag_curves(views)["layer"] if layer["mark"]["type"] == "area")
    assert pd.read_csv(io.StringIO(band["data"]["values"]))["curve"].unique().tolist() == ["head 0"]


def test_an_attention_of_zero_is_a_gap_on_a_logarithmic_axis(full):
    blind = full.assign(time_attention=full.time_attention.where(full.query_patch - full.key_patch != 5, 0.0))
    (line,) = (part for part in charts.lag_curves([charts.HeadView(blind, LAYER, 0)], log=True)["layer"]
               if part["mark"]["type"] == "line")  # fmt: skip
    drawn = pd.read_csv(io.StringIO(line["data"]["values"])).set_index("patches")["attention"]
    assert drawn.index[drawn.isna()].tolist() == [5]


def test_a_head_s_curve_is_computed_once(full):
    view = charts.HeadView(full, LAYER, 0)
    assert view.lag_curve("history→history") is view.lag_curve("history→history")
    assert view.lag_curve() is not view.lag_curve("history→history")


def test_what_peaks_have_to_do_with_an_unresolved_period_is_missing(full):
    table = charts.peak_table([charts.HeadView(full, LAYER, 0)], period=6.28)
    assert table[["multiple", "error", "matches"]].isna().all(axis=None)
    chart = charts.lag_curves([charts.HeadView(full, LAYER, 0)], period=6.28)
    assert not any("text" in layer["mark"]["type"] for layer in chart["layer"]), "no multiples are marked"
    assert "cannot be seen" in json.dumps(chart["title"])


@pytest.mark.parametrize("n", [5, 1200, 1201, 7001])
def test_a_thinned_range_encloses_every_sample_of_the_whole_one(n):
    rng = np.random.default_rng(0)
    low = rng.standard_normal(n)
    band = pd.DataFrame({"time": np.arange(n), "low": low, "high": low + rng.exponential(size=n)})
    thinned = style.thin_range(band, "low", "high", 1200)
    assert len(thinned) <= 1200
    assert (thinned["time"].iloc[[0, -1]] == [0, n - 1]).all()
    drawn = {name: np.interp(band["time"], thinned["time"], thinned[name]) for name in ("low", "high")}
    assert (drawn["low"] <= band["low"]).all()
    assert (drawn["high"] >= band["high"]).all()
    assert (drawn["high"].max(), drawn["low"].min()) == (band["high"].max(), band["low"].min())


def test_thinning_keeps_the_extremes_of_a_fast_series():
    time = np.arange(100_000)
    value = np.sin(time * 2.1)
    value[77_777] = 5.0
    thinned = style.thin(time, value, 1000)
    assert len(thinned) <= 1000
    assert thinned["value"].max() == 5.0
    assert thinned["time"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 1232, [0, 200, 400, 600, 800, 1000, 1200]),
        (0, 20, [0, 5, 10, 15, 20]),
        (0.05, 0.7, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(start, stop, expected):
    np.testing.assert_allclose(style.ticks(start, stop), expected)


def test_a_constant_series_can_be_drawn(full):
    flat = full.assign(history=full.history * 0 + 2, forecast=full.forecast * 0 + 2)
    view = charts.HeadView(flat, LAYER, 0)
    for chart in (charts.token_look(view, 3), charts.autocorrelation(flat)):
        assert vl_convert.vegalite_to_svg(chart).startswith("<svg")
    assert "none, because it is constant" in charts.autocorrelation(flat)["title"]["subtitle"]
    assert "none" not in charts.autocorrelation(full)["title"]["subtitle"]


def bare_series(values, **options):
    return charts.window_picture("a", values, choose_window(len(values), 8, columns=1232, patch_width=16), **options)


@pytest.mark.parametrize(("size", "label"), [(7e29, "6e+29"), (3e5, "300,000"), (0.5, "0.4"), (3e-9, "3e-9")])
def test_an_axis_labels_values_of_any_size_in_full(size, label):
    svg = vl_convert.vegalite_to_svg(bare_series(size * np.sin(np.arange(200) / 9)))
    labels = re.findall(r">([^<>]+)</text>", svg)
    assert label in labels
    assert not any("…" in each for each in labels)


def test_the_last_label_of_an_axis_is_not_cut():
    svg = vl_convert.vegalite_to_svg(bare_series(np.sin(np.arange(505.0)), width=400))
    assert re.search(r'text-anchor="end"[^>]*>500</text>', svg)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ds: charts.HeadView(ds, "decoder.9", 0), "no layer 'decoder.9'; there are encoder.0"),
        (lambda ds: charts.HeadView(ds, LAYER, 7), "no head 7; there are 0 … 3"),
        (lambda ds: charts.HeadView(ds.expand_dims("signal"), LAYER, 0), "select one"),
        (lambda ds: charts.token_look(charts.HeadView(ds, LAYER, 0), 77), "no patch column 77"),
        (lambda ds: charts.token_look(charts.HeadView(ds, LAYER, 0), 3, query_row=2), "no token row 2"),
        (lambda _: charts.lag_curves([]), "choose at least one"),
        (lambda ds: charts.lag_curves([charts.HeadView(ds, LAYER, 0)] * 2), "chosen twice"),
        (lambda ds: charts.lag_curves([charts.HeadView(ds, LAYER, 0)] * 7), "at most 6 curves"),
        (
            lambda ds: charts.lag_curves([charts.HeadView(ds, LAYER, 0)], "forecast→history", side="future"),
            "no lag to the future",
        ),
        (
            lambda ds: charts.linked_head(
                charts.HeadView(ds.assign(time_attention=0 * ds.time_attention), LAYER, 0), log=True
            ),
            "no attention above zero",
        ),
        (lambda ds: charts.head_matrix(measures.head_measures(ds), "period_prominence"), "no measure"),
        (
            lambda ds: charts.token_look(charts.HeadView(ds.drop_vars("token_attention"), LAYER, 0), 3),
            "not stored; build the store with --tokens all",
        ),
        (
            lambda ds: (
                charts.HeadView(ds.assign(token_attention=ds.token_attention * np.nan), LAYER, 0, "ink").time_attention
            ),
            "not stored; build with --tokens all or decoder.0",
        ),
    ],
)
def test_what_cannot_be_drawn_is_an_error_that_says_why(full, call, message):
    with pytest.raises((charts.ChartError, pooling.PoolingError), match=message):
        call(full)


def test_curves_of_a_series_in_days_and_one_of_unknown_spacing_are_drawn_together(full, reduced):
    in_days = full.assign_coords(sample_seconds=86400.0)
    views = [charts.HeadView(in_days, LAYER, 0), charts.HeadView(reduced.assign_coords(sample_seconds=0.0), LAYER, 0)]
    for pair in (views, views[::-1]):
        assert "that is" not in json.dumps(charts.lag_curves(pair, period=63))
    assert "that is" in json.dumps(charts.lag_curves(views[:1], period=63))


def test_a_heatmap_upwards_shows_the_same_cells_with_the_first_query_at_the_bottom(full):
    view = charts.HeadView(full, LAYER, 0)
    pictures = []
    for upwards in (False, True):
        spec = charts.heatmap(view, upwards=upwards)
        image = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "image")
        assert image["encoding"]["y"]["scale"]["reverse"] is not upwards
        url = image["data"]["values"][0]["url"]
        pictures.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")))
    assert np.array_equal(pictures[0][::-1], pictures[1])


def test_a_subtitle_that_was_wrapped_before_is_wrapped_anew_and_no_last_line_is_one_word() -> None:
    said = ["Time attention, mean over value rows", "Attention is in multiples of even attention: 1 means that",
            "all patches get the same."]  # fmt: skip
    for width in range(250, 400, 10):
        lines = style.fitted({"text": "full", "subtitle": said}, width)["subtitle"]
        assert " ".join(lines) == " ".join(said)
        assert all(" " in line for line in lines), lines
        assert max(map(len, lines)) <= width / 5.8


def test_no_line_of_a_title_parts_what_belongs_together_and_a_line_wrapped_before_goes_on() -> None:
    sentences = [
        "Orange: vitime-mini looks there more; purple: vitime-mini-1 does. Full colour: 14.7 × even, without CLS",
        "Read by the forecast: 0.585 (0.524 … 0.645), 95 % of it",
    ]
    for width in range(360, 800, 11):
        said = style.subtitle_lines(*sentences, width=width)
        for lines in (said, style.fitted({"text": "full", "subtitle": said}, 0.9 * width)["subtitle"]):
            assert " ".join(lines) == ". ".join(sentences) + ".", "no space within a name, and a mark at each end"
            assert not any(line.endswith(("-", "…", "×")) or line.startswith(("%", "×", "…")) for line in lines), lines
            assert len(lines) <= 8


def test_no_title_breaks_between_the_word_head_and_its_number() -> None:
    heading = {"text": "Which moments each moment looks at: full, decoder.1, head 0", "subtitle": "of head 12"}
    for width in range(100, 700, 7):
        found = style.fitted(heading, width)
        for text in (found["text"], found["subtitle"]):
            lines = [text] if isinstance(text, str) else text
            assert not any(line.endswith("head") for line in lines), (width, lines)


def test_the_actual_values_are_drawn_below_the_forecasts_of_two_networks_and_none_is_missing_in_the_table():
    ds = mock_dataset(n_history=4000).isel(signal=0)
    table = charts.two_forecasts_table(ds, ds, ("one", "another"), np.arange(float(ds.horizon)))
    assert list(dict.fromkeys(table["part"])) == ["history", "actual", "one", "another"]
    assert table.groupby("part").size().to_dict() == {"history": 4000, "actual": 720, "one": 720, "another": 720}
    one = table[table["part"] == "one"]
    for name, at in (("low", 0.05), ("high", 0.95)):
        np.testing.assert_array_equal(one[name], ds.forecast_quantile.sel(quantile=at, method="nearest").values[4000:])
    assert table[["low", "high"]].notna().sum().tolist() == [1440, 1440], "of the forecasts alone"

"""Each page through the entry point: its default state, every control, and stores that are not as they should be."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from streamlit.testing.v1 import AppTest

from tests.app.conftest import ENTRY, NOTE, signals, unfold
from vitime_cache.evidence.levels.tracking import choose_head, track_periods
from vitime_cache.series.examples import catalogue
from vitime_cache.series.signal import Harmonic, compose
from vitime_cache.store.build import build
from vitime_cache.store.commit import forget
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import MANIFEST, Entry, Manifest
from vitime_cache.store.reader import open_store
from vitime_cache.ui.asked import Asked, keep_address
from vitime_cache.ui.chart import PAGE
from vitime_cache.ui.processes import jobs
from vitime_cache.ui.routing import PAGES
from vitime_cache.ui.stores import PLOT_POINTS, _on_one_scale, contents, stores

OpenPage = Callable[..., AppTest]
MANY = len(catalogue())
READING = ["heads", "head", "compare"]  # pages that need a signal


def texts(at: AppTest) -> str:
    """All words of a page."""
    kinds = (at.title, at.markdown, at.caption, at.info, at.warning, at.error, at.success, at.subheader)
    return "\n".join(read(element.value) for kind in kinds for element in kind)


def read(markdown: object) -> str:
    """What a person reads of words that were kept from Markdown."""
    return re.sub(r"\\([\\`*\[\]$~<>|#_])", r"\1", str(markdown)).replace("\N{WORD JOINER}", "")


def charts(at: AppTest) -> list[str]:
    """Specs of the charts of a page, as JSON."""
    return [element.proto.spec for element in at.get("vega_lite_chart")]


def leads_on(at: AppTest) -> bool:
    """Whether there is a way to every page."""
    return len(at.sidebar.get("page_link")) == len(PAGES)


def is_sound(at: AppTest) -> bool:
    return not at.exception and not at.error and not at.warning


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("store")
def test_a_page_opens_without_a_complaint_and_names_the_weights(page: str, open_page: OpenPage) -> None:
    at = open_page(page)
    assert is_sound(at), texts(at)
    assert len(at.title) == 1
    assert NOTE in texts(at)


@pytest.mark.parametrize(("page", "count"), [("ask", 1), ("head", 4), ("compare", 5), ("heads", 1)])
@pytest.mark.usefixtures("store")
def test_a_page_draws_its_charts(page: str, count: int, open_page: OpenPage) -> None:
    assert len(charts(open_page(page))) == count


@pytest.mark.usefixtures("store")
def test_what_is_folded_away_is_not_worked_out_until_it_is_opened(open_page: OpenPage) -> None:
    at = open_page("head", unfolded=False)
    assert [any(word in chart for chart in charts(at)) for word in ("Layer", "its own past")] == [False, False]
    assert len(charts(at)) == 2
    unfold(at, "autocorrelation").run()
    assert "its own past" in charts(at)[2]
    asking = open_page("ask", unfolded=False)
    assert charts(asking), "the question to ask is not folded away while there is no answer"
    assert not any(button.key == "take_composed" for button in asking.button)


@pytest.mark.usefixtures("store")
def test_a_statement_shows_its_level_of_evidence(open_page: OpenPage) -> None:
    assert "badge[looking]" in texts(open_page("compare"))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("store")
def test_every_control_of_a_page_can_be_moved(page: str, open_page: OpenPage) -> None:
    at = open_page(page)
    for kind in ("selectbox", "toggle", "button_group", "select_slider", "slider", "number_input", "multiselect"):
        for i in range(len(at.get(kind))):
            if i >= len(at.get(kind)):  # moving another has taken it off the page
                break
            widget = at.get(kind)[i]
            if widget.disabled:
                continue
            if kind == "toggle":
                widget.set_value(not widget.value)
            elif kind == "number_input":
                widget.set_value(widget.max if widget.value is None else min(widget.value + widget.step, widget.max))
            elif kind == "slider":
                low = widget.min + (widget.max - widget.min) / 4
                widget.set_value((low, widget.max) if isinstance(widget.value, (list, tuple)) else low)
            elif kind == "multiselect":
                widget.set_value(widget.options[:2])
            elif kind == "select_slider":
                widget.set_value(len(widget.options) - 1)
            elif widget.options:
                widget.set_value(widget.options[-1])
            at.run()
            assert not at.exception, (kind, i, texts(at))
            assert not at.error, (kind, i, texts(at))


def hourly(store: Path, weights: Path) -> None:
    """Add a signal of hours that begins on a Friday."""
    hours = compose("hours", [Harmonic(100.0)], n=512)
    build([replace(hours, sample_seconds=3600.0, start="2016-07-01T00:00:00")], store, weights)


def test_a_query_and_a_longest_lag_are_told_in_time_too_and_an_address_names_them_by_samples(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    hourly(store, weights)
    at = open_page("head", signal="hours", query_16="320", longest_16="96")
    assert is_sound(at), texts(at)
    query, longest = (next(each for each in at.select_slider if each.label.startswith(label)) for label in ("Q", "L"))
    assert query.options[query.value] == "320, 14 Jul 2016 08:00"
    assert longest.options[longest.value - 4] == "96, 4 days"
    assert "samples 320–336 (14 Jul 2016 08:00) look" in json.loads(charts(at)[1])["title"]["text"]
    query.set_value(21).run()
    again = open_page("head", signal="hours", query_16=query.options[21])
    assert is_sound(again), texts(again)
    assert "samples 336–352" in json.loads(charts(again)[1])["title"]["text"]


@pytest.mark.usefixtures("store")
def test_no_cell_of_the_peaks_of_two_signals_is_blank_or_none(open_page: OpenPage) -> None:
    at = open_page("compare", signal="full", other="white_noise", layer="encoder.0", head="1")
    table = at.dataframe[0]
    assert set(table.value["multiple"]) <= {"at none", *(f"{k} P" for k in range(1, 99))}
    assert table.proto.placeholder == "no peak"
    at = open_page("compare", signal="white_noise", other="full", layer="encoder.0", head="1")
    assert "multiple" not in at.dataframe[0].value, "there is no P"


@pytest.mark.usefixtures("store")
def test_why_two_maps_do_not_fit_is_told_once_and_a_signal_of_the_same_length_is_offered_first(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    build([replace(compose("short", [Harmonic(24.0)], n=256, horizon=100))], store, weights)
    at = open_page("compare", signal="full", other="short")
    [said] = [each.value for each in (*at.info, *at.warning)]
    assert "full has 512 samples of history, short 256" in read(said)
    assert "samples_per_patch" not in read(texts(at))
    assert open_page("compare", signal="white_noise").selectbox(key="pick_other").value == "full"
    build([replace(compose("shorter", [Harmonic(24.0)], n=256, horizon=100))], store, weights)
    assert open_page("compare", signal="shorter").selectbox(key="pick_other").value == "short"


@pytest.mark.parametrize("by", ["signal", "q"])
def test_a_query_and_a_longest_lag_are_not_asked_of_a_signal_of_other_patches(
    by: str, store: Path, weights: Path, open_page: OpenPage
) -> None:
    build(signals("full", "reduced_harmonic", "harmonic_63", "white_noise", "nile"), store, weights)
    name = keep_address(Asked(store.name, "full", 62.8))
    at = open_page("head", **{by: {"signal": "full", "q": name}[by]})
    query, longest = (next(each for each in at.select_slider if each.label.startswith(label)) for label in ("Q", "L"))
    for slider in (query, longest):
        at.query_params[slider.key] = "320"  # as a click writes it
        slider.set_value(20)
    at.run()
    assert json.loads(charts(at)[1])["title"]["text"].startswith("Where the tokens of samples 320–336 look")
    at.selectbox(key="pick_signal").select("nile").run()
    assert is_sound(at), texts(at)
    query = next(each for each in at.select_slider if each.label.startswith("Q"))
    assert f"of samples {query.options[query.value].partition(',')[0]}–" in json.loads(charts(at)[1])["title"]["text"]


@pytest.mark.parametrize("page", READING)
def test_without_a_store_a_page_says_how_to_get_one(page: str, open_page: OpenPage) -> None:
    at = open_page(page)
    assert not at.exception
    assert "Bring a series on the page **Ask**" in at.info[0].value
    assert leads_on(at)


def test_without_a_store_the_library_offers_the_command_and_a_button(open_page: OpenPage) -> None:
    at = open_page()
    assert at.code[0].value == "python -m vitime_cache build"
    assert [button.label for button in at.button] == ["Build it now"]


@pytest.mark.parametrize("page", PAGES)
def test_a_store_that_is_just_being_laid_out_holds_no_signal_yet(page: str, store: Path, open_page: OpenPage) -> None:
    (store / "zarr.json").unlink()  # what a build publishes when the first signal is complete
    at = open_page(page)
    assert not at.exception
    assert not at.error


@pytest.mark.parametrize("page", PAGES)
def test_a_folder_that_is_no_store_gets_a_message(page: str, folder: Path, open_page: OpenPage) -> None:
    (folder / "junk.zarr").mkdir()
    (folder / "junk.zarr" / "zarr.json").write_text("{}")
    at = open_page(page)
    assert not at.exception
    assert "junk.zarr" in at.error[0].value
    assert leads_on(at)


def test_a_store_that_was_left_early_says_how_much_stands_and_goes_on(store: Path, open_page: OpenPage) -> None:
    left_early(store)
    at = open_page()
    assert not at.exception
    assert f"4 of {MANY} signals of vitime-mini.zarr are complete" in texts(at)
    at.button(key="build_vitime-mini.zarr").click().run()
    for _ in range(120):
        if len(open_store(store).signal) == MANY:
            break
        time.sleep(0.5)
    assert len(open_store(store).signal) == MANY


def test_a_build_that_failed_can_be_gone_on_with(
    store: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_early(store)
    failing = [sys.executable, "-c", "import sys; sys.exit('the disk is full')"]
    monkeypatch.setattr(jobs, "command", lambda *_: failing)
    at = open_page()
    at.button(key="build_vitime-mini.zarr").click().run()
    jobs.job(store).process.wait()
    at.run()
    assert "The build stopped: the disk is full" in texts(at)
    assert f"4 of {MANY} signals of vitime-mini.zarr are complete" in texts(at)
    assert at.button(key="build_vitime-mini.zarr").label == "Continue"


def left_early(store: Path) -> None:
    """Make a store say that it was begun for the whole catalogue."""
    known = Manifest.from_bytes((store / MANIFEST).read_bytes(), str(store))
    stored = {entry.name for entry in known.entries}
    rest = [
        Entry(signal.name, signal.fingerprint, known.entries[0].coordinates, len(signal.harmonics))
        for signal in catalogue()
        if signal.name not in stored
    ]
    (store / MANIFEST).write_bytes(known.with_entries([*known.entries, *rest]).to_bytes())


def test_a_store_that_was_left_before_its_first_signal_can_be_gone_on_with(
    folder: Path, weights: Path, open_page: OpenPage
) -> None:
    killed = "import os, sys; from vitime_cache.store.build import build; from vitime_cache import catalogue\n"
    killed += "build(catalogue(), sys.argv[1], sys.argv[2], announce=lambda plan: None, progress=lambda p: os._exit(1))"
    command = [sys.executable, "-c", killed, str(folder / "other-name.zarr"), str(weights)]
    subprocess.run(command, cwd=ENTRY.parent, check=False)
    shutil.rmtree(folder / "other-name.zarr" / "zarr.json", ignore_errors=True)
    (folder / "other-name.zarr" / "zarr.json").unlink(missing_ok=True)
    at = open_page()
    assert not at.exception
    assert re.search(rf"[01] of {MANY} signals of other-name.zarr", texts(at))
    assert at.button(key="build_other-name.zarr").label == "Continue"
    assert "no complete signal yet" not in texts(at), "once is enough"


def test_a_store_of_one_signal_is_shown_on_every_page_and_compared_with_nothing(
    folder: Path, weights: Path, open_page: OpenPage
) -> None:
    build(signals("harmonic_63"), folder / "one.zarr", weights)
    for page in PAGES:
        at = open_page(page)
        assert is_sound(at), page
    assert "1 signal in one.zarr" in texts(open_page())
    at = open_page("compare")
    assert [info.value for info in at.info] == ["A signal is not compared with itself: choose another."]
    assert not charts(at)
    assert leads_on(at)


def test_a_store_begun_with_other_weights_says_what_it_takes_to_go_on(
    folder: Path, built_by_another: Path, open_page: OpenPage
) -> None:
    left_early(Path(shutil.copytree(built_by_another, folder / "other.zarr")))
    at = open_page(store="other.zarr")
    assert not at.exception
    assert f"2 of {MANY} signals of other.zarr are complete" in texts(at)
    assert "weights other, which are not available" in texts(at)


def test_a_signal_that_was_repaired_is_read_again_though_the_root_says_the_same(store: Path, weights: Path) -> None:
    def known() -> xr.Dataset:
        return stores()[store.name].signal("full")

    before, root = known(), (store / "zarr.json").read_bytes()
    forget(open_objects(store), {0})
    build(signals("full", "reduced_harmonic", "harmonic_63", "white_noise"), store, weights)
    assert (store / "zarr.json").read_bytes() == root
    assert known() is not before


def test_a_store_that_grows_shows_its_new_signals_on_reload(store: Path, weights: Path, open_page: OpenPage) -> None:
    at = open_page("head")
    before = at.selectbox(key="pick_signal").options
    build(signals("full", "reduced_harmonic", "harmonic_63", "white_noise", "ar1"), store, weights)
    at.run()
    assert is_sound(at)
    assert set(at.selectbox(key="pick_signal").options) - set(before) == {"ar1"}


def test_a_store_that_vanishes_between_two_clicks_gets_a_message(store: Path, open_page: OpenPage) -> None:
    at = open_page("head")
    shutil.rmtree(store)
    at.run()
    assert not at.exception
    assert "no signal to show yet" in at.info[0].value


@pytest.mark.usefixtures("store")
def test_a_store_of_another_model_has_its_own_layers_and_heads(
    built_by_another: Path, folder: Path, open_page: OpenPage
) -> None:
    shutil.copytree(built_by_another, folder / "other.zarr")
    at = open_page("head", store="vitime-mini.zarr", head="3")
    at.selectbox(key="pick_store").select("other.zarr").run()
    assert not at.exception
    assert at.selectbox(key="pick_head").options == ["0", "1"]
    assert "'3' under “Head”" in at.warning[0].value
    at.run()
    assert is_sound(at), "the choice is mended after it was said"


def test_signals_of_unequal_length_are_not_laid_over_one_another(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    build(signals("full", "reduced_harmonic", "harmonic_63", "white_noise", "nile"), store, weights)
    at = open_page("compare", signal="full", other="nile")
    assert not at.exception
    assert "full has 512 samples of history, nile 80" in at.info[0].value
    assert "samples a patch" in texts(at), "peaks are compared in samples, where both axes show them"
    assert "Without that part" not in texts(at)
    assert all(lag < 1.3 * 77 for lag in at.dataframe[0].value["lag"]) if at.dataframe else True


@pytest.mark.parametrize(
    ("key", "value"),
    [("store", "../../etc"), ("signal", "no such"), ("layer", "decoder.99"), ("head", "-1"), ("head", "🙂" * 500)],
)
@pytest.mark.usefixtures("store")
def test_an_address_that_names_nothing_gets_a_message_and_a_page(key: str, value: str, open_page: OpenPage) -> None:
    at = open_page("head", **{key: value})
    assert not at.exception
    assert value[:80] in read(at.warning[0].value)
    assert len(charts(at)) == 4


@pytest.mark.parametrize(
    ("page", "key", "value"),
    [("head", "region", "elsewhere"), ("head", "period_full", "soon"), ("head", "period_full", "-4"),
     ("head", "query_16", "99999"), ("head", "side", "above"), ("heads", "measure", "beauty"),
     ("heads", "view", "Sideways"), ("head", "queries", "loudly"), ("compare", "side", ""), ("head", "side", ""),
     ("head", "queries", ""), ("compare", "compare", "")],
)  # fmt: skip
@pytest.mark.usefixtures("store")
def test_an_option_that_the_address_asks_for_in_vain_is_said(
    page: str, key: str, value: str, open_page: OpenPage
) -> None:
    at = open_page(page, signal="full", **{key: value})
    assert not at.exception
    assert value in read(at.warning[0].value)
    assert charts(at)


HOSTILE = "**b** [x](http://e.x) $y$ :red[z] <i>i</i> _u_ `c` :material/home:"


def test_a_name_is_never_read_as_markdown(folder: Path, weights: Path, open_page: OpenPage) -> None:
    named = shutil.copy(weights, folder / "**b** `c`.safetensors")
    build([compose(HOSTILE, [Harmonic(64.0)]), compose("# other", [Harmonic(64.0)])], folder / "a*b*.zarr", named)
    for page in PAGES:
        at = open_page(page, signal=HOSTILE, other="# other", layer=HOSTILE)
        assert not at.exception
        for kind in (at.title, at.markdown, at.caption, at.info, at.warning, at.error, at.success, at.subheader):
            for element in kind:
                said = str(element.value)
                for mark in ("**b**", "[x](", "$y$", "red[z]", "<i>", "`c`", "a*b*", ":material/home"):
                    assert mark not in said.replace("\\" + mark[0], "?"), (page, said)


def test_a_stored_signal_that_is_called_as_own_series_are_is_a_stored_one(
    folder: Path, weights: Path, open_page: OpenPage
) -> None:
    build([compose(name, [Harmonic(64.0)]) for name in ("own:load", "other")], folder / "a.zarr", weights)
    at = open_page("head", signal="other")
    at.selectbox(key="pick_signal").select("own:load").run()
    assert not at.error
    assert not at.warning
    assert any("own:load" in chart for chart in charts(at))


@pytest.mark.parametrize("period", [3e6, 1e30])
def test_a_period_beyond_a_million_samples_can_be_looked_at(
    period: float, folder: Path, weights: Path, open_page: OpenPage
) -> None:
    build([compose("slow", [Harmonic(period, amplitude=9.0), Harmonic(64.0)])], folder / "slow.zarr", weights)
    for page in READING:
        at = open_page(page, signal="slow")
        assert not at.exception, page


@pytest.mark.usefixtures("store")
def test_an_address_shows_the_same_view_in_another_session(open_page: OpenPage) -> None:
    at = open_page("head")
    at.selectbox(key="pick_signal").select("harmonic_63").run()
    at.selectbox(key="pick_layer").select("encoder.1").run()
    at.selectbox(key="pick_head").select(2).run()
    address = {key: values[0] if isinstance(values, list) else values for key, values in at.query_params.items()}
    again = open_page("head", **address)
    assert charts(again) == charts(at)
    assert "harmonic_63, encoder.1, head 2" in charts(again)[0]


@pytest.mark.usefixtures("store")
def test_the_choice_goes_along_to_the_next_page(open_page: OpenPage) -> None:
    at = open_page("head")
    at.selectbox(key="pick_signal").select("white_noise").run()
    at.selectbox(key="pick_head").select(1).run()
    layer = at.selectbox(key="pick_layer").value
    at.query_params.clear()  # as a click in the navigation does
    at.switch_page("pages/compare.py").run()
    assert any(f"white_noise, {layer}, head 1" in chart for chart in charts(at))


@pytest.mark.parametrize(("first", "second"), [("full", "white_noise"), ("harmonic_63", "full")])
@pytest.mark.usefixtures("store")
def test_no_pair_but_a_signal_and_its_reduction_is_spoken_of_as_one(
    first: str, second: str, open_page: OpenPage
) -> None:
    at = open_page("compare", signal=first, other=second)
    assert not at.exception
    assert "neither" in texts(at)
    assert "gone with that harmonic" not in texts(at)
    assert "while the signal is whole" not in texts(at)


@pytest.mark.usefixtures("store")
def test_a_reduction_chosen_first_is_still_the_reduction(open_page: OpenPage) -> None:
    at = open_page("compare", signal="reduced_harmonic", other="full")
    assert "from full to reduced_harmonic" in texts(at)


@pytest.mark.usefixtures("store")
def test_keys_in_the_future_change_the_curve_the_table_and_the_conclusion_alike(open_page: OpenPage) -> None:
    at = open_page("compare", signal="full", other="harmonic_63", layer="encoder.0", head="0")
    past, said = at.dataframe[0].value, texts(at)
    at.button_group(key="side").set_value("future").run()
    assert not at.exception
    assert "lag to the future" in charts(at)[-1]
    assert not at.dataframe[0].value.equals(past)
    assert texts(at) != said


def test_a_chart_lies_on_the_page_s_own_colour() -> None:
    theme = tomllib.loads((ENTRY.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]
    assert theme["dark"]["backgroundColor"] == PAGE["dark"]
    assert "backgroundColor" not in theme["light"], "Streamlit's own is white"


def test_a_small_plot_keeps_the_envelope_and_is_named_as_scaled(store: Path) -> None:
    series = np.cos(2 * np.pi * np.arange(960) / 8)  # every eighth sample of it is 1
    (drawn,) = _on_one_scale(series)
    assert len(drawn) <= PLOT_POINTS
    assert (min(drawn), max(drawn)) == (0, 1)
    assert {"history", "forecast"}.isdisjoint(contents(stores()[store.name], ["full"])), "a download has no samples"


def test_a_period_below_the_resolution_cannot_be_seen_and_is_no_zero(
    folder: Path, weights: Path, open_page: OpenPage
) -> None:
    hourly = compose("hourly", [Harmonic(24.0)], n=2000, horizon=720)
    build([hourly], folder / "hourly.zarr", weights)
    at = open_page("heads", signal="hourly", view="By a figure")
    assert not at.exception
    assert "page_width" in at.session_state, "the page asks for its width, on which its title depends"
    matrix = json.loads(charts(at)[0])
    assert "cannot be seen at 35.3 samples a patch; it needs 12 or fewer" in json.dumps(matrix["title"])
    cells = matrix["layer"][0]
    assert cells["data"]["values"].splitlines()[1].split(",")[2] == "nan"
    assert cells["encoding"]["color"]["legend"] is None, "there is nothing that a scale could tell"
    assert "cannot be seen" in at.warning[0].value
    at = open_page("heads", signal="hourly", view="Ranked")
    assert at.dataframe[0].value["period_prominence"].isna().all()
    assert "cannot be seen" in at.warning[0].value
    at = open_page("head", signal="hourly")
    assert "cannot be seen" in charts(at)[0]
    assert "cannot be seen" in at.warning[0].value
    assert not at.dataframe or "multiple" not in at.dataframe[0].value


@pytest.mark.usefixtures("store")
def test_no_peak_beyond_the_end_of_the_axis_is_listed(open_page: OpenPage) -> None:
    at = open_page("head", signal="full", layer="encoder.0", head="1")
    at.select_slider(key="longest_16").set_value(76).run()
    everything = at.dataframe[0].value["lag"]
    last = int(everything.max() // 16)
    at.select_slider(key="longest_16").set_value(last - 1).run()
    listed = at.dataframe[0].value["lag"] if at.dataframe else []
    assert list(listed) == list(everything[everything <= 16 * (last - 1)])


def test_where_the_axis_ends_before_the_first_peak_what_lies_beyond_it_is_not_denied() -> None:
    def table() -> None:
        from vitime_cache.attention.mock import mock_dataset
        from vitime_cache.charts import HeadView
        from vitime_cache.ui.chart import peaks_table
        from vitime_cache.ui.shared import KEY

        view = HeadView(mock_dataset().isel(signal=0).assign_attrs({KEY: "made up"}), "decoder.0", 0)
        peaks_table([view], "all", period=63.0, side="past", longest=20.0)

    at = AppTest.from_function(table).run()
    assert not at.exception
    assert not at.dataframe
    assert "up to 20 samples" in texts(at)


@pytest.mark.usefixtures("store")
def test_a_signal_and_its_reduction_are_paired(open_page: OpenPage) -> None:
    assert open_page("compare", signal="full").selectbox(key="pick_other").value == "reduced_harmonic"
    assert open_page("compare", signal="reduced_harmonic").selectbox(key="pick_other").value == "full"


def test_pages_open_on_the_head_that_tracks_best_on_the_store_s_sweep_and_say_so(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    at = open_page("head")
    assert "of all heads its curve stands out most one period of 62.83 samples back" in texts(at)
    sweep = [signal for signal in catalogue() if signal.name.startswith("sweep_")][::3]
    build([*signals("full", "reduced_harmonic", "harmonic_63", "white_noise"), *sweep], store, weights)
    at = open_page("head")
    ds = open_store(store)
    found = track_periods(
        ds.lag,
        ds.lag_attention.sel(signal=[signal.name for signal in sweep]),
        [32, 56, 99, 175],
        16.0,
        ds.lag_attention.sel(signal=["white_noise"]),
    )
    layer, head = choose_head(found)
    assert at.selectbox(key="pick_layer").value == str(ds.layer.values[layer])
    assert at.selectbox(key="pick_head").value == head
    assert "its peak moves most closely with the period over this store's sweep" in texts(at)


@pytest.mark.usefixtures("store")
def test_the_library_finds_signals_by_part_of_their_name(open_page: OpenPage) -> None:
    at = open_page()
    assert list(at.dataframe[0].value["signal"]) == ["full", "reduced_harmonic", "harmonic_63", "white_noise"]
    at.text_input(key="find").input("HARM").run()
    assert list(at.dataframe[0].value["signal"]) == ["reduced_harmonic", "harmonic_63"]
    at.text_input(key="find").input("nothing").run()
    assert not at.exception
    assert not any("signal" in table.value for table in at.dataframe)


@pytest.mark.usefixtures("store")
def test_no_page_imports_torch_not_even_to_run_and_save(weights: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from streamlit.testing.v1 import AppTest\n"
        f"from vitime_cache import places; places.WEIGHTS = Path({str(weights.parent)!r})\n"
        "from vitime_cache.ui import question_form; question_form.begin_by_itself = lambda *_: None\n"
        f"at = AppTest.from_file({str(ENTRY)!r}, default_timeout=60).run()\n"
        f"for page in {list(PAGES)}: assert not at.switch_page(f'pages/{{page}}.py').run().exception, page\n"
        "at.switch_page('pages/ask.py'); at.session_state['fold_compose'] = True\n"
        "at.run().button(key='take_composed').click().run()\n"
        "(option,) = at.session_state['own_series']; assert not at.exception and not at.error\n"
        "at.switch_page('pages/library.py').run().button(key=f'save_button_{option}').click().run()\n"
        "assert 'Saved' in at.success[0].value and not at.exception\n"
        "sys.exit('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ENTRY.parent, check=False, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()

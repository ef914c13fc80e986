"""Live runs: every way a series comes in, bad input, the run itself, saving it and finding it again."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from streamlit.testing.v1 import AppTest

from vitime_cache.attention.capture import capture
from vitime_cache.model.checkpoint import load_model
from vitime_cache.series.examples import FAST, MIDDLE, SLOW
from vitime_cache.series.sources import compose
from vitime_cache.store.reader import open_store

OpenPage = Callable[..., AppTest]


def run_model(at: AppTest, name: str) -> AppTest:
    at.text_input(key="name_composed").input(name)
    at.button(key="run").click().run()
    assert not at.exception
    assert not at.error, at.error[0].value
    return at


def save(at: AppTest, run: str, name: str, store: str = "vitime-mini.zarr") -> AppTest:
    at.text_input(key=f"save_name_live:{run}").input(name)
    at.selectbox(key=f"save_store_live:{run}").select(store)
    at.button(key=f"save_button_live:{run}").click().run()
    assert not at.exception
    return at


def test_a_live_run_gives_what_capture_gives(weights: Path, open_page: OpenPage) -> None:
    at = run_model(open_page("live"), "mine")
    live = at.session_state["live_runs"]["live:mine"].dataset
    signal = compose("mine", [SLOW, MIDDLE, FAST])
    expected = capture(load_model(weights, device="cpu"), signal, tokens="all")
    xr.testing.assert_allclose(live.drop_attrs(), expected.drop_attrs())


@pytest.mark.parametrize("page", ["heatmap", "lags", "heads"])
def test_every_page_shows_a_live_run_without_a_store(page: str, open_page: OpenPage) -> None:
    at = run_model(open_page("live"), "mine")
    at.switch_page(f"pages/{page}.py").run()
    assert not at.exception
    assert not at.error
    assert at.selectbox(key="pick_signal").value == "live:mine"
    assert at.get("vega_lite_chart")


def test_a_live_run_that_is_all_there_is_is_not_compared_with_itself(open_page: OpenPage) -> None:
    at = run_model(open_page("live"), "mine")
    at.switch_page("pages/compare.py").run()
    assert not at.exception
    assert any("not compared with itself" in info.value for info in at.info)
    assert not at.get("vega_lite_chart")


@pytest.mark.usefixtures("store")
def test_a_live_run_is_compared_with_a_stored_signal(open_page: OpenPage) -> None:
    at = run_model(open_page("live"), "mine")
    at.query_params["signal"] = "live:mine"
    at.query_params["other"] = "harmonic_63"
    at.switch_page("pages/compare.py").run()
    assert not at.exception
    assert not at.warning
    assert "mine and harmonic_63" in at.get("vega_lite_chart")[2].proto.spec


@pytest.mark.usefixtures("store")
def test_a_saved_run_is_found_again_in_another_session(folder: Path, open_page: OpenPage) -> None:
    at = save(run_model(open_page("live"), "mine"), "mine", "kept")
    assert "Saved as kept" in at.success[0].value
    live = at.session_state["live_runs"]["live:mine"].dataset
    again = open_page("heatmap", signal="kept")
    assert again.selectbox(key="pick_signal").value == "kept"
    stored = open_store(folder / "vitime-mini.zarr").sel(signal="kept")
    np.testing.assert_array_equal(stored.time_attention, live.time_attention)
    np.testing.assert_array_equal(stored.token_attention, live.token_attention)


def test_a_run_can_be_saved_where_no_store_is_yet(folder: Path, open_page: OpenPage) -> None:
    save(run_model(open_page("live"), "mine"), "mine", "first")
    assert [path.name for path in folder.iterdir()] == ["vitime-mini.zarr"]
    assert open_page("heatmap").selectbox(key="pick_signal").options == ["first"]


@pytest.mark.usefixtures("store")
def test_a_name_that_is_taken_or_cannot_be_gets_the_library_s_message(open_page: OpenPage) -> None:
    at = run_model(open_page("live"), "mine")
    assert "full" in save(at, "mine", "full").error[0].value
    assert "name" in save(at, "mine", "two\tcolumns").error[0].value
    assert "Saved" in save(at, "mine", "good").success[0].value


def test_a_run_is_not_saved_into_a_store_of_other_weights(
    folder: Path, built_by_another: Path, open_page: OpenPage
) -> None:
    (folder / "other.zarr").symlink_to(built_by_another)
    at = run_model(open_page("live"), "mine")
    assert "other.zarr" not in at.selectbox(key="save_store_live:mine").options, "links lead out of the folder"
    (folder / "other.zarr").unlink()
    built_by_another.rename(folder / "other.zarr")
    at.run()
    at = save(at, "mine", "kept", "other.zarr")
    (folder / "other.zarr").rename(built_by_another)
    assert "weights" in at.error[0].value


def test_another_series_under_the_name_of_a_run_does_not_replace_it(open_page: OpenPage) -> None:
    at = run_model(open_page("live"), "mine")
    run_model(at, "mine")
    assert list(at.session_state["live_runs"]) == ["live:mine"], "the same series again is the same run"
    at.number_input(key="noise").set_value(1.0).run()
    run_model(at, "mine")
    assert list(at.session_state["live_runs"]) == ["live:mine", "live:mine (2)"]
    assert "mine (2)" in at.info[0].value


def test_a_run_is_not_saved_under_the_name_of_a_live_one(open_page: OpenPage) -> None:
    at = run_model(open_page("live"), "mine")
    assert "not saved" in save(at, "mine", "live:mine").error[0].value


def test_a_run_whose_token_maps_were_too_large_makes_a_store_that_keeps_them(
    folder: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitime_cache.ui.runs.MOST_TOKEN_BYTES", 0)
    at = run_model(open_page("live"), "mine")
    assert "token_attention" not in at.session_state["live_runs"]["live:mine"].dataset
    save(at, "mine", "kept")
    assert open_store(folder / "vitime-mini.zarr").token_attention.notnull().all(), "as the default build would"


def test_harmonics_are_added_and_removed(open_page: OpenPage) -> None:
    at = open_page("live")
    at.button(key="remove_2").click().run()
    at.button(key="remove_1").click().run()
    next(button for button in at.button if button.label == "Add a harmonic").click().run()
    at.number_input(key="period_row_1").set_value(90.0).run()
    run_model(at, "mine")
    assert at.session_state["live_runs"]["live:mine"].signal.harmonics[1].period == 90
    for row in (0, 1):
        at.button(key=f"remove_{row}").click().run()
    assert "zero throughout" in at.error[0].value
    at.number_input(key="noise").set_value(1.0).run()
    assert not at.error


@pytest.mark.parametrize("text", ["1, 2, three", "1 2 inf", "5", "1,,2"])
def test_pasted_text_that_is_no_series_gets_a_message_and_the_page_goes_on(text: str, open_page: OpenPage) -> None:
    at = open_page("live")
    at.button_group(key="way").set_value("paste").run()
    at.text_area(key="pasted").input(text).run()
    assert not at.exception
    assert len(at.error) == 1
    at.text_area(key="pasted").input(" ".join(str(i % 7) for i in range(64))).run()
    assert not at.error
    assert at.button(key="run")


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"x,y\n1,2\n3\n"), ("a.csv", b"\xff\xfe\x00broken"), ("a.csv", b""), ("a.npy", b"\x93NUMPY garbage"),
        ("a.parquet", b"PAR1 no parquet PAR1"), ("a.npy", npy(np.array([1.0, np.nan, 2.0]))), ("a.toml", b"[[signal]]"),
        ("../../evil.npy", npy(np.array(["text", "more"]))),
    ],
)  # fmt: skip
def test_an_upload_that_is_no_series_gets_a_message_and_the_page_goes_on(
    name: str, content: bytes, open_page: OpenPage
) -> None:
    at = open_page("live")
    at.button_group(key="way").set_value("upload").run()
    at.file_uploader(key="upload").upload(name, content).run()
    assert not at.exception
    assert len(at.error) == 1
    at.file_uploader(key="upload").upload("good.npy", npy(np.sin(np.arange(64.0)))).run()
    assert not at.error
    assert at.button(key="run")


def test_a_series_of_an_uploaded_file_is_chosen_and_run(open_page: OpenPage) -> None:
    at = open_page("live")
    at.button_group(key="way").set_value("upload").run()
    table = "a,b\n" + "\n".join(f"{np.sin(i / 9)},{i % 12}" for i in range(96))
    at.file_uploader(key="upload").upload("pair.csv", table.encode()).run()
    at.selectbox(key="series_in_file").select_index(1).run()
    at.button(key="run").click().run()
    assert not at.exception
    np.testing.assert_array_equal(at.session_state["live_runs"]["live:b"].signal.values[:3], [0, 1, 2])


def test_of_an_upload_the_last_samples_are_taken_under_a_name_of_one_s_own(open_page: OpenPage) -> None:
    at = open_page("live")
    at.button_group(key="way").set_value("upload").run()
    at.file_uploader(key="upload").upload("long.npy", npy(np.arange(96.0) % 12)).run()
    next(number for number in at.number_input if number.label == "Use the last samples").set_value(60).run()
    next(text for text in at.text_input if text.label == "Name").input("mine").run()
    at.button(key="run").click().run()
    assert not at.exception
    signal = at.session_state["live_runs"]["live:mine"].signal
    np.testing.assert_array_equal(signal.values, (np.arange(96.0) % 12)[-60:])


def test_without_weights_a_live_run_says_where_they_belong(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitime_cache.places.WEIGHTS", tmp_path / "nowhere")
    at = open_page("live")
    assert not at.exception
    assert "no weights" in at.error[0].value


def test_a_session_keeps_its_latest_runs_only(open_page: OpenPage) -> None:
    at = open_page("live")
    for i in range(10):
        run_model(at, f"run {i}")
    assert list(at.session_state["live_runs"]) == [f"live:run {i}" for i in range(2, 10)]


def test_the_series_is_shown_before_it_is_run(open_page: OpenPage) -> None:
    at = open_page("live")
    at.text_input(key="name_composed").input("mine").run()
    assert "The series: mine" in at.get("vega_lite_chart")[0].proto.spec

"""The page Compare: two signals, two weights, two periods, and pairs of them that nobody planned for."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.conftest import SMALL, signals, write_weights
from tests.app.test_evidence import made
from tests.app.test_pages import charts, texts
from vitime_cache import places
from vitime_cache.attention import schema
from vitime_cache.attention.measures import head_measures
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.charts import HeadView
from vitime_cache.compare.forecasts import ForecastGap
from vitime_cache.compare.periods import compare_periods, shares
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.model.checkpoint import SHIPPED_NAME
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.signal import Signal
from vitime_cache.store.build import build
from vitime_cache.store.verdicts import keep_verdict
from vitime_cache.ui import other_weights, own
from vitime_cache.ui.chart import SERIES, _datasets, _subject
from vitime_cache.ui.shared import KEY
from vitime_cache.ui.two_signals import called
from vitime_cache.ui.two_weights import _supports

OpenPage = Callable[..., AppTest]
FINER = ViTimeConfig(**{**SMALL.to_dict(), "patch_height": 8})  # the same layers, heads and columns, more tokens


@pytest.fixture
def two_files(weights: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights with the shipped file and one more."""
    place = tmp_path_factory.mktemp("two")
    shutil.copy(weights, place / SHIPPED_NAME)
    write_weights(FINER, place / "adapted.safetensors")
    (place / "broken.pth").write_bytes(b"no weights")
    monkeypatch.setattr(places, "WEIGHTS", place)
    return place


def titles(at: AppTest) -> list[str]:
    return [json.loads(chart)["title"]["text"] for chart in charts(at)]


@pytest.mark.usefixtures("store")
def test_two_signals_open_on_the_gallery_of_differences_and_a_click_chooses_the_head(open_page: OpenPage) -> None:
    at = open_page("compare", signal="full")
    assert titles(at)[0] == "Where every head differs: full and reduced_harmonic"
    assert "Differ most: " in texts(at)
    assert "what remains explains" in texts(at) or "kept" in texts(at)
    at = open_page("compare", signal="full", layer="encoder.1", head="2")
    assert [element.value for element in at.subheader] == ["encoder.1, head 2"]
    assert titles(at)[1:3] == [f"{name}, encoder.1, head 2" for name in ("full", "reduced_harmonic")]


@pytest.mark.usefixtures("store")
def test_an_absent_peak_is_blank_in_the_table(open_page: OpenPage) -> None:
    at = open_page("compare", signal="full", other="white_noise", layer="encoder.0", head="1")
    table = at.dataframe[0].value
    lone = table[table["status"].isin(["first only", "second only"])]
    assert len(lone)
    assert (lone[["first", "second"]].isna().sum(axis=1) == 1).all()
    assert not (table["multiple"] == 0).any()


@pytest.mark.usefixtures("store")
def test_two_signals_of_one_name_are_told_apart_in_the_curves_and_in_words(open_page: OpenPage) -> None:
    option = own.keep(Signal("full", np.sin(np.arange(512) * 2 * np.pi / 50), 720))
    at = open_page("compare", store="vitime-mini.zarr", q=option.removeprefix(own.PREFIX), other="full")
    assert not at.error, at.error[0].value
    assert "full (second)" in texts(at)
    assert "and full is recorded" not in texts(at)
    assert "went through" not in texts(at), "both are of one network"
    curves = next(chart for chart in charts(at) if "lag to the past" in chart)
    assert "full (first)" in curves


def test_two_weights_that_a_store_holds_are_found_by_the_samples_and_not_by_the_name(
    store: Path, folder: Path, two_files: Path, open_page: OpenPage
) -> None:
    assert store.exists()
    [signal] = signals("full")
    object.__setattr__(signal, "name", "another name")
    build([signal], folder / "adapted.zarr", two_files / "adapted.safetensors")
    at = open_page("compare", store="vitime-mini.zarr", signal="full", compare="Two weights")
    assert not at.exception
    assert at.selectbox(key="pick_against").options == ["adapted, in adapted.zarr"], "each weights once"
    assert titles(at)[:2] == ["Both forecasts of full", "Where every head differs: vitime-mini and adapted"]
    assert "standard deviations of the history apart" in texts(at)
    assert "numbered by chance" in texts(at)
    assert not (folder / own.FOLDER).exists(), "nothing had to be run"
    mine = own.keep(Signal("mine", np.sin(np.arange(512) * 2 * np.pi / 50), 720)).removeprefix(own.PREFIX)
    at = open_page("compare", store="adapted.zarr", q=mine, other="another name")
    assert "mine went through vitime-mini, another name went through adapted" in texts(at)
    assert "numbered by chance" in texts(at)


def test_the_numbers_of_a_chart_name_what_it_is_about() -> None:
    full, other = (mock_dataset().sel(signal=name) for name in ("full", "reduced_harmonic"))
    one, two = (full.assign_attrs(weights=name, weights_sha256=name) for name in ("one", "two"))
    as_weights = [
        HeadView(called(ds.assign_attrs({KEY: "a"}), ds.weights).assign_attrs({SERIES: "full"}), "decoder.0", 1)
        for ds in (one, two)
    ]
    verdict = mock_verdict(SMALL, "full", 31.4)
    head = {"layer": "decoder.0", "head": "1"}
    for args, told in (
        ((HeadView(full, "decoder.0", 1),), {"signal": "full"} | head),
        ((HeadView(full, "decoder.0", 1, "ink"),), {"signal": "full"} | head | {"queries": "by ink"}),
        ((full, other), {"signal": "full and reduced_harmonic"}),
        ((one, two), {"signal": "full", "weights": "one and two"}),
        ((as_weights,), {"signal": "full", "weights": "one and two"} | head),
        ((as_weights[1],), {"signal": "full", "weights": "two"} | head),
        ((full, head_measures(full)), {"signal": "full"}),
        ((verdict, "decoder.0", 1), {"signal": "full"} | head | {"period": "31.4"}),
        ((shares(compare_periods(verdict, mock_verdict(SMALL, "full", 64.0))), ("a", "b")), {}),
    ):
        assert _subject(args) == told
    assert [schema.name_of(ds) for ds in _datasets((as_weights,))] == ["full", "full"], "not their weights"
    assert len(_datasets((verdict, "decoder.0", 1))) == 1
    assert len(_datasets((full, head_measures(full)))) == 1


def test_of_two_networks_that_err_alike_neither_is_called_nearer() -> None:
    said = [" ".join(_supports(ForecastGap(0.1, 0.2, 0.5, second), ("a", "b"))) for second in (0.4, 0.5, 0.6)]
    assert [re.findall(r"stretch (.*) to the actual", each) for each in said] == [
        ["b is nearer"], ["both are equally near"], ["a is nearer"],
    ]  # fmt: skip


@pytest.mark.usefixtures("store")
def test_other_weights_at_hand_are_run_on_the_signal_once_and_kept(
    folder: Path, two_files: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert two_files.exists()
    at = open_page("compare", signal="full", compare="Two weights")
    assert not at.exception
    assert at.selectbox(key="pick_against").options == ["adapted, run here"], "a file that is no weights is none"
    assert titles(at)[0] == "Both forecasts of full"
    assert len(list((folder / own.FOLDER).iterdir())) == 1
    monkeypatch.setattr(other_weights, "run_under", lambda *_: pytest.fail("it is run a second time"))
    again = open_page("compare", signal="full", compare="Two weights")
    assert not again.exception
    assert charts(again) == charts(at)


def test_networks_of_other_heads_are_compared_by_their_forecasts_alone(
    store: Path, built_by_another: Path, folder: Path, open_page: OpenPage
) -> None:
    assert store.exists()
    shutil.copytree(built_by_another, folder / "other.zarr")
    at = open_page("compare", store="vitime-mini.zarr", signal="full", compare="Two weights")
    assert not at.exception
    assert titles(at) == ["Both forecasts of full"]
    assert "heads of one network have no counterparts in the other" in at.info[0].value
    assert "numbered by chance" not in texts(at)


@pytest.mark.usefixtures("store")
def test_without_other_weights_the_page_says_what_to_do(open_page: OpenPage) -> None:
    at = open_page("compare", compare="Two weights")
    assert not at.exception
    assert "No weights other than" in at.info[0].value
    assert not charts(at)


def test_two_periods_show_both_answers_and_which_heads_carry_which(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    first = made(weights, "full")
    keep_verdict(store, first)
    at = open_page("compare", signal="full", compare="Two periods")
    assert "only 62.8 samples has been asked about" in at.info[0].value
    question = vschema.facts(first, "question") | {"period": 31.4}
    keep_verdict(store, vschema.with_facts(mock_verdict(SMALL, "full", 31.4, kind="not shown"), question=question))
    at = open_page("compare", signal="full", compare="Two periods")
    assert not at.exception
    assert at.success[0].value.startswith("Yes, mostly")
    assert at.warning[0].value.startswith("Not shown")
    assert "62.8 = 2 × 31.4" in texts(at)
    assert titles(at).count("Influence: what the forecast follows") == 2
    assert "Which heads carry which period" in titles(at)
    for key in ("period_shares", "influence_a", "influence_b"):
        at.session_state[f"{key}_files"] = True
    at.run()
    assert not at.exception
    files = [button.proto.url for button in at.get("download_button")]
    assert len(files) == 12, "four of each of three charts"
    at.selectbox(key="pick_second_period").select("31.4").run()
    assert not at.exception
    assert "both verdicts are about 31.4 samples" in at.error[0].value


@pytest.mark.usefixtures("store")
def test_a_series_of_ones_own_is_compared_like_any_other(two_files: Path, open_page: OpenPage) -> None:
    assert two_files.exists()
    at = open_page("ask")
    at.text_area(key="pasted").input(" ".join(f"{np.sin(i / 5):.4f}" for i in range(400))).run()
    for kind in ("Two signals", "Two weights", "Two periods"):
        at = at.switch_page("pages/compare.py").run()
        at.button_group(key="compare").set_value(kind).run()
        assert not at.exception, kind
        assert not at.error, kind

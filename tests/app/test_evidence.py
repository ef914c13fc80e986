"""The page Ask: asking a question, its way to an answer, what is shown of a verdict, and badges elsewhere."""

from __future__ import annotations

import json
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import pytest
import streamlit as st
import xarray as xr
from streamlit.testing.v1 import AppTest

from tests.app.conftest import SMALL
from vitime_cache.charts import AXIS
from vitime_cache.charts.style import KEEP
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.levels.table import CLAIMS, LEVEL
from vitime_cache.evidence.question import series_hash
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.evidence.verdict.report import with_words
from vitime_cache.model.checkpoint import peek
from vitime_cache.series.examples import catalogue
from vitime_cache.series.signal import Signal
from vitime_cache.store.build import build
from vitime_cache.store.evidence_groups import remove_groups
from vitime_cache.store.verdicts import keep_verdict, stored_verdicts
from vitime_cache.ui import chart as chart_ui
from vitime_cache.ui import questions, width
from vitime_cache.ui.stores import stores
from vitime_cache.ui.terms import TERMS

OpenPage = Callable[..., AppTest]


def texts(at: AppTest) -> str:
    """All words of a page."""
    kinds = (at.markdown, at.caption, at.info, at.warning, at.error, at.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\N{WORD JOINER}", "")


def charts(at: AppTest) -> list[str]:
    return [element.proto.spec for element in at.get("vega_lite_chart")]


@pytest.fixture(scope="session")
def built_with_verdict(built: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copytree(built, tmp_path_factory.mktemp("verdict") / built.name))
    keep_verdict(path, made(weights, "full"))
    return path


@pytest.fixture
def verdict_kept(built_with_verdict: Path, folder: Path) -> Path:
    """A store that holds a made-up verdict on `full` and its 62.8 samples."""
    return Path(shutil.copytree(built_with_verdict, folder / built_with_verdict.name))


def made(weights: Path, signal: str, **options: Any) -> xr.Dataset:
    """A made-up verdict on a signal of the catalogue, known by its samples as a real one is."""
    config, info = peek(weights)
    assert config == SMALL
    known = next(each for each in catalogue() if each.name == signal)
    assert known.future is not None
    series = series_hash(np.concatenate((known.values, known.future)))
    verdict = mock_verdict(SMALL, signal, 62.8, **options)
    question = {"weights": info.name, "weights_sha256": info.sha256, "series_sha256": series}
    return with_words(vschema.with_facts(verdict, question=vschema.facts(verdict, "question") | question))


def answered(at: AppTest, patience: float = 240) -> AppTest:
    """Wait until no question is under way, and show the page again."""
    end = time.monotonic() + patience
    while any(not each.ended for each in questions.known().values()) and time.monotonic() < end:
        time.sleep(0.05)
    return at.run()


@pytest.mark.usefixtures("verdict_kept")
def test_a_verdict_is_shown_as_its_headline_what_it_does_not_say_its_pictures_and_its_heads(
    open_page: OpenPage,
) -> None:
    at = open_page("ask", signal="full")
    assert not at.exception
    assert at.success[0].value.startswith("Yes, mostly: 84 % (74 … 94)")
    assert "Not shown by this: that it is because of the period" in texts(at)
    drawn = charts(at)
    for words in (
        "Forecast with and without that past: full", "Influence: what", "Attention: where", "What attention carries",
        "The few heads", "What is shown of each head", "Rank correlation of looking with mattering",
        "Used: decoder.0, head 2", "Looks: decoder.0, head 2", "Tracks: decoder.0, head 2",
    ):  # fmt: skip
        assert any(words in chart for chart in drawn), words
    assert [button.label for button in at.get("download_button")]


@pytest.mark.usefixtures("verdict_kept")
def test_no_file_of_an_answer_names_a_folder_of_the_server(
    folder: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, bytes] = {}

    def make(_label: str, content: Callable[[], bytes], name: str, *_: object, **__: object) -> None:
        files[name] = content() if name.endswith("json") else b""  # the page has the same inside

    monkeypatch.setattr(st, "download_button", make)
    open_page("ask", signal="full", unfolded=False)
    assert set(files) == {f"full-verdict.{ending}" for ending in ("html", "json", "png", "csv")}
    assert not [name for name, content in files.items() if str(folder).encode() in content]


@pytest.mark.parametrize(
    ("page", "chart", "name", "columns"),
    [
        ("ask", "window", "window_picture-full", "signal,sample"),
        ("head", "layers", "layers_in_order-full-1", "signal,layer,head"),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_file_of_a_chart_and_its_numbers_say_what_they_are_about(
    page: str, chart: str, name: str, columns: str, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, Callable[[], bytes]] = {}
    monkeypatch.setattr(st, "download_button", lambda _label, content, name, *_, **__: files.update({name: content}))
    at = open_page(page, signal="full", layer="decoder.0", head="1")
    at.session_state[f"{chart}_files"] = True
    assert not at.run().exception
    assert f"{name}.png" in files
    assert files[f"{name}.csv"]().decode().startswith(columns)


@pytest.mark.usefixtures("store")
def test_a_question_proposes_periods_and_shows_the_stretch_it_would_be_asked_on(open_page: OpenPage) -> None:
    at = open_page("ask", signal="full")
    assert not at.exception
    period = next(box for box in at.text_input if box.label == "Period P")
    assert any(abs(float(period.value) - each) < 1 for each in (62.8, 31.4, 6.28))
    assert "The stretch asked about: full" in charts(at)[0]
    assert re.fullmatch(r"Ask about [\d.]+ samples", at.button(key="ask").label)
    period.set_value("5000").run()
    assert not at.exception
    assert "5000 samples" in texts(at)
    assert all(button.key != "ask" for button in at.button), "a period that cannot be seen cannot be asked about"


@pytest.mark.usefixtures("store")
def test_where_no_period_stands_out_the_page_says_against_which_noise_and_asks_for_one(open_page: OpenPage) -> None:
    at = open_page("ask", signal="white_noise")
    said = "No period of this series stands out from noise. Enter the period to ask about."
    assert said in texts(at)


def test_a_question_is_answered_kept_in_the_store_and_found_again(store: Path, open_page: OpenPage) -> None:
    st.cache_resource.clear()
    at = open_page("ask", signal="harmonic_63")
    at.button(key="ask").click().run()
    assert not at.exception
    other = open_page("head", signal="harmonic_63")  # the page is left
    assert not other.exception
    at = answered(open_page("ask", signal="harmonic_63"))
    assert not at.exception
    assert not at.error, at.error[0].value
    assert any("What is shown of each head" in chart for chart in charts(at))
    (kept,) = stored_verdicts(store)
    assert kept.complete
    assert "-badge[" in texts(open_page("head", signal="harmonic_63", layer="encoder.0", head="0"))


@pytest.mark.usefixtures("store")
def test_a_question_can_be_stopped(open_page: OpenPage) -> None:
    at = open_page("ask", signal="harmonic_63")
    at.button(key="ask").click().run()
    if stop := [button for button in at.button if button.label == "Stop"]:
        stop[0].click().run()
        at = answered(open_page("ask", signal="harmonic_63"))
        assert "samples: stopped before it was answered" in texts(at)
        assert at.button(key="ask")


class SlowEngine:
    """Answers with a made-up verdict, a level at a time, as the test lets it."""

    def __init__(self) -> None:
        self.settings: dict[str, object] = {}
        self.forecast = threading.Event()
        self.levels: queue.Queue[str | None] = queue.Queue()
        self.told = threading.Event()

    def __call__(self) -> SlowEngine:
        return self

    def ask(
        self, signal: Signal, period: float, _weights: object, settings: dict[str, object], _store: object,
        progress: Callable[[float, str], None], partial: Callable[[xr.Dataset], None],
    ) -> xr.Dataset:  # fmt: skip
        self.settings = settings
        progress(0.0, "waiting for the model")
        assert self.forecast.wait(60)
        for i, level in enumerate(vschema.STAGES):
            try:
                progress(0.1 * i, LEVEL[level].title)
                if i == 0:
                    partial(mock_verdict(SMALL, signal.name, period, stages=()))
            finally:
                self.told.set()
            asked_for = self.levels.get(timeout=60)
            if asked_for is None:
                raise VitimeError("the test is over")
            assert asked_for == level
            verdict = mock_verdict(SMALL, signal.name, period, stages=vschema.STAGES[: i + 1])
            partial(verdict)
        return verdict

    def draw(self) -> None:
        """Let the model make its forecast, and wait until it works on the first level."""
        self.forecast.set()
        assert self.told.wait(60)

    def finish(self, level: str) -> None:
        """Let it finish a level, and wait until it works on the next."""
        self.draw()
        self.told.clear()
        self.levels.put(level)
        if level != vschema.STAGES[-1]:
            assert self.told.wait(60)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowEngine]:
    engine = SlowEngine()
    monkeypatch.setattr(questions, "engine", engine)
    yield engine
    engine.forecast.set()
    engine.levels.put(None)


@pytest.mark.usefixtures("store")
def test_a_verdict_is_shown_level_by_level_while_its_question_runs_in_this_tab_and_in_another(
    slow: SlowEngine, open_page: OpenPage
) -> None:
    at = open_page("ask", signal="harmonic_63")
    at.button(key="ask").click().run()
    assert "No answer yet" in texts(at)
    assert "Still to come: influence; mechanism; the few heads; each head;" in texts(at)
    assert "The stretch asked about: harmonic_63" in charts(at)[0], "drawn at once"
    slow.draw()
    at.run()
    assert "No answer yet" in texts(at)
    assert "Forecast: harmonic_63" in charts(at)[0], "the forecast needs no level"
    assert "The stretch asked about: harmonic_63" in charts(at)[1]
    assert "influence, now] Still to come: mechanism; the few heads; each head;" in texts(at)
    assert all(button.key != "ask" for button in at.button), "it is under way"
    slow.finish("influence")
    away = open_page("head", signal="harmonic_63")  # the page is left; nothing of a partial verdict is a badge
    assert any("No verdict on" in link.proto.label for link in away.get("page_link"))
    for tab in (at.run(), open_page("ask", signal="harmonic_63")):
        assert not tab.exception
        assert "mechanism, now] Still to come: the few heads;" in texts(tab)
        assert any("Not answered yet" in box.value for box in tab.info)
        drawn = charts(tab)
        assert "No head has been tested by itself so far" in texts(tab)
        assert not any("What is shown of each head" in chart for chart in drawn), "an empty table"
        assert not any(word in chart for chart in drawn for word in ("Tracks:", "Used:", "against mattering:"))
        assert "partial" not in texts(tab)
    slow.finish("mechanism")
    assert "the few heads, now] Still to come: each head;" in texts(at.run())
    assert at.success[0].value.startswith("Yes, mostly")
    assert any("Influence: what" in chart for chart in charts(at)), "with the headline, before heads are searched"
    for level in vschema.STAGES[2:]:
        slow.finish(level)
    at = answered(at)
    assert "Still to come" not in texts(at)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("limit", [None, 5.0])
def test_a_question_takes_as_long_as_it_takes_or_as_a_person_allows(
    slow: SlowEngine, open_page: OpenPage, limit: float | None
) -> None:
    at = open_page("ask", signal="harmonic_63")
    if limit is not None:
        at.number_input(key="budget").set_value(limit).run()
    at.button(key="ask").click().run()
    for level in vschema.STAGES:
        slow.finish(level)
    answered(at)
    assert slow.settings["budget"] == limit


@pytest.mark.usefixtures("store")
def test_what_a_stopped_question_had_found_stays_and_says_what_it_lacks(slow: SlowEngine, open_page: OpenPage) -> None:
    at = open_page("ask", signal="harmonic_63")
    at.button(key="ask").click().run()
    slow.finish("influence")
    at.run()
    next(button for button in at.button if button.label == "Stop").click().run()
    slow.finish("mechanism")
    at = answered(at)
    assert not at.exception
    assert "stopped before it was answered" in texts(at)
    assert "not run are the few heads; each head; looking;" in texts(at)
    assert "No head has been tested by itself so far" in texts(at)
    assert at.button(key="ask")
    again = open_page("ask", signal="harmonic_63")
    assert "not run are the few heads; each head; looking;" in texts(again), "in any tab, and after a reload"
    again.button(key="rest").click().run()
    (asked,) = questions.known().values()
    assert (asked.window.history, asked.window.horizon) == (512, 720), "the stretch of what is there already"
    assert not asked.ended
    assert not [button for button in again.run().button if button.key == "rest"], "while it runs"


def test_a_stopped_question_asked_again_shows_at_once_what_it_had_found(
    store: Path, weights: Path, slow: SlowEngine, open_page: OpenPage
) -> None:
    at = open_page("ask", signal="harmonic_63")
    at.button(key="ask").click().run()
    (asked,) = questions.known().values()
    of = {"period": asked.period, "history": asked.window.history, "horizon": asked.window.horizon}
    found = made(weights, "harmonic_63", stages=("influence",))
    question = vschema.facts(found, "question") | of
    keep_verdict(store, with_words(vschema.with_facts(found, question=question)))
    next(button for button in at.button if button.label == "Stop").click().run()
    slow.draw()
    at = answered(at)
    assert "it goes on after its last finished level" in at.info[0].value
    slow.told.clear()
    slow.forecast.clear()
    at.button(key="ask").click().run()
    for tab in (at, open_page("ask", signal="harmonic_63")):
        assert "No answer yet" not in texts(tab)
        assert any("Not answered yet" in box.value for box in tab.info)
        assert "influence] Still to come: mechanism;" in texts(tab)


@pytest.mark.usefixtures("store")
def test_the_library_shows_what_a_running_question_has_found_so_far(slow: SlowEngine, open_page: OpenPage) -> None:
    at = open_page("ask", signal="harmonic_63")
    at.button(key="ask").click().run()
    assert open_page("library").dataframe[0].value["answer"].tolist() == [""]
    for level in ("influence", "mechanism"):
        slow.finish(level)
    said = at.run().success[0].value.replace("\N{WORD JOINER}", "")
    assert [row.replace("\N{WORD JOINER}", "") for row in open_page("library").dataframe[0].value["answer"]] == [said]


def test_a_question_that_the_store_has_an_answer_to_costs_nothing(store: Path, open_page: OpenPage) -> None:
    at = open_page("ask", signal="harmonic_63")
    at.button(key="ask").click().run()
    answered(at)
    for _ in range(2):
        at.button(key="ask").click().run()
        began = time.monotonic()
        at = answered(at)
        assert time.monotonic() - began < 3
    assert not [each.value for each in at.error]
    assert len(stored_verdicts(store)) == 1


@pytest.mark.usefixtures("verdict_kept")
def test_a_new_question_is_looked_at_and_the_verdict_before_it_can_be_again(
    slow: SlowEngine, open_page: OpenPage
) -> None:
    at = open_page("ask", signal="full")
    next(box for box in at.text_input if box.label == "Period P").set_value("100").run()
    at.button(key="ask").click().run()
    slow.finish("influence")
    at.run()
    assert any("whole periods of 100 samples back" in box.value for box in at.info)
    picker = at.get("button_group")[0]
    assert not at.exception, picker
    assert "Still to come" in texts(open_page("ask", signal="full"))
    assert "Still to come" not in texts(open_page("ask", signal="harmonic_63"))


@pytest.mark.usefixtures("verdict_kept")
def test_other_pages_show_the_verdict_on_a_head_as_badges(open_page: OpenPage) -> None:
    for page in ("head", "compare"):
        said = texts(open_page(page, signal="full", layer="decoder.0", head="2"))
        assert re.search(r":green-badge\[✓ matters [\d.]+\]", said), page
        said = texts(open_page(page, signal="full", layer="encoder.0", head="0"))
        assert ":orange-badge[? matters" in said, page
    said = texts(open_page("heads", signal="full"))
    assert ":green-badge[looks: 4]" in said
    assert "a period of 62.8 samples" in said


@pytest.mark.usefixtures("verdict_kept")
def test_the_tables_of_the_library_fit_the_page_and_show_their_longest_text_whole(open_page: OpenPage) -> None:
    shown = open_page("library").dataframe
    (answer,) = shown[0].value["answer"]
    assert len(answer) > 200
    for table, long in zip(shown, ("answer", "description", "note"), strict=True):
        columns = json.loads(table.proto.columns)
        wide = {name: column["width"] for name, column in columns.items() if not column.get("hidden")}
        longest = max(len(wrap(text, wide[long] // 7)) for text in table.value[long])
        assert table.proto.row_height >= 18 * longest, (long, "7 pixels a letter")
        assert sum(wide.values()) <= 880, (long, "the width of a page of 1280")


@pytest.mark.parametrize("page", ["ask", "heads", "head", "compare"])
@pytest.mark.usefixtures("verdict_kept")
def test_on_a_phone_no_title_of_a_chart_is_longer_than_the_page_is_wide(
    page: str, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(width, "USUAL", 340)
    at = open_page(page, signal="full")
    assert not at.exception
    drawn = [json.loads(chart) for chart in charts(at)]
    assert {chart["background"] for chart in drawn} <= {chart_ui.PAGE["light"]}, "no transparent one, for its PNG"
    maps = [chart for chart in drawn if chart.get("autosize") == KEEP and "layer" in chart]
    assert all(chart["width"] + AXIS <= 340 for chart in maps)
    assert not any('"orient": "right"' in json.dumps(chart["layer"]) for chart in maps), "no legend beside a map"
    for title in filter(None, (chart.get("title") for chart in drawn)):
        for name, letter in (("text", 7.6), ("subtitle", 5.8)):
            lines = [title[name]] if isinstance(title[name], str) else title[name]
            assert max(len(line) for line in lines) * letter <= 340, lines


@pytest.mark.parametrize("page", ["ask", "heads", "head", "compare", "library"])
@pytest.mark.usefixtures("verdict_kept")
def test_each_term_is_explained_on_hovering_where_it_first_stands_on_a_page(page: str, open_page: OpenPage) -> None:
    at = open_page(page, signal="full")
    said = [each for each in at.main if each.type in ("markdown", "caption") and not explains_itself(each.value)]
    for start, (name, meaning) in TERMS.items():
        first = next((each for each in said if re.search(rf"\b{start}", each.value, re.IGNORECASE)), None)
        assert first is None or f"**{name}**: {meaning}" in (first.proto.help or ""), (start, first.value)


def explains_itself(text: str) -> bool:
    """Whether a text is the one that explains the terms, in bold."""
    return "**patch**" in text


def test_what_no_level_has_tested_is_not_counted_as_none(store: Path, weights: Path, open_page: OpenPage) -> None:
    keep_verdict(store, made(weights, "full", stages=vschema.STAGES[:3]))
    said = texts(open_page("heads", signal="full"))
    assert "[matters: –]" in said
    assert "[matters: 0]" not in said


def framed(at: AppTest) -> tuple[str, int]:
    """The head in the frame of the picture of all heads."""
    picture = json.loads(next(chart for chart in charts(at) if "Every head's map" in chart))
    layer, head = picture["layer"][-1]["data"]["values"][0].values()
    return layer, head


def picked(at: AppTest) -> tuple[str, int]:
    """The head that the page Head shows."""
    return at.selectbox(key="pick_layer").value, at.selectbox(key="pick_head").value


@pytest.mark.parametrize("visited_before", [False, True])
def test_heads_and_head_begin_on_the_head_that_the_answer_about_the_period_rests_on(
    store: Path, weights: Path, open_page: OpenPage, visited_before: bool
) -> None:
    at = open_page("head", signal="full")
    without = picked(at)
    assert framed(open_page("heads", signal="full")) == without
    verdict = made(weights, "full")
    rank = verdict["set_rank"].values.copy()
    rank[:] = np.nan
    rank[0, 2], rank[1, 1] = 1, 2
    keep_verdict(store, verdict.assign(set_rank=(verdict["set_rank"].dims, rank)))
    if not visited_before:
        at = open_page("head", signal="full")
    chosen = str(verdict["layer"].values[0]), 2
    assert chosen != without
    at.run()
    assert picked(at) == chosen
    assert "the answer rests on it most" in texts(at)
    assert framed(at.switch_page("pages/heads.py").run()) == chosen
    assert picked(at.switch_page("pages/head.py").run()) == chosen
    at.selectbox(key="pick_head").select(3).run()
    assert picked(at.switch_page("pages/compare.py").run())[1] == 3, "a choice by hand is kept"


def test_one_head_is_not_spoken_of_as_several(store: Path, weights: Path, open_page: OpenPage) -> None:
    verdict = made(weights, "full")
    verdict["asked"][:], verdict["asked"][0, 0] = False, True
    keep_verdict(store, verdict)
    assert "Of 1 head asked about" in texts(open_page("heads", signal="full"))
    assert "Tested on one window and 12 heads" in texts(open_page("ask", signal="full"))


def test_a_series_that_is_only_called_like_a_stored_signal_is_not_that_signal(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    verdict = made(weights, "full")
    stranger = vschema.facts(verdict, "question") | {"series_sha256": "0" * 64}
    keep_verdict(store, vschema.with_facts(verdict, question=stranger))
    at = open_page("ask", signal="full")
    assert not at.success
    assert any("No verdict on" in link.proto.label for link in open_page("heads", signal="full").get("page_link"))


def test_where_no_period_is_looked_at_the_latest_verdict_is_shown_with_its_own(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    at = open_page("head", signal="white_noise", layer="decoder.0", head="0")
    assert any("No verdict on this signal yet" in link.proto.label for link in at.get("page_link"))
    keep_verdict(store, made(weights, "white_noise"))
    at.run()
    assert at.text_input(key="period_white_noise").value == ""
    assert "a period of 62.8 samples: :green-badge" in texts(at)


@pytest.mark.usefixtures("store")
def test_the_proposal_marked_is_the_period_that_is_asked_about(open_page: OpenPage) -> None:
    at = open_page("ask", signal="full")
    period = next(box for box in at.text_input if box.label == "Period P")
    proposals = next(group for group in at.button_group if "stand out" in group.label)
    assert proposals.value == 0
    proposals.set_value(1).run()
    period = next(box for box in at.text_input if box.label == "Period P")
    assert float(period.value) == pytest.approx(31.4, abs=0.1)
    period.set_value("100").run()
    assert next(group for group in at.button_group if "stand out" in group.label).value is None


@pytest.mark.usefixtures("verdict_kept")
def test_heads_can_be_ranked_by_the_figure_of_any_claim(open_page: OpenPage) -> None:
    at = open_page("heads", signal="full", view="Ranked")
    options = at.selectbox(key="measure").options
    assert sum("the figure of this claim" in option for option in options) == len(CLAIMS)
    at.selectbox(key="measure").select("matters_figure").run()
    assert not at.exception
    assert at.dataframe[0].value.iloc[0]["head"] == 2


@pytest.mark.usefixtures("verdict_kept")
def test_a_verdict_on_another_period_or_signal_is_no_badge(open_page: OpenPage) -> None:
    at = open_page("head", signal="full", layer="decoder.0", head="0")
    at.text_input(key="period_full").set_value("120").run()
    assert "matters" not in texts(at)
    assert "matters" not in texts(open_page("head", signal="harmonic_63", layer="decoder.0", head="0"))


def test_pages_keep_what_they_know_of_a_store_while_verdicts_come_and_go(verdict_kept: Path) -> None:
    def known() -> xr.Dataset:
        return stores()[verdict_kept.name].signal("full")

    before, root = known(), (verdict_kept / "zarr.json").read_bytes()
    remove_groups(verdict_kept, [kept.group for kept in stored_verdicts(verdict_kept)])
    assert (verdict_kept / "zarr.json").read_bytes() != root
    assert known() is before


def test_a_damaged_verdict_is_said_and_the_page_goes_on(verdict_kept: Path, open_page: OpenPage) -> None:
    (kept,) = stored_verdicts(verdict_kept)
    for chunk in (verdict_kept / kept.group / "figure").rglob("*"):
        if chunk.is_file() and chunk.name != "zarr.json":
            chunk.write_bytes(b"broken")
    at = open_page("ask", signal="full")
    assert not at.exception
    assert "damaged" in texts(at)
    assert at.button(key="ask")


def hourly(folder: Path, weights: Path) -> None:
    table = Signal("load", np.sin(np.arange(600) * 2 * np.pi / 24) + 9, 120, sample_seconds=3600.0)
    build([table, replace(table, name="untimed", sample_seconds=0.0)], folder / "hourly.zarr", weights)


def links(at: AppTest) -> str:
    return " ".join(link.proto.label for link in at.get("page_link"))


@pytest.mark.parametrize("page", ["ask", "head"])
def test_a_period_is_typed_in_samples_or_in_time_and_lives_in_the_address(
    page: str, folder: Path, weights: Path, open_page: OpenPage
) -> None:
    hourly(folder, weights)
    for typed in ("24", "24h", "1 day", "1d", " 24 samples "):
        at = open_page(page, signal="load")
        next(box for box in at.text_input if box.label == "Period P").set_value(typed).run()
        assert not at.exception
        assert not at.warning, typed
        assert "24 samples (24 hours)" in (at.button(key="ask").label if page == "ask" else links(at)), typed
    if page == "head":
        for address in ("1 day", "24.0"):  # as it is written there now, and as it was by the box for numbers before
            assert "24 samples (24 hours)" in links(open_page(page, signal="load", period_load=address))


@pytest.mark.parametrize("page", ["ask", "head"])
def test_what_is_no_period_is_one_line_that_says_why(
    page: str, folder: Path, weights: Path, open_page: OpenPage
) -> None:
    hourly(folder, weights)
    for signal, typed, words in (
        ("untimed", "1 day", "the spacing of the samples is not known: give '1 day' in samples"),
        ("load", "soon", "'soon' is not a span such as 24, 24h, 1d or '2 weeks'"),
        ("load", "1 minute", "a period spans at least 2 samples, got '1 minute'"),
        ("load", "<b>1</b>", "is not a span such as"),
    ):
        at = open_page(page, signal=signal)
        next(box for box in at.text_input if box.label == "Period P").set_value(typed).run()
        assert not at.exception
        assert words in at.warning[0].value.replace("\N{WORD JOINER}", ""), (signal, typed)
        assert page == "head" or all(button.key != "ask" for button in at.button)

"""Every question has an address: stored or brought, while it runs and after, for whoever has it; and the Library."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import xarray as xr
from streamlit.testing.v1 import AppTest

from tests.app.conftest import unfold
from tests.app.test_evidence import SlowEngine, answered, made, slow  # noqa: F401 - a fixture
from tests.app.test_own import SINE, paste, q
from tests.app.test_pages import charts, read, texts
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.report import with_words
from vitime_cache.store.verdicts import keep_verdict
from vitime_cache.ui import asked, question_form
from vitime_cache.ui.asked import Asked, find_address, keep_address

OpenPage = Callable[..., AppTest]
FULL = Asked("vitime-mini.zarr", "full", 62.8)


def about(verdict: xr.Dataset, period: float, created: str, **facts: float) -> xr.Dataset:
    question = vschema.facts(verdict, "question") | {"period": period} | facts
    return with_words(vschema.with_facts(verdict, question=question).assign_attrs(created=created))


@pytest.fixture(scope="session")
def built_with_two_answers(built: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copytree(built, tmp_path_factory.mktemp("answers") / built.name))
    for period, created in ((62.8, "2026-01-01T00:00:00+00:00"), (100.0, "2026-01-02T00:00:00+00:00")):
        keep_verdict(path, about(made(weights, "full"), period, created))
    return path


@pytest.fixture
def two_answers(built_with_two_answers: Path, folder: Path) -> Path:
    """A store with the answers about 62.8 and, later, 100 samples of `full`."""
    return Path(shutil.copytree(built_with_two_answers, folder / built_with_two_answers.name))


@pytest.mark.usefixtures("two_answers")
def test_the_address_of_a_stored_question_shows_it_in_another_session(open_page: OpenPage) -> None:
    assert "100 samples" in open_page("ask", signal="full").success[0].value, "the latest, where none is named"
    for page in ("ask", "heads", "head"):
        at = open_page(page, q=keep_address(FULL))
        assert not at.exception
        assert not at.warning, texts(at)
        assert at.selectbox(key="pick_signal").value == "full"
    at = open_page("ask", q=keep_address(FULL))
    assert "62.8 samples" in at.success[0].value
    assert any(link.proto.query_string == f"q={FULL.name}" for link in at.get("page_link"))


@pytest.mark.usefixtures("two_answers")
def test_a_form_that_is_opened_later_has_the_period_of_the_address(open_page: OpenPage) -> None:
    at = open_page("ask", unfolded=False, q=keep_address(FULL))
    assert "62.8 samples" in at.success[0].value
    unfold(at, "another").run()
    assert any(field.value == "62.8" for field in at.text_input), [field.value for field in at.text_input]


@pytest.mark.usefixtures("two_answers")
def test_choosing_another_answer_or_signal_changes_the_address_with_it(open_page: OpenPage) -> None:
    at = open_page("ask", q=keep_address(FULL))
    control = next(each for each in at.button_group if each.label.startswith("Period asked about"))
    control.set_value(100.0).run()
    assert q(at) == Asked("vitime-mini.zarr", "full", 100.0).name
    assert "100 samples" in at.success[0].value
    at.selectbox(key="pick_signal").select("white_noise").run()
    assert "q" not in at.query_params, "it named a question about another signal"
    assert at.selectbox(key="pick_signal").value == "white_noise"


@pytest.mark.usefixtures("store")
def test_a_question_that_runs_has_its_address_at_once_and_others_see_it_by_that(
    slow: SlowEngine,  # noqa: F811
    open_page: OpenPage,
) -> None:
    at = open_page("ask", signal="harmonic_63")
    at.button(key="ask").click().run()
    slow.finish("influence")
    other = open_page("ask", q=q(at))
    assert not other.exception
    assert "mechanism, now]" in texts(other)
    row = open_page("library").dataframe[0].value.iloc[0]
    assert (row["series"], row["asked_utc"]) == ("harmonic_63", "now")
    assert "done" in row["state"]


@pytest.mark.usefixtures("store")
def test_a_question_about_a_series_of_ones_own_is_found_by_whoever_has_its_address(
    slow: SlowEngine,  # noqa: F811
    open_page: OpenPage,
) -> None:
    at = open_page("ask")
    option = paste(at, SINE)
    at.button(key="ask").click().run()
    assert not at.exception
    name = q(at)
    assert find_address(name).signal == option
    slow.finish("influence")
    other = open_page("ask", q=name)
    assert not other.exception
    assert not any("not here" in warning.value for warning in other.warning)
    assert other.selectbox(key="pick_signal").value == option
    assert "mechanism, now]" in texts(other)


@pytest.mark.usefixtures("store")
def test_a_question_without_an_answer_is_said_and_its_period_is_there_to_be_asked(open_page: OpenPage) -> None:
    at = open_page("ask", q=keep_address(Asked("vitime-mini.zarr", "full", 99.5)))
    assert not at.exception
    assert "a period of 99.5 samples. It was deleted, or not asked yet" in at.info[0].value
    assert next(each for each in at.text_input if each.label == "Period P").value == "99.5"


@pytest.mark.parametrize("name", ["../../etc/passwd", "0" * 16, "x", "F" * 16])
@pytest.mark.usefixtures("store")
def test_an_address_that_stands_for_nothing_is_said_and_the_page_goes_on(name: str, open_page: OpenPage) -> None:
    at = open_page("ask", q=name)
    assert not at.exception
    assert name in read(at.warning[0].value)
    assert charts(at)


def test_an_address_to_a_signal_or_store_that_is_gone_is_said(store: Path, open_page: OpenPage) -> None:
    for gone in (Asked(store.name, "gone", 24.0), Asked("gone.zarr", "full", 24.0), Asked("", "own:" + "0" * 16, 24.0)):
        at = open_page("ask", q=keep_address(gone))
        assert not at.exception
        assert at.warning, gone


@pytest.mark.parametrize(
    "gone",
    [
        {"signal": "gone"},
        {"store": "gone.zarr"},
        {"store": "gone.zarr", "signal": "full"},
        {"q": "0" * 16},
        {"signal": "full"},
    ],
)
@pytest.mark.usefixtures("store", "begins")
def test_no_question_begins_about_a_series_that_stands_in_for_one_that_is_gone(
    gone: dict[str, str], open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(question_form, "_ask", lambda subject, *_: begun.append(subject.signal.name))
    at = open_page("ask", **gone).run()
    assert not at.exception
    assert begun == (["full"] if gone == {"signal": "full"} else [])


def test_a_file_that_was_tampered_with_names_no_question(folder: Path) -> None:
    name = keep_address(FULL)
    path = folder / asked.FOLDER / f"{name}.json"
    assert find_address(name) == FULL
    good = path.read_text()
    for bad in ("", "[]", "{}", good.replace("full", "else"), good.replace("62.8", '"x"'), " " * 5000, "NaN"):
        path.write_text(bad)
        assert find_address(name) is None, bad
    path.unlink()
    path.symlink_to("/etc/hostname")
    assert find_address(name) is None


def test_the_oldest_addresses_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "MOST", 3)
    names = [keep_address(Asked("a.zarr", "s", float(period))) for period in range(2, 8)]
    assert len(list((folder / asked.FOLDER).iterdir())) == 3
    assert find_address(names[-1]) is not None


@pytest.mark.usefixtures("two_answers")
def test_the_library_lists_questions_with_time_series_period_and_headline_and_the_weights(open_page: OpenPage) -> None:
    at = open_page()
    questions, weights = at.dataframe[0].value, at.dataframe[-1].value
    assert list(questions["asked_utc"]) == ["2026-01-02 00:00", "2026-01-01 00:00"]
    assert list(questions["period"]) == [100.0, 62.8]
    assert set(questions["series"]) == {"full"}
    assert questions["answer"].str.startswith("Yes, mostly").all()
    assert set(questions["state"]) == {"finished"}
    assert list(weights["weights"]) == ["vitime-mini.safetensors"]
    assert weights["used"].all()


def test_the_library_gives_the_period_of_a_series_with_times_in_time_too(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    keep_verdict(store, about(made(weights, "full"), 24.0, "2026-01-01T00:00:00+00:00", sample_seconds=3600.0))
    assert open_page().dataframe[0].value[["period", "time"]].values.tolist() == [[24.0, "24 hours"]]


@pytest.mark.usefixtures("store")
def test_the_library_lists_what_was_asked_of_a_series_of_ones_own(open_page: OpenPage) -> None:
    at = open_page("ask")
    paste(at, SINE)
    at.button(key="ask").click().run()
    at = answered(at)
    at = at.switch_page("pages/library.py").run()
    table = at.dataframe[0].value
    assert list(table["series"]) == ["pasted (yours)"]
    assert list(table["state"]) == ["finished"]
    assert open_page("library").dataframe[0].value.columns[0] == "signal", "others do not see it"


@pytest.mark.usefixtures("begins")
@pytest.mark.parametrize("another_is_left", [False, True])
@pytest.mark.parametrize("by", ["q", "signal", "store and signal"])
def test_the_address_of_a_store_that_was_moved_away_shows_it_again_once_it_is_back(
    by: str, another_is_left: bool, two_answers: Path, built: Path, folder: Path, open_page: OpenPage
) -> None:
    if another_is_left:
        shutil.copytree(built, folder / "another.zarr")
    named = {"store": two_answers.name, "signal": "harmonic_63"}
    harmonic = Asked(two_answers.name, "harmonic_63", 63.0)
    address = {"q": {"q": keep_address(harmonic)}, "signal": {"signal": "harmonic_63"}}.get(by, named)
    away = two_answers.rename(folder / "away")
    for page in ("ask", "heads"):
        at = open_page(page, **address).run()
        assert not at.exception
        for key, value in address.items():
            assert at.query_params[key] in (value, [value]), page
        said = by == "signal" and another_is_left  # which holds a signal of that name
        assert any("is not here" in warning.value for warning in at.warning) is not said, page
        away.rename(two_answers)
        at.run()
        assert at.selectbox(key="pick_signal").value == "harmonic_63"
        assert not [each.value for each in at.warning if "is not here" in each.value]
        two_answers.rename(away)


@pytest.mark.usefixtures("two_answers")
def test_a_choice_by_hand_takes_the_place_of_what_the_address_named_and_is_not_here(
    built_by_another: Path, folder: Path, open_page: OpenPage
) -> None:
    shutil.copytree(built_by_another, folder / "other.zarr")
    for gone, picker, choice in (
        ({"store": "gone.zarr", "signal": "gone"}, "store", "vitime-mini.zarr"),
        ({"store": "gone.zarr", "signal": "gone"}, "signal", "ar1"),
        ({"signal": "gone"}, "store", "vitime-mini.zarr"),
        ({"q": keep_address(Asked("gone.zarr", "gone", 8.0))}, "signal", "ar1"),
    ):
        at = open_page("heads", **gone)
        assert at.warning
        at.selectbox(key=f"pick_{picker}").select(choice).run()
        assert not at.exception
        assert at.selectbox(key=f"pick_{picker}").value == choice
        assert not at.warning, (gone, picker, texts(at))
        assert "gone" not in str(dict(at.query_params))


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("by", ["signal", "q"])
def test_links_of_a_page_without_a_picker_keep_what_its_address_names(by: str, open_page: OpenPage) -> None:
    name = keep_address(Asked("vitime-mini.zarr", "harmonic_63", 63.0))
    at = open_page("library", layer="decoder.0", **{by: {"signal": "harmonic_63", "q": name}[by]})
    (link,) = [each.proto.query_string for each in at.get("page_link") if each.proto.page == "heads"]
    assert "signal=harmonic_63" in link
    assert "layer=decoder.0" in link


@pytest.mark.parametrize("of", ["stored", "own"])
@pytest.mark.usefixtures("two_answers")
def test_where_no_address_of_a_question_can_be_kept_that_of_its_series_stands(
    of: str, folder: Path, open_page: OpenPage
) -> None:
    (folder / asked.FOLDER).write_text("")  # no file can be made in it
    at = open_page("ask", signal="white_noise")
    signal = paste(at) if of == "own" else "full"
    at.selectbox(key="pick_signal").select(signal).run()
    unfold(at).run()
    at.button(key="ask").click().run()
    assert not at.exception
    assert "q" not in at.query_params or of == "own"
    (link,) = [each.proto for each in at.get("page_link") if each.proto.label.startswith("Address of")]
    assert link.label == "Address of this series"
    other = open_page("ask", **dict(parse_qsl(link.query_string)))
    assert not other.warning, texts(other)
    assert other.selectbox(key="pick_signal").value == signal

"""Series of one's own: every way in, bad input, the small store behind each, and saving, finding and deleting it."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cachetools import LRUCache, cached
from streamlit.testing.v1 import AppTest

from tests.app.test_pages import charts, leads_on, read, texts
from vitime_cache.attention import schema
from vitime_cache.charts.clock import Clock
from vitime_cache.evidence.window import choose_window
from vitime_cache.model.checkpoint import CheckpointError
from vitime_cache.series.examples import catalogue
from vitime_cache.series.signal import Signal
from vitime_cache.store.plan import TooLargeError
from vitime_cache.store.reader import open_store
from vitime_cache.store.removal import remove_signal
from vitime_cache.ui import asked, own, questions, stores
from vitime_cache.ui.asked import keep_address

OpenPage = Callable[..., AppTest]
SINE = " ".join(f"{np.sin(i / 5):.4f}" for i in range(400))  # a period of 31.4 samples
LONG = " ".join(f"{np.sin(i / 5):.4f}" for i in range(4000))
BAD_NAMES = ["../../etc/passwd", "0" * 15, "G" * 16, "0" * 16, ""]


def paste(at: AppTest, text: str = SINE) -> str:
    """Paste numbers on the page Ask; the option under which pickers know the series."""
    at.text_area(key="pasted").input(text).run()
    assert not at.exception
    assert not at.error, at.error[0].value
    return own.PREFIX + str(q(at))


def q(at: AppTest) -> str:
    value = at.query_params["q"]
    return value[0] if isinstance(value, list) else value


def save(at: AppTest, option: str, name: str, store: str = "vitime-mini.zarr") -> AppTest:
    at.text_input(key=f"save_name_{option}").input(name)
    at.selectbox(key=f"save_store_{option}").select(store)
    at.button(key=f"save_button_{option}").click().run()
    assert not at.exception
    return at


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.usefixtures("store", "begins")
def test_a_pasted_series_becomes_a_store_of_its_own_and_its_question_begins_by_itself(
    folder: Path, open_page: OpenPage
) -> None:
    at = open_page("ask", signal="white_noise")  # no period stands out of it, so nothing begins
    assert not questions.known()
    paste(at)
    assert [path.stem for path in (folder / own.FOLDER).iterdir()] == [q(at)]
    (asked,) = questions.known().values()
    assert asked.period == pytest.approx(31.4, abs=0.2)
    assert asked.signal.values == pytest.approx(np.array(SINE.split()[: len(asked.signal.values)], float), abs=1e-4)


@pytest.mark.usefixtures("store")
def test_a_file_of_dates_and_gaps_is_shown_over_its_dates_however_many_values_were_filled() -> None:
    wave = np.sin(np.arange(2000) * 2 * np.pi / 24)
    load = Signal("load", wave, 720, sample_seconds=3600.0, start="2016-07-01T00:00:00", filled=900)
    shown = own.dataset(own.keep(load))
    whole = own.whole(shown)
    assert whole is not None
    stretch = schema.signal_of(shown)
    begin, length = 2000 - len(stretch.values) - stretch.horizon, len(stretch.values)
    assert stretch.values == pytest.approx(wave[begin : begin + length], abs=1e-4)
    assert stretch.filled == length
    assert Clock.of(shown).moment(0) == Clock(3600.0, load.start).moment(begin)
    assert (whole.start, whole.filled) == (load.start, 900)


@pytest.mark.usefixtures("begins")
def test_where_there_is_nothing_yet_ask_takes_in_the_example_by_itself(open_page: OpenPage) -> None:
    at = open_page("ask")
    assert not at.exception
    assert not at.error
    assert at.selectbox(key="pick_signal").options == ["full (yours)"]
    assert questions.known()


@pytest.mark.usefixtures("store")
def test_a_series_is_found_again_in_another_session_by_its_short_address(open_page: OpenPage) -> None:
    at = open_page("ask")
    option = paste(at)
    for page in ("ask", "heads", "head"):
        again = open_page(page, q=q(at))
        assert not again.exception
        assert not again.warning, texts(again)
        assert again.selectbox(key="pick_signal").value == option
        assert "pasted (yours)" in again.selectbox(key="pick_signal").options
        assert charts(again)
    assert "pasted (yours)" not in open_page("head").selectbox(key="pick_signal").options, "it is nobody else's"


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.usefixtures("store")
def test_a_short_address_that_names_nothing_is_said_and_no_path_is_built_from_it(
    name: str, folder: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Path] = []
    monkeypatch.setattr(own, "store_at", lambda path, real=own.store_at: looked_at.append(path) or real(path))
    at = open_page("head", q=name)
    assert not at.exception
    assert f"asks for {name!r}" in read(at.warning[0].value)
    assert charts(at)
    assert all(path.parent == folder / own.FOLDER for path in looked_at)
    assert bool(looked_at) == bool(own.NAME.fullmatch(name))


@pytest.mark.usefixtures("store")
def test_a_file_in_the_place_of_the_folder_of_own_series_is_named_and_the_pages_go_on(
    folder: Path, open_page: OpenPage
) -> None:
    (folder / own.FOLDER).write_text("")
    at = open_page("ask")
    at.text_area(key="pasted").input(SINE).run()
    assert f"{own.FOLDER} is a file, but" in read(at.error[0].value)
    assert "belongs in a folder: move it away" in read(at.error[0].value)
    for page in ("ask", "heads", "library"):
        at = open_page(page, q="0" * 16)
        assert not at.exception
        assert charts(at) or page == "library"


@pytest.mark.parametrize("spoilt", ["zarr.json", "journal/manifest.json"])
def test_a_damaged_store_is_named_and_every_page_shows_the_series_of_ones_own(
    store: Path, open_page: OpenPage, spoilt: str
) -> None:
    option = paste(open_page("ask"))
    (store / spoilt).write_text("{")
    for page in ("ask", "heads", "head", "compare", "library"):
        at = open_page(page, q=option.removeprefix(own.PREFIX), store=store.name)
        assert not at.exception
        assert ("cannot be read" in texts(at)) is (spoilt == "zarr.json" or page == "library"), page
        if page == "library":
            assert at.button(key=f"forget_{option}")
            assert "no store yet" not in texts(at)
        else:
            assert at.selectbox(key="pick_signal").value == option
            assert charts(at) or page == "compare"


@pytest.mark.usefixtures("store")
def test_a_series_that_is_deleted_is_gone_with_its_store(folder: Path, open_page: OpenPage) -> None:
    at = open_page("ask")
    option = paste(at)
    at.switch_page("pages/library.py").run()
    at.button(key=f"forget_{option}").click().run()
    assert not at.exception
    assert not list((folder / own.FOLDER).iterdir())
    assert "(yours)" not in texts(at)
    again = open_page("head", q=option.removeprefix(own.PREFIX))
    assert not again.exception
    assert "not here" in again.warning[0].value


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("fault", [CheckpointError("no weights"), PermissionError(errno.EACCES, "Permission denied")])
def test_a_series_can_be_saved_while_the_weights_are_away(
    fault: Exception, folder: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise fault

    at = open_page("ask")
    option = paste(at)
    monkeypatch.setattr("vitime_cache.ui.weights.peek", fails)
    at = open_page("ask", signal=option)
    assert not at.exception
    at.switch_page("pages/library.py").run()
    assert not at.exception
    assert "saved" in texts(save(at, option, "kept")).lower()
    assert "kept" in open_store(folder / "vitime-mini.zarr").signal


@pytest.mark.usefixtures("store")
def test_a_series_that_cannot_be_deleted_stays_and_the_page_says_why(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise OSError(errno.EROFS, "Read-only file system", str(path))

    at = open_page("ask")
    option = paste(at)
    at.switch_page("pages/library.py").run()
    monkeypatch.setattr(own.shutil, "rmtree", refuse)
    at.button(key=f"forget_{option}").click().run()
    assert not at.exception
    assert "read-only file system" in at.error[0].value
    assert at.button(key=f"forget_{option}")


def one_is_missing(path: Path) -> None:
    remove_signal(path, own.WHOLE)


def none_is_there_yet(path: Path) -> None:
    for name in open_store(path).signal.values:
        remove_signal(path, str(name))


def its_root_is_cut_short(path: Path) -> None:
    (path / "zarr.json").write_text("{")


def its_root_is_gone(path: Path) -> None:
    (path / "zarr.json").unlink()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("harm", [one_is_missing, none_is_there_yet, its_root_is_cut_short, its_root_is_gone])
def test_a_series_that_was_kept_in_part_or_is_damaged_is_not_there_until_it_is_brought_again(
    harm: Callable[[Path], None], folder: Path, open_page: OpenPage
) -> None:
    at = open_page("ask")
    option = paste(at)
    short = option.removeprefix(own.PREFIX)
    harm(folder / own.FOLDER / f"{short}.zarr")
    for page in ("library", "ask"):
        other = open_page(page, q=short)
        assert not other.exception
        assert "(yours)" not in texts(other)
    assert "was deleted or is not here" in other.warning[0].value
    assert not at.switch_page("pages/library.py").run().exception
    assert "pasted no longer exists" in at.toast[0].value
    assert paste(open_page("ask")) == option
    assert not open_page("head", q=short).warning


@pytest.mark.parametrize("by", ["q", "signal", "both"])
def test_where_nothing_else_is_left_the_address_of_a_deleted_series_says_so_on_every_page(
    by: str, open_page: OpenPage
) -> None:
    at = open_page("ask")
    gone = {"q": "ab" * 8, "signal": own.PREFIX + "ab" * 8}
    address = gone if by == "both" else {by: gone[by]}
    at.switch_page("pages/library.py").run()
    (button,) = [each for each in at.button if each.key.startswith("forget_")]
    button.click().run()
    assert not at.exception
    for page in ("heads", "head", "compare"):
        at = open_page(page, **address)
        assert "was deleted or is not here" in read(at.warning[0].value), page
    at = open_page("ask", **address)
    assert not at.exception
    assert "was deleted or is not here; this shows full" in at.warning[0].value
    assert "deleted" in at.run().warning[0].value, "as long as it is shown"


@pytest.mark.usefixtures("store", "begins")
def test_a_series_that_is_deleted_while_it_is_asked_about_stops_its_question(open_page: OpenPage) -> None:
    at = open_page("ask", signal="white_noise")
    option = paste(at)
    (asked,) = questions.known().values()
    at.switch_page("pages/library.py").run()
    at.button(key=f"forget_{option}").click().run()
    assert not at.exception
    assert not asked.asked_by, "its run ends at its next step"
    assert "%" not in "".join(table.value.get("state", pd.Series()).str.cat() for table in at.dataframe)


@pytest.mark.usefixtures("store")
def test_a_series_saved_into_a_named_store_is_a_stored_signal(folder: Path, open_page: OpenPage) -> None:
    at = open_page("ask")
    option = paste(at)
    at.switch_page("pages/library.py").run()
    assert "full" in save(at, option, "full").error[0].value, "a name that is taken"
    assert "name" in save(at, option, "two\tcolumns").error[0].value
    assert "unsaved" in save(at, option, "own:mine").error[0].value
    assert "Saved as kept" in save(at, option, "kept").success[0].value
    stored = open_store(folder / "vitime-mini.zarr").sel(signal="kept")
    small = open_store(folder / own.FOLDER / f"{option.removeprefix(own.PREFIX)}.zarr").sel(signal="pasted")
    np.testing.assert_array_equal(stored.time_attention[..., : small.sizes["key_patch"]], small.time_attention)
    assert open_page("head", signal="kept").selectbox(key="pick_signal").value == "kept"


def test_a_series_can_be_saved_where_no_store_is_yet(folder: Path, open_page: OpenPage) -> None:
    at = open_page("ask")
    option = paste(at)
    save(at.switch_page("pages/library.py").run(), option, "first")
    assert sorted(path.name for path in folder.iterdir()) == [own.FOLDER, "vitime-mini.zarr"]
    assert "first" in open_page("head").selectbox(key="pick_signal").options


@pytest.mark.usefixtures("store")
def test_pages_look_at_the_latest_stretch_on_which_the_period_shows_and_questions_are_about_all_of_it(
    folder: Path, open_page: OpenPage
) -> None:
    at = open_page("ask")
    paste(at, LONG)
    small = open_store(folder / own.FOLDER / f"{q(at)}.zarr")
    assert list(small.signal.values) == ["pasted", own.WHOLE]
    shown, whole = small.sel(signal="pasted"), small.sel(signal=own.WHOLE)
    assert int(shown.n_history + shown.horizon) < int(whole.n_history + whole.horizon)
    assert float(shown.samples_per_patch) < float(whole.samples_per_patch)
    history = shown.history.values[: int(shown.n_history)]
    end = 4000 - int(shown.horizon)
    values = np.array(LONG.split(), np.float32)
    np.testing.assert_allclose(history, values[end - len(history) : end], rtol=1e-6)
    assert own.WHOLE not in at.selectbox(key="pick_signal").options
    at.toggle(key=next(each.key for each in at.toggle if each.label == "Choose the stretch")).set_value(True).run()
    assert next(each for each in at.number_input if each.label == "History, samples").max == 4000


@pytest.mark.usefixtures("store")
def test_the_same_series_is_kept_once_and_a_way_that_holds_one_does_not_hide_another(
    folder: Path, open_page: OpenPage
) -> None:
    at = open_page("ask")
    first = paste(at)
    at.file_uploader(key="upload").upload("other.npy", npy(np.arange(96.0) % 12)).run()
    assert not at.exception
    assert own.PREFIX + q(at) != first, "the box of numbers is still full"
    assert "other (yours)" in at.selectbox(key="pick_signal").options
    paste(at, "")
    assert paste(at) == first
    assert len(list((folder / own.FOLDER).iterdir())) == 2


@pytest.mark.parametrize("text", ["1, 2, three", "1 2 inf", "5", "1,,2"])
@pytest.mark.usefixtures("store")
def test_pasted_text_that_is_no_series_gets_a_message_and_the_page_goes_on(text: str, open_page: OpenPage) -> None:
    at = open_page("ask")
    at.text_area(key="pasted").input(text).run()
    assert not at.exception
    assert len(at.error) == 1
    assert charts(at)
    assert leads_on(at)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"x,y\n1,2\n3\n"), ("a.csv", b"\xff\xfe\x00broken"), ("a.csv", b""), ("a.npy", b"\x93NUMPY garbage"),
        ("a.parquet", b"PAR1 no parquet PAR1"), ("gap.npy", npy(np.array([1.0, np.nan, 2.0]))),
        ("a.toml", b"[[signal]]"), ("../../evil.npy", npy(np.array(["text", "more"]))),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("store")
def test_a_file_that_is_no_series_or_has_a_gap_is_one_line_and_the_page_goes_on(
    name: str, content: bytes, open_page: OpenPage
) -> None:
    at = open_page("ask")
    at.file_uploader(key="upload").upload(name, content).run()
    assert not at.exception
    (error,) = at.error
    assert "\n" not in error.value.strip()
    assert at.text_area(key="pasted") is not None
    assert charts(at)


@pytest.mark.usefixtures("store")
def test_a_series_of_a_file_with_several_is_chosen(open_page: OpenPage) -> None:
    at = open_page("ask")
    table = "a,b\n" + "\n".join(f"{np.sin(i / 9)},{i % 12}" for i in range(96))
    at.file_uploader(key="upload").upload("pair.csv", table.encode()).run()
    at.selectbox(key="series_in_file").select_index(1).run()
    assert not at.exception
    assert {"a (yours)", "b (yours)"} <= set(at.selectbox(key="pick_signal").options)
    assert at.selectbox(key="pick_signal").value == own.PREFIX + q(at)


@pytest.mark.usefixtures("store")
def test_harmonics_are_added_and_removed(open_page: OpenPage) -> None:
    at = open_page("ask")
    for row in (2, 1):
        at.button(key=f"remove_{row}").click().run()
    next(button for button in at.button if button.label == "Add a harmonic").click().run()
    at.number_input(key="period_row_1").set_value(90.0).run()
    at.button(key="take_composed").click().run()
    assert not at.exception
    assert "composed (yours)" in at.selectbox(key="pick_signal").options
    for row in (0, 1):
        at.button(key=f"remove_{row}").click().run()
    at.button(key="take_composed").click().run()
    assert "zero throughout" in at.error[0].value


def test_without_weights_the_page_says_where_they_belong(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitime_cache.places.WEIGHTS", tmp_path / "nowhere")
    at = open_page("ask")
    assert not at.exception
    assert "no weights" in at.error[0].value


@pytest.mark.usefixtures("store")
def test_a_series_whose_token_maps_would_be_too_large_is_kept_without_and_saved_with_them(
    folder: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "MOST_TOKEN_BYTES", 0)
    at = open_page("ask")
    option = paste(at)
    assert "token_attention" not in open_store(folder / own.FOLDER / f"{q(at)}.zarr")
    save(at.switch_page("pages/library.py").run(), option, "kept")
    assert open_store(folder / "vitime-mini.zarr").sel(signal="kept").token_attention.notnull().all()


def grow_old(folder: Path) -> None:
    for path in (folder / own.FOLDER).iterdir():
        os.utime(path, (1, 1))


def bring_another(open_page: OpenPage, period: int) -> AppTest:
    at = open_page("ask")
    at.text_area(key="pasted").input(" ".join(str(i % period) for i in range(120))).run()
    assert not at.exception
    return at


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("name", "most"), [("MOST", 2), ("MOST_BYTES", 1)])
def test_the_oldest_series_makes_room_for_a_new_one_and_who_brought_it_is_told_once(
    name: str, most: int, folder: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page("ask")
    first = paste(at)
    grow_old(folder)
    monkeypatch.setattr(own, name, most)
    for period in (5, 7):
        bring_another(open_page, period)
        for path in (folder / own.FOLDER).iterdir():
            os.utime(path, (path.stat().st_mtime - 100,) * 2)
    assert len(list((folder / own.FOLDER).iterdir())) == (2 if name == "MOST" else 1)
    assert not (folder / own.FOLDER / f"{first.removeprefix(own.PREFIX)}.zarr").exists()
    assert "pasted no longer exists" in at.switch_page("pages/library.py").run().toast[0].value
    assert not at.exception
    assert not at.run().toast


@pytest.mark.parametrize(("module", "ending"), [(own, "zarr"), (asked, "json")])
def test_what_another_session_deletes_meanwhile_is_not_counted(
    module: ModuleType, ending: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (folder / module.FOLDER / f"{name}.{ending}").mkdir(parents=True)
    listed = Path.glob

    def glob(place: Path, pattern: str) -> list[Path]:
        found = sorted(listed(place, pattern))
        if place.name == module.FOLDER:
            found[0].rmdir()
        return found

    monkeypatch.setattr(Path, "glob", glob)
    monkeypatch.setattr(module, "MOST", 3)
    own.make_room() if module is own else keep_address(asked.Asked("a.zarr", "s", 8.0))
    left = {each.stem for each in (folder / module.FOLDER).iterdir()}
    assert {"b", "c"} <= left
    assert (len(left) == 3) == (module is asked)


@pytest.mark.usefixtures("store")
def test_where_no_series_can_go_the_next_one_is_refused_in_one_line(
    folder: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page("ask")
    option = paste(at)
    monkeypatch.setattr(own, "MOST", 1)
    assert "no room for another series" in bring_another(open_page, 5).error[0].value, "the other one is new"
    grow_old(folder)
    key = f"{folder / own.FOLDER / option.removeprefix(own.PREFIX)}.zarr:series", "question"
    window = choose_window(1232, 62.8, columns=1232, patch_width=16)
    question = questions.RunningQuestion(catalogue()[0], 62.8, window)
    monkeypatch.setattr(questions, "known", lambda: {key: question})
    assert "no room for another series" in bring_another(open_page, 5).error[0].value, "it is asked about"


@pytest.mark.usefixtures("store")
def test_a_session_holds_the_names_of_its_series_and_all_sessions_together_a_bounded_number_of_bytes(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 2 * stores._in_memory(open_store(stores.folder() / "vitime-mini.zarr").isel(signal=0))
    held: LRUCache = LRUCache(most, getsizeof=stores._in_memory)
    monkeypatch.setattr(stores, "_load", cached(held)(stores._load.__wrapped__))
    sessions = [bring_another(open_page, period) for period in range(4, 7)]
    for at in sessions:
        assert not at.switch_page("pages/head.py").run().exception
        assert not [key for key, value in at.session_state._state.filtered_state.items() if holds_arrays(value)]
    assert 0 < held.currsize <= most
    assert len(held) < len(sessions)


def holds_arrays(value: object) -> bool:
    if isinstance(value, dict | list | tuple | set):
        return any(holds_arrays(each) for each in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, np.ndarray | xr.Dataset | xr.DataArray)


@pytest.mark.parametrize(
    "full",
    [
        TooLargeError("2 signals may take up to 0.02 GB in /srv/.own/x.zarr: give fewer signals"),
        OSError(errno.ENOSPC, "No space left on device", "/srv/x.zarr/c/0"),
    ],
)
@pytest.mark.parametrize("tokens_of_the_store_are_those_of_the_series", [True, False])
@pytest.mark.usefixtures("store")
def test_a_full_disk_is_told_without_flags_and_folders_of_the_server(
    full: Exception,
    tokens_of_the_store_are_those_of_the_series: bool,
    open_page: OpenPage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> None:
        raise full

    if not tokens_of_the_store_are_those_of_the_series:
        monkeypatch.setattr(own, "MOST_TOKEN_BYTES", 0)
    at = open_page("ask")
    option = paste(at)
    monkeypatch.setattr(type(own.engine()), "build", fails)
    monkeypatch.setattr("vitime_cache.store.build.add_dataset", fails)
    save(at.switch_page("pages/library.py").run(), option, "kept")
    brought = open_page("ask")
    brought.text_area(key="pasted").input(LONG).run()
    for each, remedy in ((at, "save this one again"), (brought, "bring this one again")):
        (said,) = (error.value for error in each.error)
        assert "disk is full" in said
        assert remedy in said
        assert "/srv" not in said
        assert not each.exception

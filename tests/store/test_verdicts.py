"""Verdicts in a store: stored once, replaced whole, and invisible to readers of the root."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from packaging.version import Version

from tests.store.killing import die_at
from tests.store.standin import WEIGHTS, Model, build, files, make_signals, verify
from vitime_cache.evidence.verdict import schema
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.store import commit
from vitime_cache.store import root as root_object
from vitime_cache.store.commit import forget
from vitime_cache.store.evidence_groups import check_keeping, damaged_groups, remove_groups
from vitime_cache.store.local_objects import LocalObjects
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import ROOT
from vitime_cache.store.objects import StoreError
from vitime_cache.store.reader import open_store
from vitime_cache.store.repair import repair as take_out
from vitime_cache.store.root import listed_verdicts, visible_verdicts, without_verdicts
from vitime_cache.store.verdicts import find_verdict, keep_verdict, open_verdict, stored_verdicts, verdicts_on

SIGNALS = make_signals(2)
PARTLY_THEN_WHOLLY = [schema.STAGES[:1], schema.STAGES]
KILLS = int(os.environ.get("VITIME_CRASH_KILLS", "16")) // 4
CHILDREN = get_context("forkserver")


@pytest.fixture
def path(path_of_two: Path) -> Path:
    return path_of_two


def listed(path: Path) -> list[str]:
    """The verdicts that plain readers find."""
    return list(listed_verdicts((path / ROOT).read_bytes()))


root_alone = pytest.mark.skipif(
    Version(zarr.__version__) >= Version("3.2"),
    reason="zarr from 3.2 on shows a group that the root lists without its members as empty",
)


def verdict(signal: str = "s0", period: float = 64.0, **options) -> xr.Dataset:
    ds = mock_verdict(None, signal, period, **options)
    question = schema.facts(ds, "question") | {"weights": WEIGHTS.name, "weights_sha256": WEIGHTS.sha256}
    return schema.with_facts(ds, question=question, created="2000-01-01T00:00:00+00:00")


def test_a_verdict_is_read_back_as_it_was_by_us_and_by_plain_xarray_without_a_warning(path):
    kept = verdict()
    group = keep_verdict(path, kept)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({}, {"chunks": None}, {"consolidated": True}, {"consolidated": False}):
            assert xr.open_zarr(f"{path}/{group}", **options).load().identical(kept)
        assert xr.open_zarr(path, group=group, consolidated=False).load().identical(kept)
        assert open_verdict(path, group).identical(kept)
        assert find_verdict(path, schema.facts(kept, "question")).identical(kept)
    (found,) = stored_verdicts(path)
    assert (found.signal, found.complete, found.group) == ("s0", True, group)
    assert found.question == schema.facts(kept, "question")


def test_readers_of_the_root_see_no_change(path):
    before, root = open_store(path), (path / ROOT).read_bytes()
    group = keep_verdict(path, verdict())
    assert listed(path) == [group]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({}, {"chunks": None}, {"consolidated": True}, {"consolidated": False}):
            ds = xr.open_zarr(path, **options)
            assert ds.load().identical(before.load())
            assert options.get("consolidated") is False or list(ds.variables) == list(before.variables)
    assert without_verdicts((path / ROOT).read_bytes()) == root
    remove_groups(path, [group])
    assert (path / ROOT).read_bytes() == root


@root_alone
@pytest.mark.parametrize("options", [{}, {"chunks": None}, {"consolidated": True}])
def test_the_root_leads_to_a_verdict(path, options):
    group = keep_verdict(path, verdict())
    assert xr.open_zarr(path, group=group, **options).load().identical(verdict())


@root_alone
def test_the_datatree_of_a_store_contains_its_verdicts(tmp_path):
    config = ViTimeConfig.from_dict(json.loads(mock_verdict().attrs["config"]))
    build(SIGNALS, tmp_path / "a.zarr", Model(config), tokens="none")
    group = keep_verdict(tmp_path / "a.zarr", verdict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = xr.open_datatree(str(tmp_path / "a.zarr"), engine="zarr")
    assert list(tree.groups) == ["/", "/evidence", f"/{group}"]
    for name, values in verdict().data_vars.items():
        assert tree[group][name].drop_vars("signal", errors="ignore").equals(values), name


@pytest.mark.parametrize("before", ["sizes_of", "get_many"])
def test_a_verdict_that_is_removed_while_it_is_read_is_not_read_with_gaps(path, monkeypatch, before):
    group = keep_verdict(path, verdict())
    real = getattr(LocalObjects, before)

    def overtaken(*args):
        if len(args[1]) > 10:  # the chunks, after the metadata
            remove_groups(path, [group])
        return real(*args)

    monkeypatch.setattr(LocalObjects, before, overtaken)
    with pytest.raises(StoreError, match="removed while it was read"):
        open_verdict(path, group)


def test_keeping_the_same_verdict_again_writes_nothing(path):
    group = keep_verdict(path, verdict())

    def stamps() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in path.rglob("*") if not file.name.endswith("lock")}

    before = stamps()
    assert keep_verdict(path, verdict()) == keep_verdict(path, open_verdict(path, group)) == group
    assert stamps() == before


def test_another_question_is_kept_beside_and_a_fuller_answer_takes_the_place_of_the_earlier(path):
    keep_verdict(path, verdict(period=32.0))
    for stages in PARTLY_THEN_WHOLLY:
        keep_verdict(path, verdict(stages=stages))
        found = find_verdict(path, schema.facts(verdict(), "question"))
        assert found.identical(verdict(stages=stages))
        assert len(stored_verdicts(path)) == len(list((path / "evidence").glob("*-*"))) == 2
        assert listed(path) == sorted(kept.group for kept in stored_verdicts(path))
    assert {kept.question["period"] for kept in stored_verdicts(path)} == {32.0, 64.0}


@pytest.mark.parametrize("name", ["../../evil", "a/b", "", "日本", "x" * 300, "..", "a-7"])
def test_a_verdict_stays_in_its_folder_whatever_its_signal_is_called(path, name):
    outside = set(path.parent.rglob("*")) - set(path.rglob("*"))
    group = keep_verdict(path, verdict(name))
    assert set(path.parent.rglob("*")) - set(path.rglob("*")) == outside
    assert (path / group).resolve().parent == (path / "evidence").resolve()
    assert [kept.signal for kept in stored_verdicts(path)] == [name]


def test_a_build_leaves_verdicts_alone_even_when_it_cleans_up(path):
    group = keep_verdict(path, verdict())
    before = files(path / "evidence")
    (path / "history" / "c.7.0.0123abcd.partial").write_text("of a killed build")

    def interrupt(progress):
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(make_signals(4), path, progress=interrupt)
    assert listed(path) == [group]
    build(make_signals(4), path)
    assert files(path / "evidence") == before
    assert listed(path) == [group]
    assert xr.open_zarr(f"{path}/{group}").load().identical(verdict())
    assert verify(path).problems == ()


def test_a_verdict_of_other_weights_is_refused(path):
    before = files(path)
    with pytest.raises(StoreError, match="is for the weights standin, the answer for mock"):
        keep_verdict(path, mock_verdict())
    with pytest.raises(StoreError, match="no store at"):
        keep_verdict(path.with_name("none.zarr"), verdict())
    with pytest.raises(schema.VerdictError, match="lacks the variable"):
        keep_verdict(path, verdict().drop_vars("figure"))
    assert files(path) == before


def test_verify_finds_every_flipped_bit_of_a_verdict_and_repair_takes_it_out(path):
    group, other = keep_verdict(path, verdict()), keep_verdict(path, verdict(period=32.0))
    pristine = files(path)
    keys = [key for key in pristine if key.startswith((group, "journal/evidence/s0-64"))]
    chance = np.random.default_rng(0)
    kinds = {re.sub(rf"{group}/\w+", "array", key): key for key in keys}  # one object of each kind
    for key in kinds.values():
        data = bytearray(pristine[key])
        bit = int(chance.integers(8 * len(data)))
        data[bit // 8] ^= 1 << bit % 8
        (path / key).write_bytes(data)
        found = verify(path).problems
        assert [problem.verdict for problem in found] == [group], f"bit {bit} of {key}"
        (path / key).write_bytes(pristine[key])
    (path / group / "head_share" / "c" / "0" / "0").unlink()
    assert [what for _, what in damaged_groups(open_objects(path))] == [
        f"verdict {group}: {group}/head_share/c/0/0 is missing"
    ]
    remove_groups(path, [group])
    assert [kept.group for kept in stored_verdicts(path)] == [other]
    assert verify(path).problems == ()


@pytest.mark.parametrize(
    ("name", "fact", "value"),
    [
        ("question", "period", ["<b>"]), ("question", "heads", ["<b>"]), ("window_facts", "words", ["<b>"]),
        ("counts", "margin", ["<b>"]), ("answer", "kind", "<b>"),
    ],
)  # fmt: skip
def test_a_verdict_with_a_fact_of_another_kind_is_refused_found_by_verify_and_taken_out(
    path, monkeypatch, name, fact, value
):
    stranger = schema.with_facts(verdict(), **{name: schema.facts(verdict(), name) | {fact: value}})
    with pytest.raises(schema.VerdictError, match=fact):
        keep_verdict(path, stranger)
    with monkeypatch.context() as patch:  # as a stranger would write it, under sound seals
        patch.setattr(schema, "validate", lambda ds: ds)
        patch.setattr("vitime_cache.store.verdicts._name", lambda _: "s0-64-0123456789ab")
        group = keep_verdict(path, stranger)
    with pytest.raises(StoreError, match=fact):
        open_verdict(path, group)
    checked = verify(path)
    (found,) = checked.problems
    assert found.verdict == group
    assert fact in found.what
    assert "\n" not in found.what
    take_out(path, checked)
    assert stored_verdicts(path) == []
    assert verify(path).problems == ()


def repair(path: Path) -> None:
    """What `verify --repair` does."""
    found = verify(path).problems
    forget(open_objects(path), {problem.place for problem in found if problem.place is not None})
    remove_groups(path, {problem.verdict for problem in found if problem.verdict is not None})


def test_verify_finds_every_flipped_bit_of_a_root_that_lists_verdicts_and_repair_mends_it(path):
    for period in (32.0, 64.0):
        keep_verdict(path, verdict(period=period))
    pristine = (path / ROOT).read_bytes()
    about_verdicts = range(8 * pristine.index(b'"evidence"'), 8 * len(pristine))
    for bit in np.linspace(about_verdicts[0], about_verdicts[-1], 5).astype(int):
        data = bytearray(pristine)
        data[bit // 8] ^= 1 << bit % 8
        (path / ROOT).write_bytes(data)
        assert any(ROOT in problem.what for problem in verify(path).problems), f"bit {bit}"
        repair(path)
        assert (path / ROOT).read_bytes() == pristine, f"bit {bit}"


def test_verify_finds_a_verdict_that_is_listed_and_not_there_and_repair_takes_it_off_the_list(path):
    group, other = keep_verdict(path, verdict()), keep_verdict(path, verdict(period=32.0))
    shutil.rmtree(path / group)
    (problem,) = verify(path).problems
    assert (problem.what, problem.verdict) == (f"verdict {group}: zarr.json lists it, and it is not there", group)
    repair(path)
    assert verify(path).problems == ()
    assert listed(path) == [other]


def test_a_name_that_leads_out_of_the_store_is_not_followed(path):
    outside = path.parent / "outside-1" / "kept.txt"
    outside.parent.mkdir()
    outside.write_text("of a person")
    keep_verdict(path, verdict())
    root = json.loads((path / ROOT).read_bytes())
    nodes = root["consolidated_metadata"]["metadata"]
    for name in ("evidence/../../outside-1", "evidence/..-1/../../outside-1"):
        nodes[name] = nodes["evidence"]
    (path / ROOT).write_text(json.dumps(root))
    repair(path)
    assert verify(path).problems == ()
    assert outside.exists()


def test_a_repair_of_signals_goes_on_listing_verdicts(path):
    group = keep_verdict(path, verdict())
    (path / "history" / "c.0.0").unlink()
    repair(path)
    assert open_store(path).sizes["signal"] == 0
    assert listed(path) == [group]
    build(SIGNALS, path)
    assert open_store(path).sizes["signal"] == 2
    assert listed(path) == [group]


def test_a_damaged_verdict_stops_no_build_and_is_not_listed(path):
    group, other = keep_verdict(path, verdict()), keep_verdict(path, verdict(period=32.0))
    (path / group / ROOT).write_text("{")
    build(make_signals(3), path)
    assert listed(path) == [other]


@pytest.mark.parametrize("first", ["a build", "a keeper"])
def test_a_build_and_a_process_that_changes_verdicts_wait_for_each_other_at_the_root(path, monkeypatch, first):
    """The other one starts at the worst moment: when the root has been read and is about to be written."""
    group = keep_verdict(path, verdict())
    works = [lambda: build(make_signals(3), path), lambda: remove_groups(path, [group])]
    work, meanwhile = works if first == "a build" else works[::-1]
    module, name = (commit, "render_root") if first == "a build" else (root_object, "without_verdicts")
    other, real = threading.Thread(target=meanwhile), getattr(module, name)

    def let_loose(*args):
        if other.ident is None:
            other.start()
            other.join(0.5)
            assert other.is_alive()
        return real(*args)

    monkeypatch.setattr(module, name, let_loose)
    work()
    other.join()
    assert open_store(path).sizes["signal"] == 3
    assert listed(path) == []
    assert verify(path).problems == ()


def keep_parts(path: Path, said: Callable[[str, int], None]) -> None:
    """Keep a verdict, first in part."""
    for number, stages in enumerate(PARTLY_THEN_WHOLLY, start=1):
        keep_verdict(path, verdict(stages=stages))
        said("kept", number)


def build_and_keep(path: Path, said: Callable[[str, int], None]) -> None:
    """Add two signals, and keep a verdict whenever one of them is committed."""

    def keep(progress) -> None:
        said("committed", progress.done)
        keep_verdict(path, verdict(stages=PARTLY_THEN_WHOLLY[progress.done > 1]))
        said("kept", 1 + (progress.done > 1))

    build(make_signals(4), path, progress=keep)


def child(path: Path, work: Callable, kill_at: int | None, pipe: Connection) -> None:
    """Work on a store, and die by SIGKILL right before the `kill_at`-th change of the disk."""
    changes = die_at(kill_at)
    work(path, lambda *said: pipe.send(said))
    pipe.send(("changes", changes()))


def run(path: Path, work: Callable, kill_at: int | None) -> dict[str, int]:
    """What a process said of its work until it ended."""
    receiver, sender = CHILDREN.Pipe(duplex=False)
    process = CHILDREN.Process(target=child, args=(path, work, kill_at, sender))
    process.start()
    sender.close()
    process.join()
    assert process.exitcode == (0 if kill_at is None else -signal.SIGKILL)
    said = {}
    try:
        while True:
            name, value = receiver.recv()
            said[name] = value
    except EOFError:
        return said


@pytest.mark.timeout(1800)  # with the kills of a release
@pytest.mark.usefixtures("fork_server")
@pytest.mark.parametrize("work", [keep_parts, build_and_keep])
def test_a_process_killed_while_it_keeps_a_verdict_loses_none_and_shows_none_in_part(tmp_path, path, work):
    question = schema.facts(verdict(), "question")
    pristine = Path(shutil.copytree(path, tmp_path / "pristine.zarr"))
    changes = run(path, work, None)["changes"]
    for kill_at in sorted({int(point) for point in np.linspace(1, changes, KILLS)}):
        shutil.rmtree(path)
        shutil.copytree(pristine, path)
        said = run(path, work, kill_at)
        found = find_verdict(path, question)
        shown = [one for one in PARTLY_THEN_WHOLLY if found is not None and found.identical(verdict(stages=one))]
        assert shown == [] if found is None else len(shown) == 1
        kept = said.get("kept", 0)
        assert kept <= (PARTLY_THEN_WHOLLY.index(shown[0]) + 1 if shown else 0) <= kept + 1
        assert 2 + said.get("committed", 0) <= open_store(path).sizes["signal"] <= 4
        for group in listed(path):
            assert xr.open_zarr(f"{path}/{group}").load().identical(open_verdict(path, group))
        assert all("interrupted while it set up" in problem.what for problem in verify(path).problems)
        build(make_signals(4), path)
        assert listed(path) == visible_verdicts(open_objects(path))
        assert keep_verdict(path, verdict()) == stored_verdicts(path)[0].group
        assert listed(path) == [stored_verdicts(path)[0].group]
        assert [f"evidence/{folder.name}" for folder in (path / "evidence").glob("*-*")] == listed(path)
        assert list(path.glob("zarr.json?*")) == []
        assert verify(path).problems == ()


def keep_many(path: Path, started) -> None:
    started.set()
    for period in (16.0, 32.0, 48.0, 64.0):
        for stages in PARTLY_THEN_WHOLLY:
            group = keep_verdict(path, verdict(period=period, stages=stages))
            until = time.monotonic() + 0.05
            while time.monotonic() < until:  # a root without it may be on its way
                assert group in listed(path)


@pytest.mark.usefixtures("fork_server")
def test_nothing_is_lost_where_a_build_and_another_process_write_at_the_same_time(path, monkeypatch):
    real = commit.render_root
    monkeypatch.setattr(commit, "render_root", lambda *args: [real(*args), time.sleep(0.02)][0])
    started = CHILDREN.Event()
    keeper = CHILDREN.Process(target=keep_many, args=(path, started))
    keeper.start()
    started.wait()
    added = 2
    while keeper.is_alive():
        added += 1
        build(make_signals(added), path)
        assert open_store(path).sizes["signal"] == added
    keeper.join()
    assert keeper.exitcode == 0
    assert open_store(path).sizes["signal"] == added > 3
    assert listed(path) == sorted(kept.group for kept in stored_verdicts(path))
    assert {kept.question["period"] for kept in stored_verdicts(path) if kept.complete} == {16.0, 32.0, 48.0, 64.0}
    assert verify(path).problems == ()


def test_verdicts_are_kept_found_and_read_behind_a_url():
    url = "memory://verdicts.zarr"
    build(SIGNALS, url)
    for stages in PARTLY_THEN_WHOLLY:
        group = keep_verdict(url, verdict(stages=stages))
    assert [kept.group for kept in stored_verdicts(url)] == [group]
    assert open_verdict(url, group).identical(verdict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert xr.open_zarr(f"{url}/{group}").load().identical(verdict())
    assert verify(url).problems == ()


def test_a_verdict_that_was_opened_goes_to_another_process(path):
    opened = open_verdict(path, keep_verdict(path, verdict()))
    assert pickle.loads(pickle.dumps(opened)).identical(verdict())


def test_a_verdict_by_another_method_is_no_answer_and_stays_where_it_is(path):
    old = schema.with_facts(verdict(), question=schema.facts(verdict(), "question") | {"method": 1})
    group = keep_verdict(path, old)
    assert stored_verdicts(path) == []
    assert find_verdict(path, schema.facts(verdict(), "question")) is None
    keep_verdict(path, verdict())
    assert [kept.group for kept in stored_verdicts(path)] != [group]
    assert xr.open_zarr(f"{path}/{group}").load().identical(old)
    assert verify(path).problems == ()
    with pytest.raises(StoreError, match=f"was found by method 1, this version's is {schema.METHOD}: ask again"):
        open_verdict(path, group)


def named(ds: xr.Dataset, **question) -> xr.Dataset:
    return schema.with_facts(ds, question=schema.facts(ds, "question") | question)


def test_a_verdict_belongs_to_a_series_by_its_hash_and_not_by_its_name(path):
    mine = keep_verdict(path, named(verdict("full"), series_sha256="a" * 64))
    keep_verdict(path, named(verdict("full"), series_sha256="b" * 64))
    other = keep_verdict(path, named(verdict("a copy", period=32.0), series_sha256="a" * 64))
    assert {kept.group for kept in verdicts_on(path, "a" * 64)} == {mine, other}
    assert verdicts_on(path, "c" * 64) == []
    assert len(verdicts_on(path, "a" * 64, "b" * 64)) == 2, "of each period one"


def test_a_verdict_that_tells_times_is_none_on_the_same_samples_at_other_times(path):
    at = {"sample_seconds": 3600.0, "start": "2024-01-01T00:00:00"}
    hourly = keep_verdict(path, named(verdict(), **at))
    plain = keep_verdict(path, named(verdict(period=32.0), sample_seconds=0.0))
    for times, found in (
        (at, {hourly, plain}), (at | {"sample_seconds": np.nextafter(3600.0, 0)}, {hourly, plain}),
        (at | {"sample_seconds": 86400.0}, {plain}), (at | {"start": "1990-01-01T00:00:00"}, {plain}), ({}, {plain}),
    ):  # fmt: skip
        assert {kept.group for kept in verdicts_on(path, "", **times)} == found, times


def test_a_later_question_about_one_head_or_an_unfinished_one_hides_no_full_answer(path):
    every = keep_verdict(path, verdict())
    one = named(verdict(), heads=[["decoder.0", 1]]).assign_attrs(created="2001-01-01T00:00:00+00:00")
    keep_verdict(path, one)
    half = named(verdict(stages=schema.STAGES[:2]), seed=7).assign_attrs(created="2002-01-01T00:00:00+00:00")
    keep_verdict(path, half)
    assert len(stored_verdicts(path)) == 3
    assert [kept.group for kept in verdicts_on(path, "")] == [every]


def test_a_shorter_answer_does_not_take_the_place_of_a_fuller_one(path):
    group = keep_verdict(path, verdict())
    assert keep_verdict(path, verdict(stages=schema.STAGES[:3])) == group
    assert find_verdict(path, schema.facts(verdict(), "question")).identical(verdict())


def test_an_unfinished_answer_is_found_unless_another_of_the_questions_has_a_full_one(path):
    within = named(verdict(stages=schema.STAGES[:2]), budget=1.0)
    keep_verdict(path, within)
    questions = [schema.facts(each, "question") for each in (verdict(), within)]
    assert not schema.complete(find_verdict(path, *questions))
    keep_verdict(path, verdict())
    assert schema.complete(find_verdict(path, *reversed(questions)))


def test_a_store_without_room_is_refused_before_work_on_a_question_begins(path, monkeypatch):
    check_keeping(path)
    monkeypatch.setattr("vitime_cache.store.local_objects.LocalObjects.free_bytes", lambda _: 10_000)
    with pytest.raises(StoreError, match="make room on this disk"):
        check_keeping(path)

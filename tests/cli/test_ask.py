"""The command `ask`: on a file, on a store, on the catalogue; what it prints, writes and keeps."""

from __future__ import annotations

import argparse
import errno
import json
import re
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.conftest import random_model
from vitime_cache.charts.card import verdict_card
from vitime_cache.cli import console
from vitime_cache.cli.ask import _write
from vitime_cache.cli.main import main
from vitime_cache.evidence import ask as engine
from vitime_cache.evidence.levels.table import LEVEL, STAGES
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.model.checkpoint import save_safetensors
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.store.reader import open_store
from vitime_cache.store.verdicts import stored_verdicts, verdicts_on

HOSTILE = "<script>alert(1)</script>&\"'[bold]"
OPTIONS = "--weights small.safetensors --nulls 19"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    config = ViTimeConfig(
        image_height=16, context_columns=160, horizon_columns=80, patch_height=8, patch_width=8,
        encoder_width=16, encoder_depth=1, decoder_width=8, decoder_depth=1, heads=2,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_safetensors(random_model(config), path, note="adapted on 1 series of a.csv (SHA-256 0123)")
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch, weights) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "small.safetensors").symlink_to(weights)
    time = np.arange(260)
    noise = np.random.default_rng(0).standard_normal((2, 260))
    day = np.sin(2 * np.pi * time / 24) + 0.2 * noise[0]
    rows = "\n".join(f"{a:.4f},{b:.4f}" for a, b in zip(day, noise[1], strict=True))
    (tmp_path / "data.csv").write_text(f"daily,noise\n{rows}\n")
    return tmp_path


def run(command: str) -> int:
    return main(command.split())


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "s.zarr")


def test_a_file_is_answered_with_a_plan_each_level_the_headline_a_table_a_card_and_every_number(folder, capsys):
    assert run(f"ask data.csv --signal daily {OPTIONS} --card day.html --json day.json") == 0
    told = capsys.readouterr().out
    assert re.search(r"daily: a period of 2[34]\.?\d* samples, the strongest of the series\.", told)
    assert "weights small: adapted on 1 series of a.csv (SHA-256 0123)" in told
    assert "It takes about" in told
    begins = [told.index(f"\n{LEVEL[stage].title}: ") for stage in STAGES]
    assert begins == sorted(begins), "levels in their order"
    document = json.loads((folder / "day.json").read_text())
    flat = " ".join(told.split())
    assert begins[1] < told.index("Tested on one window") < begins[2], "the headline comes after two levels"
    assert flat.endswith("written: day.json written: day.html")
    assert " ".join(document["headline"].split()) in flat
    assert "encoder.0 1" in told
    assert "Not shown by this:" in told
    assert document["attributes"]["question"]["signal"] == "daily"
    assert (folder / "day.html").read_text().count("<svg") >= 3
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv", "day.html", "day.json", "small.safetensors"]


@pytest.mark.usefixtures("folder")
def test_json_to_standard_output_is_all_that_is_there(capsys):
    assert run(f"ask data.csv --signal daily --period 24 {OPTIONS} --json -") == 0
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert document["headline"].split(":")[0] in told.err
    assert set(document) >= {"answer", "headline", "influence", "mechanism", "set", "heads", "variables"}


class Interrupted:
    """Ctrl-C while a level is worked on."""

    def __init__(self, monkeypatch, level: str) -> None:
        real = engine.answers

        def answers(*args):
            for verdict in real(*args):
                yield verdict
                if vschema.facts(verdict, "stages")[-1] == level:
                    raise KeyboardInterrupt

        monkeypatch.setattr(engine, "answers", answers)


def test_files_of_an_answer_take_away_what_a_killed_one_left_beside_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("a.json", "card.html")
    for name in names:
        Path(f"{name}.01234567.partial").write_text("half")
    _write(mock_verdict(), argparse.Namespace(json=Path("a.json"), card=Path("card.html"), social=None))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_ctrl_c_keeps_finished_levels_and_the_question_goes_on_from_them(folder, capsys, monkeypatch):
    assert run("build data.csv --weights small.safetensors --horizon 60 --store s.zarr --quiet") == 0
    command = f"ask s.zarr --signal daily --period 24 {OPTIONS}"
    with monkeypatch.context() as patch:
        Interrupted(patch, "set")
        assert run(command) == 130
    told = " ".join(capsys.readouterr().err.split())
    assert "Finished levels are kept in s.zarr (influence, mechanism, set): the same question continues" in told
    (kept,) = stored_verdicts("s.zarr")
    assert kept.stages == ("influence", "mechanism", "set")
    assert run(command) == 0
    told = capsys.readouterr().out
    assert "Continues from finished levels: influence, mechanism, set" in told
    assert "\nInfluence: " not in told, "nothing is worked out twice"
    assert [kept.complete for kept in stored_verdicts("s.zarr")] == [True]
    with monkeypatch.context() as patch:
        Interrupted(patch, "influence")
        assert run(f"ask data.csv --signal noise --period 24 {OPTIONS} --json part.json --quiet") == 130
    told = " ".join(capsys.readouterr().err.split())
    assert "(influence) are not kept" in told
    assert "Written so far: part.json" in told
    part = json.loads((folder / "part.json").read_text())
    assert (part["complete"], part["answer"], part["kind"]) == (False, "open", "open")


@pytest.mark.usefixtures("folder")
def test_a_reader_that_is_gone_costs_no_finished_level(monkeypatch):
    assert run("build data.csv --weights small.safetensors --horizon 60 --store s.zarr --quiet") == 0

    def gone(*_: object) -> None:
        monkeypatch.setattr(console.console, "print", gone)
        raise BrokenPipeError

    monkeypatch.setattr(console, "show_level", gone)
    run(f"ask s.zarr --signal daily --period 24 {OPTIONS}")
    assert [kept.stages for kept in stored_verdicts("s.zarr")] == [("influence",)]


@pytest.mark.usefixtures("folder")
def test_an_answer_that_cannot_be_kept_is_shown_all_the_same_and_costs_a_line(capsys, monkeypatch):
    assert run("build data.csv --weights small.safetensors --horizon 60 --store s.zarr --quiet") == 0
    command = f"ask s.zarr --signal daily --period 24 {OPTIONS} --quiet"

    with monkeypatch.context() as patch:
        patch.setattr("vitime_cache.store.evidence_groups.check_keeping", no_room)
        assert run(command) == 0
    told = capsys.readouterr()
    no_space = "s.zarr: no space left on device; make room on this disk, or choose another place"
    assert f"what is found will not be kept, only shown: {no_space}" in " ".join(told.err.split())
    assert "Not shown by this" in told.out
    assert stored_verdicts("s.zarr") == []
    with monkeypatch.context() as patch:
        patch.setattr("vitime_cache.store.verdicts.keep_verdict", no_room)
        assert run(command) == 1
    told = capsys.readouterr()
    assert f"the answer could not be kept in s.zarr: {no_space}" in " ".join(told.err.split())
    assert "Not shown by this" in told.out
    assert "Traceback" not in told.err


@pytest.mark.usefixtures("folder")
def test_a_store_that_is_not_there_is_made_for_the_answer_about_a_file(capsys, monkeypatch):
    command = f"ask data.csv --signal daily --period 24 --store new.zarr {OPTIONS}"
    with monkeypatch.context() as patch:
        Interrupted(patch, "mechanism")
        assert run(command) == 130
    told = capsys.readouterr()
    assert "new.zarr is a new store: the attention of daily is written into it first" in told.out
    assert "Finished levels are kept in new.zarr (influence, mechanism)" in " ".join(told.err.split())
    assert list(open_store("new.zarr")["signal"].values) == ["daily"]
    assert run(command) == 0
    told = capsys.readouterr().out
    assert "is a new store" not in told
    assert "Continues from finished levels: influence, mechanism." in told
    assert [kept.complete for kept in stored_verdicts("new.zarr")] == [True]
    assert run("verify new.zarr") == 0


def test_a_question_refused_makes_no_store_and_a_store_that_cannot_be_made_costs_a_line(folder, capsys, monkeypatch):
    assert run(f"ask data.csv --signal daily --period 900 --store new.zarr {OPTIONS}") == 1
    assert not (folder / "new.zarr").exists()
    (folder / "taken").write_text("notes")
    assert run(f"ask data.csv --signal daily --period 24 --store taken/new.zarr {OPTIONS}") == 1
    assert "taken is a file" in capsys.readouterr().err

    monkeypatch.setattr("vitime_cache.store.build.build", no_room)
    assert run(f"ask data.csv --signal daily --period 24 --store new.zarr {OPTIONS} --quiet") == 0
    told = capsys.readouterr()
    assert "what is found will not be kept, only shown: " in told.err
    assert "Not shown by this" in told.out


@pytest.mark.usefixtures("folder")
def test_without_a_store_the_plan_says_that_nothing_is_kept(capsys, monkeypatch):
    command = f"ask data.csv --signal daily --period 24 {OPTIONS}"
    with monkeypatch.context() as patch:
        Interrupted(patch, "influence")
        assert run(command) == 130
    told = " ".join(capsys.readouterr().out.split())
    assert "Nothing is kept: with --store NAME.zarr it is, also when you interrupt." in told
    assert "Not answered yet: " in told, "what was found so far is told at the end"


@pytest.mark.usefixtures("folder")
def test_a_column_called_like_a_stored_signal_is_not_that_signal():
    assert run("build data.csv --weights small.safetensors --horizon 60 --store s.zarr --quiet") == 0
    Path("other.csv").write_text(Path("data.csv").read_text().replace("daily,noise", "noise,daily"))
    for file in ("data.csv", "other.csv"):
        assert run(f"ask {file} --store s.zarr --signal daily --period 24 {OPTIONS} --quiet") == 0
    first, second = stored_verdicts("s.zarr")
    assert first.signal == second.signal == "daily"
    assert first.series != second.series
    assert [kept.group for kept in verdicts_on("s.zarr", first.series)] == [first.group]


@pytest.mark.usefixtures("folder")
def test_a_stores_verdict_is_kept_and_asking_again_costs_nothing(capsys):
    assert run("build data.csv --weights small.safetensors --horizon 60 --store s.zarr --quiet") == 0
    command = f"ask s.zarr --signal daily --period 24 {OPTIONS}"
    assert run(command) == 0
    assert [kept.signal for kept in stored_verdicts("s.zarr")] == ["daily"]
    first = capsys.readouterr().out
    assert run(command) == 0
    again = capsys.readouterr().out
    assert "answered before" in again
    assert again.splitlines()[-1] == first.splitlines()[-1], "the same words"
    assert run(f"ask data.csv --store s.zarr --signal noise --period 24 {OPTIONS} --quiet") == 0
    assert {kept.signal for kept in stored_verdicts("s.zarr")} == {"daily", "noise"}
    assert run("verify s.zarr --weights small.safetensors") == 0


@pytest.mark.usefixtures("folder")
def test_what_a_budget_allowed_is_found_again_by_the_same_budget_and_all_of_it_by_any(capsys):
    assert run("build data.csv --weights small.safetensors --horizon 60 --store s.zarr --quiet") == 0
    command = f"ask s.zarr --signal daily --period 24 {OPTIONS}"
    in_no_time = f"{command} --budget 0.000001"
    for asked, known in (
        (in_no_time, False), (in_no_time, True), (f"{command} --budget 0.000002", False), (command, False),
        (f"{command} --budget 0.000002", True), (f"{command} --budget 600", True),
    ):  # fmt: skip
        assert run(asked) == 0
        assert ("answered before" in capsys.readouterr().out) == known, asked


@pytest.mark.usefixtures("folder")
def test_a_signal_of_the_catalogue_is_asked_about_by_name_and_quiet_prints_the_answer_alone(capsys):
    command = f"ask --signal greensboro_temperature --period 24 --heads encoder.0:1 --window 120+60 {OPTIONS} --quiet"
    assert run(command) == 0
    told = capsys.readouterr().out
    assert "and 1 of 4 heads" in " ".join(told.split())
    assert told.strip().count("Not shown by this") == 1
    assert "┃" not in told


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("ask", "name a file, a store, or a signal of the catalogue|which signal"),
        ("ask data.csv", "which signal? Give --signal; there are daily, noise"),
        ("ask data.csv --signal nope", "no signal 'nope'"),
        ("ask data.csv --signal noise", "stands out of noise; name the one to ask about"),
        ("ask data.csv --signal daily --period 2.5 --window 160+80", "cannot be seen"),
        ("ask data.csv --signal daily --heads decoder.7:0", "decoder.7"),
        ("ask nothing.csv", "no file"),
        ("ask a.zarr --store b.zarr --signal day", "two stores"),
        ("ask data.csv --signal daily --period 1.5", "at least 2 samples"),
        ("ask data.csv --signal daily --period 1e-300", "at least 2 samples"),
        ("ask data.csv --signal daily --period 24 --json none/day.json", "no folder none; make it first"),
        ("ask data.csv --signal daily --period 24 --card .", ". is a folder; name a file in it"),
        ("ask data.csv --signal daily --period 24 --card ./day --json day", "day is named twice"),
        ("ask data.csv --signal daily --period 24 --card Day --json day", "Day is named twice"),
        ("ask data.csv --signal daily --period 24 --card data.csv", "data.csv is named twice and would be overwritten"),
        ("ask data.csv --signal daily --json small.safetensors", "small.safetensors is named twice"),
    ],
)
def test_what_cannot_be_asked_is_one_line_that_says_what_to_do(capsys, command, message):
    assert run(f"{command} --weights small.safetensors") == 1
    errors = " ".join(capsys.readouterr().err.split())
    assert any(each in errors for each in message.split("|")), errors
    assert "Traceback" not in errors


def test_files_to_write_are_checked_before_the_model_runs_and_an_input_is_never_one_of_them(
    folder, capsys, monkeypatch
):
    monkeypatch.setattr("vitime_cache.evidence.ask.answers", lambda *_: pytest.fail("the question was asked"))
    before = (folder / "data.csv").read_bytes()
    (folder / "loop").symlink_to("loop")
    for flags in ("--card data.csv", "--json ../nowhere/x.json", "--card x --json x", "--store loop --json x"):
        assert run(f"ask data.csv --signal daily --period 24 {OPTIONS} {flags}") == 1
    monkeypatch.setattr("os.access", lambda *_: False)
    assert run(f"ask data.csv --signal daily --period 24 {OPTIONS} --card x.html") == 1
    assert "the folder . is read-only; choose another" in capsys.readouterr().err
    assert (folder / "data.csv").read_bytes() == before


@pytest.mark.parametrize("many", [False, True])
def test_a_file_that_cannot_be_written_costs_a_line_and_neither_the_answer_nor_the_other_files(
    folder, capsys, monkeypatch, many
):
    def full_for_json(path: Path, content: bytes) -> None:
        if path.suffix == ".json":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        path.write_bytes(content)

    monkeypatch.setattr("vitime_cache.cli.keeping.write_whole", full_for_json)
    whom = "--all --weights small.safetensors" if many else f"--signal daily {OPTIONS}"
    assert run(f"ask data.csv {whom} --period 24 --json day.json --card day.html --quiet") == 1
    told = capsys.readouterr()
    assert " ".join(told.err.split()).count("error: day.json: no space left on device; make room on this disk") == 1
    assert "whole periods" in told.out
    assert (folder / "day.html").stat().st_size > 1000


def test_what_was_asked_for_is_written_though_nobody_reads_what_is_printed(folder, monkeypatch):
    def nobody(*_: object, **__: object) -> None:
        raise SystemExit(1)  # what rich does when the reader is gone

    monkeypatch.setattr("vitime_cache.cli.console.show_verdict", nobody)
    with pytest.raises(SystemExit):
        run(f"ask data.csv --signal daily --period 24 {OPTIONS} --json day.json --quiet")
    assert json.loads((folder / "day.json").read_text())


def test_a_period_may_be_a_span_of_time_and_what_a_file_leaves_open_is_said_by_flags(folder, capsys):
    time = np.arange("2016-03-10", "2016-03-20", dtype="M8[h]")
    rows = [f"{hour},ON,{np.sin(2 * np.pi * i / 24):.4f}" for i, hour in enumerate(time) if i not in (30, 31)]
    (folder / "gap.csv").write_text("date,state,load\n" + "\n".join(rows))
    command = f"ask gap.csv --period 1d --heads encoder.0:1 --window 120+60 {OPTIONS} --quiet --json out.json"
    assert run(command) == 1
    assert "2 steps of 1 hour missing, the first after '2016-03-11 05:00' in row 31" in capsys.readouterr().err
    assert run(f"{command} --fill interpolate") == 0
    assert "note: gap.csv: load read; left out as no series: state" in capsys.readouterr().err
    assert json.loads((folder / "out.json").read_text())["attributes"]["question"]["period"] == 24
    assert run(f"ask data.csv --signal daily --period 1d {OPTIONS} --quiet") == 1
    assert "the spacing of the samples is not known: give '1d' in samples" in capsys.readouterr().err


def test_a_small_variation_on_a_high_level_is_answered_alike_from_a_file_and_from_a_store(folder):
    noise = np.random.default_rng(0).standard_normal(260)
    meter = 12e6 + 0.1 * np.sin(2 * np.pi * np.arange(260) / 24) + 0.02 * noise  # float32 holds steps of 1 there
    (folder / "meter.csv").write_text("kWh\n" + "\n".join(map(repr, meter.tolist())))
    assert run("build meter.csv --store meter.zarr --weights small.safetensors --horizon 40 --quiet") == 0
    for source in ("meter.csv", "meter.zarr"):
        assert run(f"ask {source} {OPTIONS} --quiet --json {Path(source).suffix[1:]}.json") == 0
    file, store = (json.loads((folder / name).read_text()) for name in ("csv.json", "zarr.json"))
    assert file.pop("attributes")["question"] == store.pop("attributes")["question"]
    assert file == store


@pytest.mark.usefixtures("folder")
def test_a_folder_is_asked_about_as_the_store_it_is(capsys):
    assert run("build data.csv --weights small.safetensors --horizon 60 --store plain --quiet") == 0
    assert run(f"ask plain --signal daily --period 24 {OPTIONS} --quiet") == 0
    assert [kept.signal for kept in stored_verdicts("plain")] == ["daily"]
    capsys.readouterr()
    save_safetensors(random_model(ViTimeConfig(image_height=16, context_columns=160, horizon_columns=80, patch_height=8,
                                               patch_width=8, encoder_width=16, encoder_depth=1, decoder_width=8,
                                               decoder_depth=1, heads=2), seed=1), "other.safetensors")  # fmt: skip
    assert run("ask plain --signal daily --weights other.safetensors") == 1
    told = "other.safetensors is not what plain was built with: name the file of small with --weights"
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("flag", ["--heads decoder", "--window 512", "--nulls 18", "--period -1", "--budget 0"])
def test_a_flag_that_makes_no_sense_names_the_usage(capsys, flag):
    with pytest.raises(SystemExit):
        run(f"ask data.csv {flag}")
    assert "usage: python -m vitime_cache ask" in capsys.readouterr().err


class Page(HTMLParser):
    """Tags, attributes that run code or fetch, and the text of JSON blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.risky: list[str] = []
        self.json = ""
        self.inside = ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside = tag
        kind = dict(attributes).get("type")
        self.risky += (
            [tag]
            if tag in ("iframe", "object", "link", "img") or (tag == "script" and kind != "application/json")
            else []
        )
        self.risky += [name for name, _ in attributes if name.startswith("on") or name in ("src", "href", "xlink:href")]

    def handle_endtag(self, _):
        self.inside = ""

    def handle_data(self, data):
        self.json += data if self.inside == "script" else ""


def with_every_text(verdict: xr.Dataset) -> xr.Dataset:
    """Hostile texts in the place of each in each fact, where a reader would take them."""
    for name in vschema.ATTRIBUTES:
        for place in texts_in(vschema.facts(verdict, name)):
            facts = vschema.facts(verdict, name)
            changed = vschema.with_facts(verdict, **{name: put(facts, place)})
            with suppress(vschema.VerdictError):
                vschema.validate(changed)
                verdict = changed
    return verdict


def texts_in(fact, place=()):
    """Where in a fact texts stand: keys and numbers, one inside the other."""
    if isinstance(fact, str):
        return [place]
    inside = fact.items() if isinstance(fact, dict) else enumerate(fact) if isinstance(fact, list) else ()
    return [found for key, value in inside for found in texts_in(value, (*place, key))]


def put(fact, place):
    if not place:
        return HOSTILE
    copy = fact.copy()
    copy[place[0]] = put(fact[place[0]], place[1:])
    return copy


def test_a_card_stands_alone_and_a_hostile_name_is_text_in_it():
    page = Page()
    hostile = mock_verdict(signal=HOSTILE)
    question = vschema.facts(hostile, "question")  # facts of another type are refused when read
    hostile = vschema.with_facts(hostile, question=question | {"signal": HOSTILE, "weights": HOSTILE})
    hostile = vschema.with_facts(hostile, dropped=[HOSTILE], families=[[[HOSTILE, 0]]], weights=HOSTILE)
    hostile = with_every_text(hostile.assign_attrs(created=HOSTILE))
    html = verdict_card(hostile)
    page.feed(html)
    assert not page.risky
    assert page.tags.count("script") == 1
    assert page.tags.count("svg") == 13
    assert "&lt;script&gt;alert" in html
    assert json.loads(page.json)["attributes"]["question"]["signal"] == HOSTILE
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in html


def test_a_card_of_an_unfinished_verdict_says_so_and_shows_what_there_is():
    html = verdict_card(mock_verdict(stages=("influence",)))
    assert "Not finished" in html
    assert "Not worked on yet" in html
    assert "No picture" not in html, "a level that is still to come is told once, not at each of its pictures"
    assert "<h2>Heads</h2>" not in html
    html = verdict_card(mock_verdict(stages=("influence", "mechanism", "set", "heads")))
    assert "<h2>Heads</h2>" in html
    assert "<h2>Looking against mattering</h2>" not in html
    assert "No picture" not in html

"""The command `ask --all`: what it counts, keeps, goes on from and refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.cli.test_ask import folder, no_room, run, weights  # noqa: F401
from vitime_cache.evidence.population import ask_all as engine
from vitime_cache.evidence.population import schema as population_schema
from vitime_cache.model.checkpoint import load_model
from vitime_cache.series.sources import read_signals
from vitime_cache.store.build import BuildProgress, build
from vitime_cache.store.populations import stored_populations
from vitime_cache.store.reader import open_store
from vitime_cache.store.verdicts import stored_verdicts

OPTIONS = "--weights small.safetensors"


@pytest.fixture
def several(folder):  # noqa: F811
    time, noise = np.arange(260), np.random.default_rng(0).standard_normal((3, 260))
    columns = {
        "daily": np.sin(2 * np.pi * time / 24) + 0.2 * noise[0], "noise": noise[1], "flat": np.ones(260),
        "slow": np.sin(2 * np.pi * time / 30) + 0.2 * noise[2],
    }  # fmt: skip
    rows = zip(*columns.values(), strict=True)
    text = "\n".join(",".join(f"{value:.4f}" for value in row) for row in rows)
    (folder / "many.csv").write_text(f"{','.join(columns)}\n{text}\n")
    return folder


def flat(text: str) -> str:
    return " ".join(text.split())


def test_all_signals_of_a_file_are_answered_with_a_line_each_a_headline_a_card_and_every_number(several, capsys):
    assert run(f"ask many.csv --all {OPTIONS} --card many.html --json many.json") == 0
    told = flat(capsys.readouterr().out)
    document = json.loads((several / "many.json").read_text())
    assert "all 4 signals" in told
    for name in ("daily", "noise", "flat", "slow"):
        assert f"{name}: " in told
    assert "noise: not asked: no period of 'noise' stands out of noise; " in told
    assert document["headline"] in told
    assert document["answered"] == 2
    assert document["kinds"]["constant"] == document["kinds"]["no period"] == 1
    assert "1 signal not asked about: it is constant." in told
    assert document["headline"] in (several / "many.html").read_text()
    assert told.endswith("written: many.json written: many.html")


@pytest.mark.usefixtures("several")
def test_ctrl_c_keeps_finished_signals_and_the_same_command_goes_on_from_them(capsys, monkeypatch):
    assert run("build many.csv --weights small.safetensors --horizon 60 --store s.zarr --quiet") == 0
    real = engine.answers
    asked = []

    def interrupted(model, question, progress):
        asked.append(question.signal.name)
        if len(asked) == 2:
            raise KeyboardInterrupt
        yield from real(model, question, progress)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "answers", interrupted)
        assert run(f"ask s.zarr --all {OPTIONS} --quiet") == 130
    assert "3 of 4 signals are kept in s.zarr: the same question continues" in flat(capsys.readouterr().err)
    (table,) = stored_populations("s.zarr").values()
    assert not population_schema.complete(table)
    assert run(f"ask s.zarr --all {OPTIONS}") == 0
    told = flat(capsys.readouterr().out)
    assert "3 of them were answered before: read from s.zarr" in told
    assert "daily: " not in told, "nothing is worked out twice"
    (table,) = stored_populations("s.zarr").values()
    assert population_schema.complete(table)
    assert {each.signal for each in stored_verdicts("s.zarr")} == {"daily", "slow"}, "each signal's own verdict, too"
    assert run(f"ask s.zarr --all --sample 2 {OPTIONS}") == 0
    assert "2 of 4 signals, drawn by seed 0" in (told := flat(capsys.readouterr().out))
    assert "2 of them were answered before" in told
    assert run("verify s.zarr") == 0


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(("end", "status"), [(None, 1), (KeyboardInterrupt, 130)])
def test_answers_that_cannot_be_kept_are_told_once_and_in_the_status(capsys, monkeypatch, end, status):
    """A verdict fails and the table would not: both are lost to the store."""
    monkeypatch.setattr("vitime_cache.store.verdicts.keep_verdict", no_room)
    real = engine.answers

    def answers(model, question, progress):
        if question.signal.name == "slow" and end:
            raise end
        yield from real(model, question, progress)

    monkeypatch.setattr(engine, "answers", answers)
    assert run(f"ask many.csv --all --store new.zarr --quiet {OPTIONS}") == status
    told = flat(capsys.readouterr().err)
    assert told.count("the answers could not be kept in new.zarr") == 1
    assert ("3 of 4 signals are finished, and not all of them could be kept" in told) == (end is not None)
    assert "with --store" not in told


@pytest.mark.usefixtures("several")
def test_a_store_that_is_not_there_is_made_of_the_drawn_signals(capsys):
    assert run(f"ask many.csv --all --sample 2 --store new.zarr {OPTIONS}") == 0
    told = flat(capsys.readouterr().out)
    assert "new.zarr is a new store: the attention of 2 signals is written into it first" in told
    assert len(open_store("new.zarr")["signal"]) == 2
    assert len(stored_populations("new.zarr")) == 1


@pytest.mark.usefixtures("several")
def test_a_new_store_whose_build_was_killed_is_written_to_its_end_by_the_same_command(capsys):
    def killed(progress: BuildProgress) -> None:
        if progress.done == 1:
            raise KeyboardInterrupt

    signals, model = read_signals("many.csv"), load_model("small.safetensors")
    with pytest.raises(KeyboardInterrupt):
        build(signals, "cut.zarr", model, batch_size=1, progress=killed)
    assert len(open_store("cut.zarr")["signal"]) == 1
    for first in (True, False):
        assert run(f"ask many.csv --all --store cut.zarr {OPTIONS}") == 0
        told = "cut.zarr was not written to its end: the attention of 3 signals is written into it first"
        assert (told in flat(capsys.readouterr().out)) == first
        assert list(open_store("cut.zarr")["signal"].values) == [signal.name for signal in signals]


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--all --signal daily", "--all and --signal do not go together"),
        ("--all --heads decoder.0:1", "--all and --heads do not go together: the few heads are chosen among all"),
        ("--all --budget 2", "--all and --budget do not go together: --sample asks fewer signals"),
        ("--all --nulls 19", "--all and --nulls do not go together: looking is left out"),
        ("--all --nulls 99", "--all and --nulls do not go together: looking is left out"),
        ("--sample 3", "--sample draws among all signals: give --all with it"),
        ("--all --card nowhere/a.html", "there is no folder nowhere"),
    ],
)
def test_flags_that_make_no_sense_together_cost_a_line(capsys, flags, said):
    assert run(f"ask many.csv {OPTIONS} {flags}") == 1
    assert said in flat(capsys.readouterr().err)


@pytest.mark.usefixtures("several")
def test_json_to_standard_output_is_all_that_is_there_of_many_signals(capsys):
    assert run(f"ask many.csv --all --sample 2 --period 24 {OPTIONS} --json -") == 0
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert len(document["signals"]) == 2
    assert document["headline"] in flat(told.err)

"""`ask`: does the forecast use what lies one period back, through attention there, through which heads?"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitime_cache.cli import ask_all, console, keeping
from vitime_cache.cli.arguments import (
    CONFIG_HELP,
    FILES_HELP,
    PLACE_HELP,
    STDOUT,
    UsageError,
    add_reading,
    at_least,
    check_outputs,
    check_reading,
    one_store,
    positive,
    reading_of,
    span,
)
from vitime_cache.errors import VitimeError, in_words

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

    from vitime_cache.evidence.question import Question
    from vitime_cache.model.network import ViTime
    from vitime_cache.series.signal import Signal

PURPOSE = "does the forecast use what lies one period back, and through which heads?"
EXAMPLE = "load.csv --period 24 --card day.html"
AFTER_INTERRUPT = "No level was finished, so no answer was kept."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `ask`."""
    add = parser.add_argument
    add("source", nargs="?", metavar="FILE|STORE",
        help=f"{FILES_HELP}, or a store; without either, --signal names one of the catalogue")  # fmt: skip
    add("--store", help="the store to ask about; with a FILE, the one that keeps the answer, made if it is not there "
        f"(without it, nothing is kept): {PLACE_HELP}")  # fmt: skip
    add("--signal", metavar="NAME", help="one of several signals")
    add("--all", action="store_true", help="all signals: the share with a yes, and on how many each head carries it")
    add("--sample", type=at_least(1), metavar="N", help="with --all: the number of signals to draw by --seed")
    add("--period", type=span, help="24 samples, 24h, 1d, '2 weeks' (default: the strongest period of the series)")
    add("--heads", nargs="+", type=_head, metavar="LAYER:HEAD", help="such as decoder.1:6 (default: all)")
    add("--window", type=_window, metavar="T+H", help="history and horizon in samples (default: chosen to fit)")
    add(
        "--budget",
        type=positive("minutes"),
        metavar="MINUTES",
        help="test fewer heads rather than take longer; says what it leaves out",
    )
    add("--nulls", type=at_least(19), metavar="N",
        help="null inputs of each kind (99); several windows share them, with up to 39 for each at least")  # fmt: skip
    add("--seed", type=at_least(0), default=0)
    add("--weights", help="weights file (default: weights/ViTime_Model.pth, else the shipped model)")
    add("--config", help=CONFIG_HELP)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:0")
    add_reading(parser)
    add("--json", type=Path, metavar="FILE|-", help="write every number there; -: to standard output, text to errors")
    add("--card", type=Path, metavar="FILE.html", help="write a page with pictures and every number there")
    add("--social", type=Path, metavar="FILE.png", help="write the answer as a picture of 1200 × 630 pixels there")
    add("--top", type=at_least(1), default=12, help="heads in the table (12)")
    add("--quiet", action="store_true", help="print only the answer and what it does not show")


def run(args: argparse.Namespace) -> int:
    """Print the plan, run it, print the answer, write the requested files, and keep the verdict in the store."""
    from vitime_cache.evidence.levels.nulls import NULLS
    from vitime_cache.evidence.question import prepare
    from vitime_cache.evidence.verdict import schema as vschema
    from vitime_cache.model.checkpoint import load_model
    from vitime_cache.store.reader import open_store
    from vitime_cache.store.verdicts import find_answer

    source, store = _places(args)
    _check_all(args)
    check_reading(args, source)
    check_outputs([None if args.json == STDOUT else args.json, args.card, args.social], [source, store, args.weights])
    new = keeping.is_new(store, source)
    ds = None if store is None or new else open_store(store)
    if ds is not None:
        _check_weights(args.weights, args.config, ds, str(store))
    model = load_model(args.weights, args.device, "float32" if ds is None else ds.attrs["dtype"], config=args.config)
    if args.all:
        return ask_all.run(args, model, _signals(args, source, ds, model), store, new=new)
    signal = _signal(args, source, store, ds, model)
    question = prepare(
        model, signal, args.period, heads=args.heads or "all", nulls=args.nulls or NULLS, window=args.window,
        budget=args.budget, seed=args.seed,
    )  # fmt: skip
    out = console.errors if args.json == STDOUT else console.console
    if model.weights.note and not args.quiet:
        out.print(f"weights {model.weights.name}: {model.weights.note}")
    known = None if ds is None else find_answer(str(store), model, question)
    if known is not None and vschema.complete(known):
        if not args.quiet:
            out.print(f"{question.words}\nanswered before: read from {store}")
        return _tell(known, args, out)
    keeper = _Keeper(store, args, known)
    try:
        verdict = _answer(model, question, args, out, keeper, new=new)
    except BaseException:
        keeper.after_the_end(out)
        raise
    try:
        status = _tell(verdict, args, out)
    finally:  # keep the verdict even if printing fails
        kept = keeper.keep()
    return max(status, kept)


class _Keeper:
    """The latest partial verdict, and the store that keeps it."""

    def __init__(self, store: str | None, args: argparse.Namespace, known: xr.Dataset | None) -> None:
        self.store, self.args, self.start = store, args, known
        self.verdict = known

    def keep(self) -> int:
        """Keep the verdict and return the exit status; it has been printed by now, so a failure costs one line."""
        from vitime_cache.store.verdicts import keep_verdict

        if self.store is None or self.verdict is None or self.verdict is self.start:
            return 0
        try:
            keep_verdict(self.store, self.verdict)
        except (VitimeError, OSError) as error:
            console.errors.print(f"the answer could not be kept in {self.store}: {in_words(error)}")
            return 1
        return 0

    def after_the_end(self, out: Console) -> None:
        """After an interruption or a failure: keep finished levels, and print what they say."""
        from vitime_cache.evidence.verdict import schema as vschema
        from vitime_cache.evidence.verdict.headline import headline

        if self.verdict is None:
            return
        levels = ", ".join(vschema.facts(self.verdict, "stages"))
        if self.store is not None and self.keep() == 0:
            told = f"Finished levels are kept in {self.store} ({levels}): the same question continues from them."
        else:
            told = f"Finished levels ({levels}) are not kept: with --store a question continues from them."
        written: list[str] = []
        with suppress(OSError):  # nobody may read it any more
            out.print(headline(self.verdict))
        with suppress(OSError):  # nobody may read why one could not be written
            written = [str(path) for path in _write(self.verdict, self.args)[0]]
        self.args.after_interrupt = told + (f" Written so far: {', '.join(written)}." if written else "")


def _tell(verdict: xr.Dataset, args: argparse.Namespace, out: Console) -> int:
    """Write the requested files, then print the answer; files come first, because a pipe may close while printing."""
    from vitime_cache.evidence.verdict.as_json import to_json

    written, status = _write(verdict, args)
    console.show_verdict(verdict, out, args.top, quiet=args.quiet)
    if args.json == STDOUT:
        print(to_json(verdict))
    if not args.quiet:
        for path in written:
            out.print(f"written: {path}")
    return status


def _write(verdict: xr.Dataset, args: argparse.Namespace) -> tuple[list[Path], int]:
    """Write the requested files; those written, and the exit status."""
    from vitime_cache.charts.card import verdict_card
    from vitime_cache.charts.social import social_card
    from vitime_cache.evidence.verdict.as_json import to_json

    return keeping.write_files([
        (args.json, lambda: to_json(verdict).encode()),
        (args.card, lambda: verdict_card(verdict).encode()),
        (args.social, lambda: social_card(verdict)),
    ])  # fmt: skip


def _places(args: argparse.Namespace) -> tuple[str | None, str | None]:
    """The named file and store."""
    source, store = args.source, args.store
    if source is None or not (source.rstrip("/").endswith(".zarr") or "://" in source or Path(source).is_dir()):
        return source, store
    return None, one_store(source, store)


def _check_weights(weights: str | None, config: str | None, ds: xr.Dataset, store: str) -> None:
    """Raise UsageError for weights that did not build the store."""
    from vitime_cache.model.checkpoint import peek

    found = peek(weights, config=config)[1]
    if found.sha256 != ds.attrs["weights_sha256"]:
        raise UsageError(
            f"{weights or found.name} is not what {store} was built with: name the file of {ds.attrs['weights']} with "
            "--weights"
        )


def _signal(
    args: argparse.Namespace, source: str | None, store: str | None, ds: xr.Dataset | None, model: ViTime
) -> Signal:
    """The signal of the question, from a file, a store or the catalogue."""
    from vitime_cache.series.examples import catalogue
    from vitime_cache.series.sources import read_signals

    if source is not None:
        return _only(read_signals(source, **reading_of(args)), args.signal, source)
    if ds is None:
        return _only(catalogue(), args.signal, "the catalogue")
    from vitime_cache.interventions.named_heads import as_signals

    names = [str(name) for name in np.atleast_1d(ds["signal"].values)]
    name = _only_name(names, args.signal, str(store))
    [stored] = as_signals(model, ds.sel(signal=name))
    return _with_future(stored, catalogue())


def _signals(args: argparse.Namespace, source: str | None, ds: xr.Dataset | None, model: ViTime) -> list[Signal]:
    """All signals of a file, a store or the catalogue."""
    from vitime_cache.interventions.named_heads import as_signals
    from vitime_cache.series.examples import catalogue
    from vitime_cache.series.sources import read_signals

    if source is not None:
        return list(read_signals(source, **reading_of(args)))
    examples = catalogue()
    return examples if ds is None else [_with_future(stored, examples) for stored in as_signals(model, ds)]


def _with_future(stored: Signal, examples: Sequence[Signal]) -> Signal:
    """The signal with its true future, which a store does not have but the catalogue does."""
    for example in examples:
        same = example.name == stored.name and len(example.values) == len(stored.values)
        if same and np.allclose(example.values, stored.values, rtol=1e-5, atol=1e-5 * np.ptp(stored.values)):
            return example
    return stored


def _check_all(args: argparse.Namespace) -> None:
    """Refuse --all together with flags for one signal, and --sample without --all."""
    if not args.all:
        if args.sample is not None:
            raise UsageError("--sample draws among all signals: give --all with it")
        return
    for flag, given, instead in (
        ("--signal", args.signal, "leave one of the two out"),
        ("--heads", args.heads, "the few heads are chosen among all"),
        ("--budget", args.budget, "--sample asks fewer signals"),
        ("--nulls", args.nulls, "looking is left out"),
        ("--social", args.social, "the picture is of one answer"),
    ):
        if given is not None:
            raise UsageError(f"--all and {flag} do not go together: {instead}")


def _only(signals: list[Signal], name: str | None, where: str) -> Signal:
    named = {signal.name: signal for signal in signals}
    return named[_only_name(list(named), name, where)]


def _only_name(names: list[str], name: str | None, where: str) -> str:
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    given = "which signal? Give --signal" if name is None else f"there is no signal {name!r}"
    raise UsageError(f"{where}: {given}; there are {', '.join(names[:20])}{' …' if len(names) > 20 else ''}")


def _answer(
    model: ViTime, question: Question, args: argparse.Namespace, out: Console, keeper: _Keeper, *, new: bool
) -> xr.Dataset:
    """Compute the verdict, and print it level by level."""
    from vitime_cache.evidence.ask import answers, within_budget
    from vitime_cache.evidence.verdict import schema as vschema

    start = keeper.start
    if start is None:
        question = within_budget(model, question)
    if not args.quiet:
        out.print(question.words)
        if start is not None:
            out.print(f"Continues from finished levels: {', '.join(vschema.facts(start, 'stages'))}.")
        out.print(_duration(model, question))
    keeper.store = keeping.ready_store(keeper.store, [question.signal], model, None if args.quiet else out, new=new)
    with nullcontext(lambda *_: None) if args.quiet else console.share_bar() as progress:
        for verdict in answers(model, question, progress, start):
            keeper.verdict = verdict
            if not args.quiet:
                console.show_level(verdict, out)
    return verdict


def _duration(model: ViTime, question: Question) -> str:
    """Estimate how long the question takes, from a few runs."""
    from vitime_cache.evidence.ask import pace

    pace(model, question.windows[-1])  # first runs are slower than those that follow
    minutes = question.effort.seconds(*pace(model, question.windows[-1])) / 60
    amounts = ((60 * minutes, "seconds"), (minutes, "minutes"), (minutes / 60, "hours"), (minutes / 1440, "days"))
    amount, unit = next(each for each in amounts if each[0] < 120 or each[1] == "days")
    said = f"It takes about {max(amount, 1):.0f} {unit}."
    if question.budget is not None and minutes > question.budget:
        said += f" That is over the budget of {question.budget:g} minutes: nothing more can be left out."
    return said


def _head(text: str) -> tuple[str, int]:
    layer, found, number = text.rpartition(":")
    if not found or not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a head such as decoder.1:6")
    return layer, int(number)


def _window(text: str) -> tuple[int, int]:
    parts = re.fullmatch(r"(\d{1,7})\+(\d{1,7})", text)
    if parts is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a window such as 308+154")
    return int(parts[1]), int(parts[2])

"""`ask`: which heads look one period back, and does the forecast use it?"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitime_cache.atomic import replacing
from vitime_cache.cli import console
from vitime_cache.cli.arguments import (
    CONFIG_HELP,
    FILES_HELP,
    STORE_HELP,
    UsageError,
    add_reading,
    at_least,
    check_outputs,
    positive,
    reading_of,
    span,
)

if TYPE_CHECKING:
    import xarray as xr

    from vitime_cache.evidence.question import Question
    from vitime_cache.model.network import ViTime
    from vitime_cache.series.signal import Signal

PURPOSE = "which heads look one period back, and does the forecast use it?"
EXAMPLE = "load.csv --period 24 --card day.html"
AFTER_INTERRUPT = "Nothing was kept: a verdict is kept when it is complete."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `ask`."""
    add = parser.add_argument
    add("source", nargs="?", metavar="FILE|STORE",
        help=f"{FILES_HELP}, or a store; without one, --signal names one of the catalogue")  # fmt: skip
    add("--store", help=f"the store to ask about, and where its verdict is kept: {STORE_HELP}")
    add("--signal", metavar="NAME", help="which of several signals")
    add("--period", type=span, help="24 samples, 24h, 1d, '2 weeks' (default: the strongest period of the series)")
    add("--heads", nargs="+", type=_head, metavar="LAYER:HEAD", help="such as decoder.1:6 (default: all)")
    add("--window", type=_window, metavar="T+H", help="history and horizon in samples (default: chosen to fit)")
    add("--budget", type=positive("minutes"), metavar="MINUTES", help="test fewer heads rather than take longer")
    add("--nulls", type=at_least(19), default=99, help="null inputs of each kind (99)")
    add(
        "--controls",
        type=at_least(1),
        default=99,
        help="other lags masked in each head, and random sets of heads, at most (99)",
    )
    add("--seed", type=at_least(0), default=0)
    add("--weights", help="weights file (default: weights/ViTime_Model.pth, else the shipped model)")
    add("--config", help=CONFIG_HELP)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:0")
    add_reading(parser)
    add("--json", type=Path, metavar="FILE", help="write every number there")
    add("--card", type=Path, metavar="FILE.html", help="write a page with pictures and every number there")
    add("--top", type=at_least(1), default=12, help="heads in the table (12)")
    add("--quiet", action="store_true", help="print the two sentences only")


def run(args: argparse.Namespace) -> int:
    """Say what will be done, do it, and print the verdict."""
    from vitime_cache.evidence.question import prepare
    from vitime_cache.model.checkpoint import load_model
    from vitime_cache.series.spans import to_samples
    from vitime_cache.store.reader import open_store
    from vitime_cache.store.verdicts import find_answer, keep_verdict

    source, store = _places(args)
    check_outputs([args.json, args.card], [source, store, args.weights])
    ds = None if store is None else open_store(store)
    if ds is not None:
        _check_weights(args.weights, args.config, ds, str(store))
    model = load_model(args.weights, args.device, "float32" if ds is None else ds.attrs["dtype"], config=args.config)
    signal = _signal(args, source, store, ds, model)
    period = None if args.period is None else to_samples(args.period, signal.sample_seconds)
    question = prepare(
        model, signal, period, heads=args.heads or "all", nulls=args.nulls, controls=args.controls,
        window=args.window, budget=args.budget, seed=args.seed,
    )  # fmt: skip
    if model.weights.note and not args.quiet:
        console.console.print(f"weights {model.weights.name}: {model.weights.note}")
    verdict = None if store is None else find_answer(store, model, question)
    if verdict is None:
        verdict = _answer(model, question, args)
        if store is not None:
            keep_verdict(store, verdict)
    elif not args.quiet:
        console.console.print(f"{question.words}\nanswered before: read from {store}")
    _write(verdict, args)  # before a word of it is printed: who reads that may leave
    console.show_verdict(verdict, args.top, quiet=args.quiet)
    for path in (args.json, args.card):
        if path is not None and not args.quiet:
            console.console.print(f"written: {path}")
    return 0


def _places(args: argparse.Namespace) -> tuple[str | None, str | None]:
    """The file and the store that were named."""
    source, store = args.source, args.store
    if source is None or not (source.rstrip("/").endswith(".zarr") or "://" in source or Path(source).is_dir()):
        return source, store
    if store not in (None, source):
        raise UsageError(f"two stores were named, {source} and {store}; name one")
    return None, source


def _check_weights(weights: str | None, config: str | None, ds: xr.Dataset, store: str) -> None:
    """Refuse weights that are not the store's."""
    from vitime_cache.model.checkpoint import peek

    found = peek(weights, config=config)[1]
    if found.sha256 != ds.attrs["weights_sha256"]:
        raise UsageError(
            f"{weights or found.name} is not what {store} was built with: name the file of {ds.attrs['weights']} by "
            "--weights"
        )


def _signal(
    args: argparse.Namespace, source: str | None, store: str | None, ds: xr.Dataset | None, model: ViTime
) -> Signal:
    """The signal asked about: of a file, of a store, or of the catalogue."""
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
    # What came after a history is not in a store; of the catalogue's own signals it is known.
    for example in catalogue():
        same = example.name == name and len(example.values) == len(stored.values)
        if same and np.allclose(example.values, stored.values, rtol=1e-5, atol=1e-5 * np.ptp(stored.values)):
            return example
    return stored


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


def _answer(model: ViTime, question: Question, args: argparse.Namespace) -> xr.Dataset:
    from vitime_cache.evidence.ask import answers

    if args.quiet:
        *_, verdict = answers(model, question)
        return verdict
    console.console.print(question.words)
    console.console.print(_duration(model, question))
    with console.share_bar() as progress:
        for verdict in answers(model, question, progress):
            console.show_rung(verdict)
    return verdict


def _duration(model: ViTime, question: Question) -> str:
    """How long it will take, from a few runs."""
    from vitime_cache.evidence.ask import pace

    pace(model, question.windows[-1])  # first runs are slower than those that follow
    minutes = question.effort.seconds(*pace(model, question.windows[-1])) / 60
    amounts = ((60 * minutes, "seconds"), (minutes, "minutes"), (minutes / 60, "hours"), (minutes / 1440, "days"))
    amount, unit = next(each for each in amounts if each[0] < 120 or each[1] == "days")
    whole = f"about {max(amount, 1):.0f} {unit}"
    if question.budget is None or minutes <= question.budget:
        return f"It takes {whole}."
    limit = f"{question.budget:g} minutes"
    return f"All of it would take {whole}: within {limit} fewer windows, controls and heads are tested."


def _write(verdict: xr.Dataset, args: argparse.Namespace) -> None:
    from vitime_cache.evidence.verdict.report import to_json

    if args.json is not None:
        _write_text(args.json, to_json(verdict))
    if args.card is not None:
        from vitime_cache.charts.card import verdict_card

        _write_text(args.card, verdict_card(verdict))


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as stream:
        stream.write(text.encode())


def _head(text: str) -> tuple[str, int]:
    layer, found, number = text.rpartition(":")
    if not found or not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no head such as decoder.1:6")
    return layer, int(number)


def _window(text: str) -> tuple[int, int]:
    parts = re.fullmatch(r"(\d{1,7})\+(\d{1,7})", text)
    if parts is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no window such as 308+154")
    return int(parts[1]), int(parts[2])

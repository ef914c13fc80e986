"""`ask --all`: for what share of many signals the forecast uses what lies one period back, and through which heads."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from vitime_cache.cli import console, keeping
from vitime_cache.cli.arguments import STDOUT
from vitime_cache.errors import VitimeError, in_words

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

    from vitime_cache.evidence.population.ask_all import Many
    from vitime_cache.model.network import ViTime
    from vitime_cache.series.signal import Signal

KEPT_EVERY = 20.0  # seconds of work that a killed process may lose


def run(args: argparse.Namespace, model: ViTime, signals: Sequence[Signal], store: str | None, *, new: bool) -> int:
    """Ask about each signal, keep and print the results, and write the requested files.

    Parameters
    ----------
    new
        Whether the store has to be made first.
    """
    from vitime_cache.evidence.population.ask_all import Many, taken_over
    from vitime_cache.evidence.population.schema import OPEN
    from vitime_cache.store.populations import stored_populations

    out = console.errors if args.json == STDOUT else console.console
    period = None if args.period is None else _number(args.period)
    many = Many.of(signals, period, window=args.window, sample=args.sample, seed=args.seed)
    table = many.blank(model)
    if store is not None and not new:
        table = taken_over(table, list(stored_populations(store).values()))
    to_do = int((table["kind"].values == OPEN).sum())
    if not args.quiet:
        drawn = f"{len(many.signals)} of {many.available} signals, drawn by seed {many.seed}"
        out.print(drawn if len(many.signals) < many.available else f"all {many.available} signals")
        if to_do < len(many.signals):
            out.print(f"{len(many.signals) - to_do} of them were answered before: read from {store}")
    store = keeping.ready_store(store, many.signals, model, None if args.quiet else out, new=new)
    keeper = _Keeper(store, table)
    try:
        _work(model, many, args, out, keeper)
    except BaseException:
        keeper.after_the_end(args)
        raise
    kept = keeper.keep()
    return max(kept, _tell(keeper.table, args, out))


class _Keeper:
    """The latest partial table, and the store that keeps it."""

    def __init__(self, store: str | None, table: xr.Dataset) -> None:
        self.store, self.table = store, table
        self._kept: xr.Dataset | None = None
        self._failed = False  # to keep something; it is tried no more, so that it is said only once
        self._when = time.monotonic()

    def add(self, table: xr.Dataset, verdict: xr.Dataset | None) -> None:
        """Add a finished signal: its verdict is kept at once, the table from time to time."""
        from vitime_cache.store.verdicts import keep_verdict

        self.table = table
        if self.store is None or self._failed:
            return
        if verdict is not None:
            self._try(lambda: keep_verdict(str(self.store), verdict))
        if time.monotonic() - self._when > KEPT_EVERY:
            self.keep()

    def keep(self) -> int:
        """Keep the table and return the exit status: 1 if anything could not be kept."""
        from vitime_cache.store.populations import keep_population

        if not (self.store is None or self._failed or self.table is self._kept):
            self._kept, self._when = self.table, time.monotonic()
            self._try(lambda: keep_population(str(self.store), self.table))
        return int(self._failed)

    def after_the_end(self, args: argparse.Namespace) -> None:
        """After an interruption or a failure: keep finished signals, and say so."""
        from vitime_cache.evidence.population.schema import OPEN

        done, n = int((self.table["kind"].values != OPEN).sum()), self.table.sizes["signal"]
        if not done:
            args.after_interrupt = "No signal was finished, so nothing was kept."
        elif self.store is None:
            args.after_interrupt = f"{done} of {n} signals are not kept: with --store a question continues from them."
        elif self.keep() == 0:
            args.after_interrupt = f"{done} of {n} signals are kept in {self.store}: the same question continues."
        else:
            args.after_interrupt = f"{done} of {n} signals are finished, and not all of them could be kept."

    def _try(self, keep: Callable[[], object]) -> None:
        try:
            keep()
        except (VitimeError, OSError) as error:
            self._failed = True
            console.errors.print(f"the answers could not be kept in {self.store}: {in_words(error)}")


def _work(model: ViTime, many: Many, args: argparse.Namespace, out: Console, keeper: _Keeper) -> None:
    from vitime_cache.evidence.population.ask_all import rows
    from vitime_cache.evidence.population.report import row_words

    with (
        nullcontext(lambda *_: None) if args.quiet else console.share_bar() as progress,
        closing(rows(model, many, keeper.table, progress)) as found,
    ):
        for row in found:
            keeper.add(row.table, row.verdict)
            if not args.quiet:
                out.print(row_words(row.table, row.place))


def _tell(table: xr.Dataset, args: argparse.Namespace, out: Console) -> int:
    """Write the requested files, then print the answer; files come first, because a pipe may close while printing."""
    from vitime_cache.charts.population import population_card
    from vitime_cache.evidence.population.report import to_json

    written, status = keeping.write_files([
        (args.json, lambda: to_json(table).encode()), (args.card, lambda: population_card(table).encode()),
    ])  # fmt: skip
    console.show_population(table, out, args.top, quiet=args.quiet)
    if args.json == STDOUT:
        print(to_json(table))
    if not args.quiet:
        for path in written:
            out.print(f"written: {path}")
    return status


def _number(text: str) -> float | str:
    """A number of samples, or a span of time as written."""
    try:
        return float(text)
    except ValueError:
        return text

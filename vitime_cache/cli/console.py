"""Prints plans, progress and results; nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import filesize
from rich.console import Console, ConsoleDimensions
from rich.measure import measure_renderables
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column, Table

from vitime_cache.numerals import number, percent
from vitime_cache.series.spans import in_words
from vitime_cache.shown import counted, terminal

if TYPE_CHECKING:
    import xarray as xr

    from vitime_cache.series.sources import Signal
    from vitime_cache.store.build import BuildProgress, BuildReport
    from vitime_cache.store.plan import Plan
    from vitime_cache.store.verify import Verification


NARROWEST = 20  # letters; where a terminal has fewer, it breaks the lines
MOST_NAME = 32  # letters of a name, or of a word in a table, up to which it is kept on one line


class _Plain(Console):
    """Names, messages and addresses come from users' files: they are never markup, and credentials are not shown."""

    @property  # type: ignore[misc]  # rich's can be set, which nobody does
    def size(self) -> ConsoleDimensions:
        found = super().size
        return ConsoleDimensions(max(found.width, NARROWEST), found.height)

    def print(self, *objects: Any, **options: Any) -> None:
        shown = [terminal(each) if isinstance(each, str) else each for each in objects]
        for table in (each for each in shown if isinstance(each, Table)):
            self._keep_whole(table)
            options["crop"] = False
        super().print(*shown, **options)

    def _keep_whole(self, table: Table) -> None:
        """Let no figure or word of a table be cut: where there is no room for it, the terminal breaks the lines."""
        wide = self.options.update(max_width=10_000)
        for column in table.columns:
            needs = measure_renderables(self, wide, [column.header, *column.cells])
            column.min_width = min(needs.maximum if column.no_wrap else needs.minimum, MOST_NAME)
            column.overflow = "fold"

    def on_broken_pipe(self) -> None:
        """When nobody reads the output any more, `main` ends the command, as Unix tools do."""
        raise  # the BrokenPipeError that rich is handling as it calls this


console = _Plain(markup=False, emoji=False, highlight=False)
errors = _Plain(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


def show_plan(plan: Plan) -> None:
    """Print what a build will write."""
    config = plan.identity.config
    head = Table(box=None, show_header=False, pad_edge=False)
    head.add_row("store", plan.store)
    head.add_row("weights", plan.identity.weights.name)
    if plan.identity.weights.note:
        head.add_row("", plan.identity.weights.note)
    head.add_row("signals", f"{len(plan.names)} to write, {plan.complete} there already")
    head.add_row("layers × heads", f"{len(config.layers)} × {config.heads}, {config.tokens} tokens")
    head.add_row("token maps of", ", ".join(plan.tokens) or "no layer")
    console.print(head)
    sizes = Table("variable", Column("uncompressed", justify="right"))
    for name, size in plan.bytes.items():
        sizes.add_row(name, filesize.decimal(size))
    sizes.add_section()
    sizes.add_row("together", filesize.decimal(plan.total))
    console.print(sizes)


@contextmanager
def progress_bar(unit: str) -> Iterator[Any]:
    """A bar with `unit` per second and time left; yields the progress callback of a long run."""
    rate, what = TextColumn("{task.fields[rate]}"), TextColumn("{task.description}")
    bar = Bar(BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn(), what, console=errors)
    task = bar.add_task("", total=None, rate="")

    def advance(progress: BuildProgress) -> None:
        bar.start()  # only now: a refused build, or one with nothing to do, shows no bar
        elapsed = bar.tasks[task].elapsed
        rate = f"{progress.done / elapsed:.2f} {unit}/s" if progress.done and elapsed else ""
        bar.update(task, completed=progress.done, total=progress.total, description=progress.name, rate=rate)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def show_report(report: BuildReport) -> None:
    """Print the result of a build."""
    if report.written:
        console.print(
            f"{counted(len(report.written), 'signal')} written to {report.store} ({filesize.decimal(report.bytes)} "
            f"in {report.seconds:.1f} s), {report.complete} were there already"
        )
    else:
        console.print(f"nothing to do: {counted(report.complete, 'signal')} already in {report.store}")
    if report.without_maps:
        first, *more = report.without_maps
        who = f"{first} and {len(more)} more stay" if more else f"{first} stays"
        console.print(f"{who} without some of the requested token maps: to get them, build into another --store")
    if report.dtype_deviation is not None:
        console.print(
            f"their maps differ from float32 by up to {report.dtype_deviation:.2g} of a head's largest value, on "
            f"{report.written[0]}: --dtype float32 where that matters"
        )


def show_info(info: dict[str, Any]) -> None:
    """Print the content of a store."""
    config, complete = info["config"], [signal for signal in info["signals"] if signal["complete"]]
    head = Table(box=None, show_header=False, pad_edge=False)
    head.add_row("store", info["store"])
    head.add_row("weights", f"{info['weights']['name']} (sha256 {info['weights']['sha256'][:12]}…)")
    if info["weights"]["note"]:
        head.add_row("", info["weights"]["note"])
    head.add_row("created", f"{info['created']}, computed in {info['dtype']}")
    head.add_row("layers", f"{config['encoder_depth']} encoder + {config['decoder_depth']} decoder")
    head.add_row("heads", str(config["heads"]))
    head.add_row("token maps of", ", ".join(info["tokens"]) or "no layer")
    head.add_row("size", filesize.decimal(info["total"]))
    for name, size in info["bytes"].items():
        head.add_row("", f"{name} {filesize.decimal(size)}")
    head.add_row("signals", f"{len(complete)} complete of {len(info['signals'])} planned, {info['visible']} visible")
    console.print(head)
    names = _names(signal["name"] for signal in info["signals"])
    table = Table(names, "history", "horizon", "size", "", "description")
    for signal in info["signals"]:
        table.add_row(
            signal["name"],
            str(signal["n_history"]),
            str(signal["horizon"]),
            filesize.decimal(signal["bytes"]) if signal["complete"] else "",
            "complete" if signal["complete"] else "to do",
            signal["description"],
        )
    console.print(table)


def _names(names: Iterable[str]) -> Column:
    """A column of names, which are never cut, so that they can be copied; short ones stay on one line."""
    return Column("signal", no_wrap=max(map(len, names), default=0) <= MOST_NAME)


def show_signals(signals: Sequence[Signal]) -> None:
    """Print a table of signals, without the columns that are empty for all."""
    rows = [
        {
            "signal": signal.name,
            "samples": str(len(signal.values)),
            "step": "" if signal.description else in_words(1, signal.sample_seconds, least=0.999),
            "first sample": signal.start,
            "filled": str(signal.filled or ""),
            "horizon": str(signal.horizon),
            "periods": ", ".join(f"{harmonic.period:.4g}" for harmonic in signal.harmonics),
            "description": signal.description,
        }
        for signal in signals
    ]
    columns = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    table = Table(*(_names(row[name] for row in rows) if name == "signal" else name for name in columns))
    for row in rows:
        table.add_row(*(row[name] for name in columns))
    console.print(table)


def show_verification(store: str, found: Verification) -> None:
    """Print what `verify` found, one line per problem."""
    for problem in found.problems:
        errors.print(problem.what)
    again = f"; captured again: {', '.join(found.recomputed)}" if found.recomputed else "; none captured again"
    verdict = counted(len(found.problems), "problem") if found.problems else "sound"
    console.print(
        f"{store}: {verdict} ({counted(found.signals, 'signal')}, {counted(found.objects, 'object')}, "
        f"{filesize.decimal(found.bytes)}{again})"
    )


@contextmanager
def share_bar() -> Iterator[Any]:
    """A bar for a run that reports a share and a step; yields the callback for both."""
    with Bar(BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"),
             console=errors) as bar:  # fmt: skip
        task = bar.add_task("", total=1.0)
        yield lambda share, what: bar.update(task, completed=share, description=what)


def show_level(verdict: xr.Dataset, out: Console) -> None:
    """Print the result of the last finished level, and the headline after the second."""
    from vitime_cache.evidence.levels.table import LEVEL
    from vitime_cache.evidence.verdict import schema as vschema
    from vitime_cache.evidence.verdict.headline import headline
    from vitime_cache.evidence.verdict.report import sentences

    stages = vschema.facts(verdict, "stages")
    out.print(f"{LEVEL[stages[-1]].title}: {sentences(verdict)[stages[-1]]}")
    if stages[-1] == "mechanism":
        out.print(f"\n{headline(verdict)}\n")


def show_verdict(verdict: xr.Dataset, out: Console, rows: int = 12, *, quiet: bool = False) -> None:
    """Print the heads of a verdict (looking against mattering), best first, then the answer and its limits."""
    from vitime_cache.evidence.agreement import looking_and_mattering
    from vitime_cache.evidence.verdict import schema as vschema
    from vitime_cache.evidence.verdict.headline import headline
    from vitime_cache.evidence.verdict.report import NOT_CLAIMED, sentences

    if not quiet:
        if vschema.facts(verdict, "stages"):
            _show_heads(verdict, out, rows)
        if {"heads", "looking"} <= set(vschema.facts(verdict, "stages")):
            out.print(looking_and_mattering(verdict).words)
        out.print()
    out.print(headline(verdict))
    out.print(sentences(verdict)[NOT_CLAIMED])


def show_population(table: xr.Dataset, out: Console, rows: int = 12, *, quiet: bool = False) -> None:
    """Print how many signals have each answer, on how many each head carries it, and the share in a sentence."""
    from vitime_cache.evidence.population.report import head_counts, headline, kind_words, kinds, notes

    if not quiet:
        answers = Table("answer", Column("signals", justify="right"))
        for kind, number in kinds(table).most_common():
            answers.add_row(kind_words(kind), str(number))
        out.print(answers)
        if heads := head_counts(table):
            few = Table("head", Column("carries it on", justify="right"))
            for layer, head, number in heads[:rows]:
                few.add_row(f"{layer} {head}", str(number))
            out.print(few)
            out.print(f"{counted(len(heads), 'head')} among the few on any signal, {min(rows, len(heads))} shown.\n")
    out.print(headline(table))
    out.print(notes(table))


def _show_heads(verdict: xr.Dataset, out: Console, rows: int) -> None:
    from vitime_cache.evidence.levels.table import CLAIMS, FIGURES, MARKS
    from vitime_cache.evidence.verdict.data import COLUMN, verdict_table

    table = verdict_table(verdict)
    shown = Table(
        Column("head", no_wrap=True),
        *(Column(claim.title, justify="right") for claim in CLAIMS),
        Column("share", justify="right"),
    )
    for row in table.head(rows).to_dict("records"):
        cells = [f"{_known(number, row[name])} {MARKS[row[f'{name}_verdict']]}".strip() for name in COLUMN.values()]
        share = _known(percent, row["share"])
        shown.add_row(f"{row['layer']} {row['head']}", *cells, share)
    out.print(shown)
    out.print(
        f"{counted(len(table), 'head')} asked about, {min(rows, len(table))} shown. "
        + ", ".join(f"{mark} {word}" for word, mark in MARKS.items())
        + f". {FIGURES}. Share: what the head carries alone of what is read whole periods back."
    )


def _known(written: Callable[[float], str], value: float) -> str:
    """A figure as it is written elsewhere; nothing where it is not known."""
    return written(value) if value == value else ""

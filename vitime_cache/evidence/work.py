"""The work of each level: what is measured on a run's windows, and where it is recorded in the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from vitime_cache.arrays import Bools
from vitime_cache.evidence.budget import FEWER_PATCHES, FEWEST_HEADS, SCREENED
from vitime_cache.evidence.levels import heads_set, influence, mechanism, nulls, single_heads, sweep
from vitime_cache.evidence.levels.claimed import Claimed
from vitime_cache.evidence.levels.looking import look, past_curves
from vitime_cache.evidence.levels.table import BY_ATTENTION
from vitime_cache.evidence.levels.tracking import track
from vitime_cache.evidence.question import Question
from vitime_cache.evidence.run import Run
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.schema import three_values
from vitime_cache.numerals import percent

LOOKED_AT = 0  # index in `schema.REGIONS` of the region used for tracking: the one with the most pairs


def _influence(run: Run) -> None:
    e, values = run.q.effort, run.values
    found = influence.measure_influence(run.windows, run.q.seed, masks=e.masks, most=e.most_masks, told=run.told)
    for name in ("effect", "share", "low", "high", "by_chance", "near", "far"):
        values[f"influence_{name}"][...] = getattr(found, name)
    run.facts["counts"]["masks"] = found.masks
    if found.masks:
        run.facts["counts"]["smallest"]["influence"] = found.by_chance + found.share - found.low


def draw_windows(run: Run) -> None:
    """Record the input and output of the model: the windows, their forecasts, and one stand-in of each."""
    values, q = run.values, run.q
    history = slice(0, q.window.history)
    ahead = slice(q.window.history, None)
    for w, window in enumerate(run.windows):
        values["history"][w, history] = window.signal.values
        values["future"][w, ahead] = window.signal.future
        values["forecast"][w, ahead] = window.values_of(window.intact)
        values["forecast_low"][w, ahead], values["forecast_high"][w, ahead] = window.quantiles((0.05, 0.95))
        values["stand_in"][w, history] = window.stand_in(0)
        values["forecast_stand_in"][w, ahead] = window.values_of(window.forecasts(window.stand_in_columns(0)[None])[0])
        run.told(2)


def _mechanism(run: Run) -> None:
    values = run.values
    details = run.q.effort.details
    found = mechanism.measure_mechanism(run.windows, run.told, by_multiple=details)
    for name in (
        "effect", "coverage", "share", "low", "high", "rest", "beside", "size", "margin_low", "by_multiple", "by_layer",
    ):  # fmt: skip
        values[f"mechanism_{name}"][...] = getattr(found, name)
    values["mechanism_phase"][:] = found.by_phase
    curve = influence.influence_curve(run.windows[-1], run.q.seed, run.told, every=1 if details else FEWER_PATCHES)
    values["influence_curve"][:] = curve.intact, curve.blocked
    if not details:
        return
    for w, window in enumerate(run.windows):
        values["forecast_without"][w, run.q.window.history :] = window.values_of(mechanism.without_periods(window))
        run.told(2)


def _set(run: Run) -> None:
    values, model, details = run.values, run.model, run.q.effort.details
    if run.kind not in BY_ATTENTION:
        return  # without attention shown to carry it, no heads can carry it
    candidates = _candidates(run)
    found = heads_set.choose_and_test(run.windows, candidates, run.q.seed, run.told, run.reads, compared=details)
    if found is None:
        return
    values["head_share"][:] = found.head_share
    for rank, head in enumerate(found.heads, start=1):
        values["set_rank"][head] = rank
    values["set_path"][: len(found.path)] = found.path
    values["set_share"][...], values["set_without"][...] = found.share, found.without
    values["set_random"][: len(found.random)] = found.random
    layers = model.config.layers
    run.facts["families"] = [[[layers[i], head] for i, head in family] for family in found.families]


def _candidates(run: Run) -> Bools:
    """Candidate heads for the set: all, or with a budget those of the layers that carry most."""
    every: Bools = np.ones_like(run.q.asked)
    if not run.q.effort.screened:
        return every
    share = run.values["mechanism_by_layer"]
    some: Bools = every & (share >= min(SCREENED, np.nanmax(share, initial=0)))[:, None]
    if (left := int((~some).sum())) and some.any():
        run.facts["dropped"].append(
            f"At the few heads: {left} of {some.size} heads were not tried, because their layers carry less than "
            f"{percent(SCREENED)} each."
        )
    return some if some.any() else every


def _heads(run: Run) -> None:
    q, values, counts = run.q, run.values, run.facts["counts"]
    tested = np.zeros_like(q.asked)
    for heads in _in_turn(run):
        reads = single_heads.measure_reads(run.windows, heads, q.asked, q.level, run.told, known=run.reads)
        knockouts = single_heads.measure_knockouts(run.windows, heads, q.asked, q.level, q.period, run.told)
        for name, effects in (("reads", reads), ("matters", knockouts.effects)):
            values[f"{name}_each"][: len(effects.each), heads] = effects.each[:, heads]
        values["knockout"][:, :, heads] = knockouts.outcomes[:, :, heads]
        tested |= heads
    nothing = np.full(tested.shape, np.nan)
    for name in ("reads", "matters"):
        effects = single_heads.judge(values[f"{name}_each"].astype(np.float64), q.asked, q.level)
        interval, verdict = effects.interval, three_values(effects.supported, effects.refuted, tested)
        run.settle(name, Claimed(interval.value, interval.low, interval.high, nothing, verdict))
        counts["smallest"][name] = effects.smallest(tested)
    planned = min(q.effort.tested, int(q.asked.sum()))
    if (done := int(tested.sum())) < planned:
        run.facts["dropped"].append(
            f"At each head: {done} of the {planned} heads planned were tested one by one, because time ran out."
        )


def _in_turn(run: Run) -> Iterator[Bools]:
    """Yield heads to test together: all or, with a budget, groups until time runs out, strongest layers first."""
    asked = run.q.asked
    if not run.q.effort.screened:
        yield asked
        return
    share = np.where(np.isfinite(run.values["head_share"]), run.values["head_share"], -1)
    by_layer = np.nan_to_num(run.values["mechanism_by_layer"])[:, None]
    order = sorted(zip(*np.nonzero(asked), strict=True), key=lambda at: (-by_layer[at[0], 0], -share[at]))
    for first in range(0, len(order), FEWEST_HEADS):
        heads = np.zeros_like(asked)
        for at in order[first : first + FEWEST_HEADS]:
            heads[at] = True
        yield heads
        if time.monotonic() > run.deadline:
            return


def _looking(run: Run) -> None:
    q = run.q
    attention = np.stack(list(run.attention([window.signal for window in run.windows])))
    found = look(
        attention, q.effort.history_patches, q.window.patches_per_period, q.window.samples_per_patch,
        q.asked, q.level, q.signal.sample_seconds,
    )  # fmt: skip
    for name in ("looks", "query_contrast", "query_contrast_error", "lag_curve", "peak_lag", "prominence"):
        run.values[name][:] = getattr(found, name)
    run.settle("looks", found.claimed)
    run.facts["counts"]["left_out"] = list(found.left_out)


def _nulls(run: Run) -> None:
    q, e = run.q, run.q.effort
    if not e.nulls:
        return
    first = q.window.starts[0]
    inputs = nulls.null_inputs(
        q.series[first:], [start - first for start in q.window.starts], q.window.history, q.window.horizon, q.period,
        n=e.nulls, seed=q.seed, proposed=q.period_from == "proposed",
    )  # fmt: skip
    attention = run.attention([each.signal for each in inputs])
    found = nulls.against_null_inputs(
        run.values["query_contrast"], inputs, attention, e.history_patches, q.window.patches_per_period,
        q.window.samples_per_patch, q.asked, q.level,
    )  # fmt: skip
    for name in ("null_mean", "null_upper", "null_contrast", "null_p"):
        run.values[name][:] = getattr(found, name)
    run.settle("depends", found.claimed)
    own = {(each.kind, each.number) for each in inputs if each.own_period is not None}
    run.facts["counts"]["null_periods"] = len(own)


def _tracking(run: Run) -> None:
    q, values, periods = run.q, run.values, run.blank[vschema.SWEEP].values
    if not len(periods):
        return
    last = run.windows[-1].signal
    signals = sweep.sweep_signals(
        last.values, q.period, periods, len(last.values), last.horizon, others=_others(q), seed=q.seed
    )
    swept = [past_curves(each, q.effort.history_patches)[LOOKED_AT] for each in run.attention(signals)]
    unrelated = nulls.aperiodic(values["null_mean"], [str(kind) for kind in run.blank[vschema.NULL].values])[LOOKED_AT]
    found = track(
        np.stack(swept), periods, run.blank["measured_on"].values, q.window.samples_per_patch, unrelated, q.asked,
        q.level,
    )  # fmt: skip
    for name in ("sweep_peak", "intercept", "r_squared", "found", "chosen"):
        values[name][:] = getattr(found, name)
    run.settle("tracks", found.claimed)


def _others(q: Question) -> list[float]:
    """Other periods of the series that are not harmonics of the one asked about."""
    ratios = [(each.period, q.period / each.period) for each in q.proposed]
    return [period for period, ratio in ratios if abs(ratio - max(round(ratio), 1)) > 0.05]


WORK: dict[str, Callable[[Run], None]] = {
    "influence": _influence, "mechanism": _mechanism, "set": _set, "heads": _heads, "looking": _looking,
    "nulls": _nulls, "tracking": _tracking,
}  # fmt: skip

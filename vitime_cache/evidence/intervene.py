"""The causal part of a question: knock out every head, mask the period's lags beside controls, judge both."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from vitime_cache.arrays import Array
from vitime_cache.attention.forward import Intact
from vitime_cache.evidence.causal import judge_interventions
from vitime_cache.evidence.question import SWEPT
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.interventions.knockout import knock_out_all, knock_out_sets, random_sets
from vitime_cache.interventions.masking import mask_lags_all
from vitime_cache.interventions.references import Substitutes, unrelated_signals
from vitime_cache.interventions.runs import run_signal
from vitime_cache.interventions.screening import promising_first, screen_heads
from vitime_cache.series.signal import Signal
from vitime_cache.stats.surrogates import ar1, notched

if TYPE_CHECKING:
    from vitime_cache.evidence.ask import Run

JOINT = 4  # heads knocked out together: enough to show redundancy
MOST_PHASES = 40  # controls of the whole comb
KNOCKED_OUT = 0.4  # where knockouts end, as a share of the whole question

Head = tuple[str, int]


def causal(run: Run) -> None:
    """Fill the causal rung of a question's verdict."""
    q, values = run.q, run.values
    layers = run.model.config.layers
    asked = [(layer, head) for i, layer in enumerate(layers) for head in np.flatnonzero(q.asked[i]).tolist()]
    unrelated = unrelated_signals(run.windows[-1])[: q.effort.references]
    references = Substitutes(run.model, "mean", unrelated)
    if q.effort.screened:
        run.progress(SWEPT, "screening by attribution")
        screened = screen_heads(run.model, run.windows[-1], references, period=q.period)
        values["attribution"][:] = np.where(q.asked, screened["attribution"].values[0], np.nan)
    _knock_out(run, _first(run, asked)[: q.effort.knocked], references)
    controls, phases = _mask(run, _first(run, asked))
    _joint(run, asked, references)
    if q.effort.screened:
        tested = np.isfinite(values["mask"][0, 0])  # a knockout alone can support a claim, and refute none
        run.facts["screening"] = {
            "method": "attribution patching, knockout and prominence at the period: screening only, no result",
            "tested": int(tested.sum()),
            "not_tested": [[layer, head] for layer, head in asked if not tested[layers.index(layer), head]],
        }  # fmt: skip

    mask, elsewhere, comb, knockout = (
        values[name].swapaxes(0, 1) for name in ("mask", "mask_elsewhere", "comb", "knockout")
    )
    judged = judge_interventions(np.stack((mask, elsewhere)), controls, comb, phases, knockout, q.seed)
    n = controls.shape[2]
    run.facts["counts"] |= {"controls": n, "smallest_p": 1 / (n + 1), "phases": 1 + phases.shape[1]}
    values["comb_rank"][:] = judged.comb_rank
    values["mask_control"][:n], values["mask_control_elsewhere"][:n] = controls.mean(axis=1)
    values["mask_p"][:], values["windows_p"][:] = judged.mask_p, judged.windows_p
    values["knockout_p"][:], values["knockout_rank"][:] = judged.knockout_p, judged.rank
    for name in ("mask_low", "mask_high", "knockout_low", "knockout_high"):
        values[name][:] = getattr(judged, name)
    supported = judged.supported(q.level, q.negligible)
    through_lags = judged.by_lags(q.level, q.negligible)
    values["through_lags"][:] = through_lags & q.asked
    rests_on = np.where(supported & ~through_lags, judged.knockout, judged.mask)
    run.settle(3, rests_on, judged.p_value, supported, judged.refuted(q.negligible))
    masked = np.isfinite(judged.mask)
    values["verdict"][3][q.asked & ~masked & ~supported] = v.NOT_TESTED


def _knock_out(run: Run, heads: list[Head], references: Substitutes) -> None:
    """Every head singly, on each window and on two stand-ins for the last one that lack the period."""
    q, values, last = run.q, run.values, run.windows[-1]
    start = SWEPT
    stand_ins = [
        Signal("notched", notched(last.values, q.period), last.horizon),
        Signal("aperiodic", ar1(last.values, 1, q.seed)[0], last.horizon),
    ]
    for i, signal in enumerate([*run.windows, *stand_ins]):
        share = (KNOCKED_OUT - start) / (len(run.windows) + len(stand_ins))

        def progress(done: int, total: int, what: str, i: int = i, share: float = share) -> None:
            run.progress(start + share * (i + done / total), what)

        effect = knock_out_all(
            run.model, signal, references, heads=heads, period=q.period, progress=progress
        )["effect"].values[0]  # fmt: skip
        if i < len(run.windows):
            values["knockout"][:, i] = effect
        else:
            values["knockout_stand_in"][i - len(run.windows)] = effect


def _first(run: Run, heads: list[Head]) -> list[Head]:
    """The heads asked about; where there is not time for all of them, the most promising first.

    By what they may matter by, and what they may matter through: either may bring a head forward.
    """
    if not run.q.effort.screened:
        return heads
    values, layers = run.values, run.model.config.layers
    at = tuple(np.array([(layers.index(layer), head) for layer, head in heads]).T)
    scores = (np.abs(values["attribution"]), values["knockout"][0, -1], values["prominence"].mean(axis=0))
    return [heads[i] for i in promising_first(*(score[at] for score in scores))]


def _mask(run: Run, heads: list[Head]) -> tuple[Array, Array]:
    """Mask one period back, and the period's whole comb, in each head and window.

    Where there is not time for all heads, one after the other until it is up.

    Returns what the controls of the first do, and taking as much elsewhere as each of them, (2, window, control,
    outcome, layer, head), and what the second does at other phases, (window, control, outcome, layer, head).
    """
    values, controls = run.values, run.q.effort.controls
    portions = [[head] for head in heads] if run.q.effort.screened else [heads]
    taken: list[Array] = []
    phases: list[Array] = []
    masses: list[Array] = []
    for w, window in enumerate(run.windows):
        intact = run_signal(run.model, window)
        comb, kept, tooth = xr.Dataset(), xr.Dataset(), xr.Dataset()
        share, longest = (1 - KNOCKED_OUT) / len(run.windows) / len(portions), 0.0
        for i, portion in enumerate(portions):
            began = time.monotonic()
            if i and began + longest > run.deadline:
                break
            ends = KNOCKED_OUT + share * (w * len(portions) + i + np.array([0.0, 0.08, 0.1, 1.0]))
            whole = {"harmonics": True, "elsewhere": False}
            comb = comb.combine_first(_masked(run, window, intact, portion, ends[:2], MOST_PHASES, **whole))
            kept = kept.combine_first(_masked(run, window, intact, portion, ends[1:3], 0, renormalise=False, **whole))
            tooth = tooth.combine_first(
                _masked(run, window, intact, portion, ends[2:], controls, harmonics=False, renormalise=False)
            )
            longest = max(longest, time.monotonic() - began)
        for name, found in (("comb", comb), ("comb_kept", kept), ("mask", tooth)):
            values[name][:, w] = found["effect"].values[0]
        values["mask_elsewhere"][:, w] = tooth["elsewhere_effect"].values[0]
        phases.append(comb["control_effect"].values[0])
        taken.append(np.stack([tooth[name].values[0] for name in ("control_effect", "control_elsewhere_effect")]))
        masses.append(tooth["removed_mass"].values[0])
    values["mask_mass"][:] = np.mean(masses, axis=0)
    return np.stack(taken, axis=1), np.stack(phases)


def _masked(
    run: Run, window: Signal, intact: Intact, heads: list[Head], span: Array, controls: int, **how: bool
) -> xr.Dataset:
    """`mask_lags_all` of one window, whose progress runs over a `span` (from, to) of the whole question."""

    def progress(done: int, total: int, what: str) -> None:
        run.progress(float(span[0] + (span[1] - span[0]) * done / total), what)

    q = run.q
    return mask_lags_all(
        run.model, window, q.period, heads=heads, controls=controls, seed=q.seed, intact=intact, progress=progress,
        **how,
    )  # fmt: skip


def _joint(run: Run, heads: list[Head], references: Substitutes) -> None:
    """The heads that look most at the period knocked out together, beside random sets and their single knockouts."""
    q, values, layers = run.q, run.values, run.model.config.layers
    prominence = np.where(np.isfinite(values["knockout"][0, -1]), values["prominence"].mean(axis=0), np.nan)
    of = {(layer, head): float(prominence[layers.index(layer), head]) for layer, head in heads}
    together = sorted((head for head in heads if of[head] > 0), key=lambda head: -of[head])[:JOINT]
    if not together:
        return
    sets = [together, *random_sets(run.model, together, q.effort.sets, q.seed)]
    found = knock_out_sets(run.model, run.windows[-1], sets, references, period=q.period)["effect"].values[0]
    values["joint"][:], values["joint_random"][: len(sets) - 1] = found[:, 0], found[:, 1:].T
    values["joint_sum"][:] = sum(values["knockout"][:, -1, layers.index(layer), head] for layer, head in together)
    run.facts["counts"]["joint"] = [list(head) for head in together]

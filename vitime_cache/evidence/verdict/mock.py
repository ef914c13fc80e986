"""A made-up verdict that follows the schema, for pages, stores, charts and tests without a model.

It can have every kind of answer, and it is consistent: parts of a share add up to it, the heads of the set are those
that are read most, curves have their peaks where the text says, and results of unfinished levels are missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr

from vitime_cache.arrays import Array, Bools
from vitime_cache.evidence.levels.single_heads import MARGIN
from vitime_cache.evidence.levels.sweep import measured_on
from vitime_cache.evidence.levels.table import CLAIMS, INCONCLUSIVE, NOT_SUPPORTED, NOT_TESTED, SUPPORTED
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.window import Window
from vitime_cache.interventions.lag_masks import multiples, other_phases, whole_periods
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.stats.surrogates import null_kinds

REPLICATES, SIZES, RANDOM_SETS, SWEPT = 8, 8, 50, 16
NAN = float("nan")
DEFAULT = ViTimeConfig(
    image_height=32, context_columns=512, horizon_columns=720, patch_height=16, patch_width=16,
    encoder_width=32, encoder_depth=2, decoder_width=16, decoder_depth=1, heads=4,
)  # fmt: skip
# The level that computes a variable, by the beginning of its name. Variables of claims belong to several levels.
LEVEL_OF = {
    "influence": "influence", "history": "", "forecast_without": "mechanism", "forecast": "",
    "future": "", "stand_in": "", "mechanism": "mechanism", "head_share": "set", "set_": "set",
    "reads_each": "heads", "matters_each": "heads", "knockout": "heads", "looks": "looking", "lag_curve": "looking",
    "peak_lag": "looking", "prominence": "looking", "query": "looking", "null": "nulls",
}  # fmt: skip
CLAIMED = ("verdict", "figure", "low", "high", "p_value", "asked")


@dataclass(frozen=True)
class Made:
    """Figures of levels 1 and 2 that lead to a kind of answer; shares, except the effect (standard deviations)."""

    effect: float
    influence: tuple[float, float, float]  # share, low, high
    near: float
    mechanism: tuple[float, float, float]
    rest: float
    other: float  # the largest other phase
    coverage: float


MADE = {
    "mostly": Made(0.45, (0.84, 0.74, 0.94), 0.10, (0.99, 0.97, 1.00), 0.01, 0.00, 0.96),
    "partly": Made(0.40, (0.42, 0.32, 0.53), 0.20, (0.58, 0.50, 0.66), 0.38, 0.35, 0.83),
    "detour": Made(0.35, (0.62, 0.50, 0.75), 0.15, (0.08, 0.02, 0.15), 0.88, 0.05, 0.90),
    "indifferent": Made(0.008, (NAN, NAN, NAN), NAN, (NAN, NAN, NAN), NAN, NAN, NAN),
    "elsewhere": Made(0.38, (0.17, 0.09, 0.25), 0.24, (0.07, 0.01, 0.13), 0.90, 0.31, 0.93),
    "unsettled": Made(0.15, (0.33, 0.12, 0.55), 0.21, (0.78, 0.66, 0.88), 0.15, 0.04, 0.72),
    "not shown": Made(0.12, (0.30, 0.08, 0.52), 0.22, (0.31, 0.08, 0.54), 0.62, 0.20, 0.60),
}


def mock_verdict(
    config: ViTimeConfig | None = None, signal: str = "full", period: float = 64.0, *, kind: str = "mostly",
    windows: int = 1, stages: Sequence[str] = vschema.STAGES, seed: int = 0, sample_seconds: float = 0.0,
) -> xr.Dataset:  # fmt: skip
    """Make a verdict on made-up heads.

    Up to three heads of the last layer are read, look and matter. One head of the first layer looks and tracks without
    effect, one matters without looking. Some of the others are inconclusive.

    Parameters
    ----------
    kind
        Kind of answer (of `levels.table.KINDS`) that the figures lead to. It becomes "open" if `stages` lacks one of
        the first two levels.
    stages
        Finished levels; fewer than all make a partial verdict.
    sample_seconds
        Seconds from one sample to the next; 0 if unknown.
    """
    config = config or DEFAULT
    if not {"influence", "mechanism"} <= set(stages):
        kind = "open"
    made = _Maker(config, period, MADE.get(kind, MADE["mostly"]), windows, stages, seed)
    ds = vschema.blank(
        config.layers, config.heads, patches=made.patches, whole_periods=made.whole, windows=made.window.starts,
        samples=made.history + made.horizon, phases=made.phases, multiples=made.multiples, replicates=REPLICATES,
        sizes=SIZES, random_sets=RANDOM_SETS, nulls=null_kinds(period), sweep=made.sweep,
        measured_on=measured_on(SWEPT), attributes=_attributes(made, signal, kind, sample_seconds),
    )  # fmt: skip
    values = made.values()
    for name, variable in vschema.VARIABLES.items():  # exactly the variables of the schema
        if name in CLAIMED or _level_of(name) in ("", *stages):  # "": known before the first level
            ds[name].values[...] = values.get(name, made.anything(variable.dtype))
    return vschema.validate(ds)


def _level_of(name: str) -> str:
    return next((level for start, level in LEVEL_OF.items() if name.startswith(start)), "tracking")


class _Maker:
    """Makes the arrays of a verdict that agree with each other."""

    def __init__(
        self, config: ViTimeConfig, period: float, made: Made, windows: int, stages: Sequence[str], seed: int
    ) -> None:
        self.config, self.period, self.made, self.stages, self.seed = config, period, made, list(stages), seed
        self.rng = np.random.default_rng(seed)
        self.history, self.horizon = config.context_columns, config.horizon_columns
        self.patches, self.spp = config.grid[1], config.samples_per_patch(self.history + self.horizon)
        self.ppp = period / self.spp
        span = self.history + self.horizon
        self.window = Window(
            starts=tuple(100 + i * span for i in range(windows)), history=self.history, horizon=self.horizon,
            length=100 + windows * span, samples_per_patch=self.spp, period=period, chosen=True,
        )  # fmt: skip
        self.whole, self.phases = whole_periods(self.ppp, self.patches), other_phases(self.ppp)
        self.multiples = multiples(self.ppp, self.patches)
        self.sweep = np.geomspace(2.2 * self.spp, self.history / 3, SWEPT)
        self.shape = (len(config.layers), config.heads)
        self.set = self._set()

    def _set(self) -> list[tuple[int, int]]:
        """Indices of the few heads, strongest first; empty if attention there carries little."""
        share = self.made.mechanism[0]
        if not share > 0.25:
            return []
        last, heads = len(self.config.layers) - 1, self.config.heads
        return list(dict.fromkeys((last, h) for h in (heads - 2 if heads > 2 else 0, 0, heads // 2 + 1) if h < heads))

    def values(self) -> dict[str, Any]:
        """Variable -> its array, or a value that is broadcast to it."""
        parts = (self._model(), self._mechanism(), self._heads(), self._looking(), self._tracking(), self._series())
        values = {name: array for part in parts for name, array in part.items()}
        return values | self._claims(values)

    def anything(self, dtype: str) -> Any:
        """The value of a variable that this module does not know yet."""
        return {"int8": NOT_SUPPORTED, "bool": False}.get(dtype, 0.5)

    def _teeth(self) -> Array:
        """1 at whole periods back, 0 between them, over lags in patches."""
        lag = np.arange(self.patches)
        off = lag - self.ppp * np.maximum(np.rint(lag / self.ppp), 1)
        teeth: Array = np.exp(-0.5 * (off / 0.6) ** 2)
        return teeth

    def _noise(self, *shape: int) -> Array:
        noise: Array = self.rng.standard_normal(shape)
        return noise

    def _model(self) -> dict[str, Any]:
        m, lag = self.made, np.arange(self.patches)
        share, low, high = m.influence
        chance = float(self.whole[1:].mean())
        teeth = self._teeth() * np.exp(-lag / self.patches)
        level = np.nan_to_num(share) * m.effect * 0.4
        floor = 0.02 * m.effect * (1 + 0.2 * np.abs(self._noise(self.patches)))
        through = np.nan_to_num(m.mechanism[0])
        curves = np.stack((floor + level * teeth, floor + level * (1 - through) * teeth))
        curves[:, 0] = NAN
        return {
            "influence_effect": m.effect, "influence_share": share, "influence_low": low, "influence_high": high,
            "influence_by_chance": chance, "influence_near": m.near, "influence_far": 1 - share - m.near,
            "influence_curve": curves,
        }  # fmt: skip

    def _mechanism(self) -> dict[str, Any]:
        m = self.made
        share, low, high = m.mechanism
        k = np.arange(1, self.multiples + 1)
        weights = k * np.exp(-((k / (0.3 * self.multiples + 1)) ** 2))
        by_layer = np.full(self.shape[0], 0.02)
        by_layer[-1] = 1 - by_layer[:-1].sum()
        return {
            "mechanism_effect": m.effect * (m.coverage if m.coverage == m.coverage else 0.7),
            "mechanism_coverage": m.coverage, "mechanism_share": share, "mechanism_low": low, "mechanism_high": high,
            "mechanism_rest": m.rest, "mechanism_beside": 0.2 * m.rest, "mechanism_size": share**2,
            "mechanism_phase": m.other * np.linspace(1, 0.5, len(self.phases)),
            "mechanism_margin_low": low - m.other, "mechanism_by_multiple": share * weights / weights.sum(),
            "mechanism_by_layer": share * by_layer,
        }  # fmt: skip

    def _heads(self) -> dict[str, Any]:
        share, rank = np.full(self.shape, 0.004), np.full(self.shape, NAN)
        for n, at in enumerate(self.set):
            share[at], rank[at] = 0.5 * 0.6**n, n + 1
        path = np.cumsum(np.sort(share.ravel())[::-1][:SIZES])
        path = np.pad(np.minimum(1.15 * path, 1.0), (0, max(SIZES - path.size, 0)), constant_values=NAN)
        reads, matters = self._effects()
        each = {"set_share": 0.95, "set_without": 0.04} if self.set else {"set_share": NAN, "set_without": NAN}
        scale = np.array([1.0, 0.5, -0.1, -0.4])[:, None, None, None]
        spread = np.array([1.0, *(0.9 + 0.2 * self.rng.random(REPLICATES - 1))])[:, None, None]
        return each | {
            "head_share": share, "set_rank": rank, "set_path": path,
            "set_random": np.abs(0.05 * self._noise(RANDOM_SETS)) if self.set else NAN,
            "reads_each": spread * reads, "matters_each": spread * matters, "knockout": scale * matters,
        }  # fmt: skip

    def _effects(self) -> tuple[Array, Array]:
        """Change of the forecast, (layer, head), when what a head reads is replaced, and when its output is."""
        effect = self.made.effect
        reads, matters = np.full(self.shape, 0.002), np.full(self.shape, 0.006)
        for n, at in enumerate(self.set):
            reads[at], matters[at] = 0.5 * effect * 0.6**n, 0.8 * effect * 0.7**n
        matters[0, -1] = 0.6 * effect  # matters without looking
        reads[0, 0], matters[0, 0] = 0.002, 0.02  # looks, and stays inconclusive
        return reads, matters

    def _looks(self) -> Bools:
        looks = np.zeros(self.shape, dtype=bool)
        looks[0, 0] = True
        for at in self.set:
            looks[at] = True
        return looks

    def _looking(self) -> dict[str, Any]:
        strength = np.where(self._looks(), 1.0, 0.03)
        base = 0.01 + 0.001 * self._noise(len(vschema.REGIONS), *self.shape, self.patches)
        curves = base + 0.02 * (strength * np.array([0.8, 1.0])[:, None, None])[..., None] * self._teeth()
        curves[..., 0] = NAN
        looks = np.where(strength > 0.5, SUPPORTED, NOT_SUPPORTED)
        return {
            "looks": looks, "lag_curve": curves, "peak_lag": np.where(strength > 0.5, self.period, NAN),
            "prominence": strength, "query_contrast": 0.6 * strength, "query_contrast_error": 0.05, "null_mean": 0.01,
            "null_upper": 0.013, "null_contrast": 0.01, "null_p": np.where(strength > 0.5, 0.01, 0.5),
        }  # fmt: skip

    def _tracking(self) -> dict[str, Any]:
        follows = np.where(self._looks(), 1.0, 0.0)
        peaks = follows * self.sweep[:, None, None] + (1 - follows) * 100
        return {
            "sweep_peak": peaks + self.spp / 6 * self._noise(SWEPT, *self.shape), "intercept": 100 * (1 - follows),
            "r_squared": 0.97 * follows, "found": 1.0, "chosen": follows > 0,
        }  # fmt: skip

    def _claims(self, values: dict[str, Any]) -> dict[str, Any]:
        """Verdict, figure, interval and p-value of every claim, consistent with the arrays of its level."""
        shape = (len(CLAIMS), *self.shape)
        verdict, p_value = np.full(shape, NOT_TESTED), np.full(shape, NAN)
        figure, low, high = np.full(shape, NAN), np.full(shape, NAN), np.full(shape, NAN)
        reads, matters = self._effects()
        looks = self._looks()
        contrast = values["query_contrast"]
        told = {
            "reads": (reads, 0.2 * reads + 0.004, NAN), "matters": (matters, 0.2 * matters + 0.004, NAN),
            "looks": (contrast, 0.08, np.where(looks, 0.001, 0.6)),
            "depends": (contrast - 0.01, 0.1, values["null_p"]),
            "tracks": (np.where(looks, 1.0, 0.0), 0.05, np.where(looks, 0.001, 0.9)),
        }  # fmt: skip
        for c, claim in enumerate(CLAIMS):
            if claim.level not in self.stages:
                continue
            figure[c], half, p_value[c] = told[claim.name]
            low[c], high[c] = figure[c] - half, figure[c] + half
            yes, no = (low[c] > MARGIN, high[c] < MARGIN) if claim.level == "heads" else (looks, ~looks)
            verdict[c] = np.where(yes, SUPPORTED, np.where(no, NOT_SUPPORTED, INCONCLUSIVE))
        return {"verdict": verdict, "figure": figure, "low": low, "high": high, "p_value": p_value, "asked": True}

    def _series(self) -> dict[str, Any]:
        """A noisy wave, split where the future begins, and forecasts that follow it, its stand-in, or neither."""
        time = np.arange(self.history + self.horizon)
        past = time < self.history
        wave, moved = (np.sin(2 * np.pi * (time - shift) / self.period) for shift in (0, self.period / 2))
        noise = 0.1 * self._noise(len(self.window.starts), len(time))
        follows = min(self.made.effect, 1.0)
        through = np.nan_to_num(self.made.mechanism[0])
        forecast = 0.95 * wave
        stand_in = (1 - follows) * forecast + follows * moved
        without = forecast + through * (stand_in - forecast)
        ahead = {"forecast": forecast, "forecast_stand_in": stand_in, "forecast_without": without,
                 "forecast_low": forecast - 0.25, "forecast_high": forecast + 0.25}  # fmt: skip
        return {
            "history": np.where(past, wave + noise, NAN), "future": np.where(past, NAN, wave + noise),
            "stand_in": np.where(past, moved + noise, NAN),
            **{name: np.where(past, NAN, values) for name, values in ahead.items()},
        }  # fmt: skip


def _attributes(made: _Maker, signal: str, kind: str, sample_seconds: float) -> dict[str, Any]:
    heads = made.shape[0] * made.shape[1]
    windows = len(made.window.starts)
    question = {
        "signal": signal, "period": made.period, "period_from": "asked", "heads": "all", "nulls": 99,
        "windows": windows, "sweep": SWEPT, "masks": 96, "history": made.history, "horizon": made.horizon,
        "budget": None, "seed": made.seed, "level": 0.05, "sample_seconds": sample_seconds, "weights": "mock",
        "weights_sha256": "", "dtype": "float32", "series_sha256": "", "method": vschema.METHOD,
    }  # fmt: skip
    counts = {
        "windows": windows, "heads": heads, "stand_ins": 4, "masks": 96, "nulls": 99,
        "null_kinds": len(null_kinds(made.period)), "sweep": SWEPT, "passes": 600, "margin": MARGIN, "left_out": [],
        "smallest": {"reads": 0.03, "matters": 0.04},
    }  # fmt: skip
    names = [[made.config.layers[i], h] for i, h in made.set]
    return {
        "question": question, "counts": counts, "stages": made.stages, "config": json.dumps(made.config.to_dict()),
        "window_facts": replace(made.window, sample_seconds=sample_seconds).facts()
        | {"proposed": [{"period": made.period, "power": 0.8, "p_value": 0.001}]},
        "answer": {"kind": kind, "headline": "", "sentences": {}}, "families": [names[:2]] if len(names) > 2 else [],
        "dropped": [], "weights": "made-up heads", "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip

"""Kinds of planted networks, each with a question and the right answer to it.

Every kind is drawn anew from a seed: the layer and the heads, the period in patches, phases, amplitudes and noise of
the series. Every lag is in patches; P is the period asked about. What is right follows from what the network computes:
the forecast at a patch is made of the ink at the lags below, and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.planted import unused, used
from benchmarks.planted.construction import (
    CONFIG,
    HORIZON,
    N_HISTORY,
    SAMPLES_PER_PATCH,
    Plan,
    network,
)
from benchmarks.planted.recipes import Recipe
from benchmarks.planted.truth import Truth
from vitime_cache.attention.forward import open_blocks
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Harmonic, Signal, compose

KINDS: Mapping[str, Callable[[np.random.Generator], Recipe]] = {
    make.__name__: make
    for make in (
        used.copier, used.soft_copier, used.one_row_copier, used.four_bands, used.redundant,
        used.four_alike, used.comb_copier, used.fraction_copier, used.two_fractions, used.future_queries,
        used.ink_gated, used.history_queries, used.long_lag, used.beside_lag_3, used.beside_lag_12,
        used.relay, used.two_phases, used.two_hops, used.crossed_routes, unused.period_and_a_half,
        unused.half_period, unused.both_sides, unused.four_other_lags, unused.long_other_lag,
        unused.absolute_column, unused.bias_head_beside, unused.cancelled_pair, unused.bias_head,
        unused.inert_copier, unused.inert_history_queries, unused.forward, unused.constant_forecast,
        unused.even_head, unused.matcher,
    )
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """A network, a question to it, and the right answer.

    Attributes
    ----------
    period
        In samples.
    lags
        Patches back that the forecast's ink comes from, and no others; None: not so simple (see the kind).
    """

    kind: str
    plans: tuple[Plan, ...]
    model: ViTime
    signal: Signal
    period: float
    truth: Truth
    lags: tuple[int, ...] | None = None

    @property
    def window(self) -> tuple[int, int]:
        return N_HISTORY, HORIZON


def case(kind: str, seed: int = 0, *, noise: float = 0.1) -> Case:
    """A kind's network, question and truth, drawn from a seed."""
    rng = np.random.default_rng([seed, *kind.encode()])
    recipe = KINDS[kind](rng)
    signal = question(rng, recipe.period * SAMPLES_PER_PATCH, noise=noise, harmonics=recipe.harmonics)
    signal = replace(signal, name=f"{kind} {seed}")
    return Case(
        kind, tuple(recipe.plans), network(kind, recipe.plans), signal, recipe.period * SAMPLES_PER_PATCH,
        recipe.truth, recipe.lags,
    )  # fmt: skip


def question(rng: np.random.Generator, period: float, *, noise: float = 0.1, harmonics: int = 2) -> Signal:
    """A periodic series of the planted networks' geometry: random phases and amplitudes, white noise, known future."""
    parts = [
        Harmonic(period / k, amplitude=rng.uniform(0.5, 1.5) / k, phase=rng.uniform(0, 2 * np.pi))
        for k in range(1, harmonics + 1)
    ]
    return compose("question", parts, n=N_HISTORY, horizon=HORIZON, noise=noise, seed=int(rng.integers(2**31)))


def sharpened(seed: int = 0, factor: float = 4.0) -> ViTime:
    """Random weights with queries and keys scaled up: attention that depends on content and means nothing."""
    torch.manual_seed(seed)
    model = ViTime(RANDOM_CONFIG).eval().requires_grad_(False)
    for block in open_blocks(model).values():
        block.attn.qkv.weight[: 2 * block.attn.attn_dim] *= factor
    model.weights = WeightsInfo("planted", note=f"sharpened random weights, seed {seed}")
    return model


RANDOM_CONFIG = ViTimeConfig(
    image_height=CONFIG.image_height, context_columns=CONFIG.context_columns, horizon_columns=CONFIG.horizon_columns,
    patch_height=CONFIG.patch_height, patch_width=CONFIG.patch_width,
    encoder_width=128, encoder_depth=1, decoder_width=128, decoder_depth=2, heads=4,
)  # fmt: skip

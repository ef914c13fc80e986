"""How attention is planted in a network of the published architecture.

Positions are part of a checkpoint, and here they are one-hot: a channel for every patch column, one for every patch
row. So any map of query columns onto key columns is written down as it is, and the score of a query for a key is

    column(query, key) + [same row] · contrast + ink of the key, where a plan says so.

CLS is the sink: its token is zero, it holds nothing, and whoever may not look, or finds nothing, looks there. Ink
travels in channels of its own: `SOURCE` holds what a token shows, heads write to `CARRIED` (for a later layer) or to
`COPIED`, which the last layer draws. All other parts of the blocks are silenced, so that nothing but the planted heads
moves anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vitime_cache.arrays import Floats
from vitime_cache.attention.forward import open_blocks
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.model.network import ViTime

Head = tuple[str, int]

CONFIG = ViTimeConfig(
    image_height=64, context_columns=256, horizon_columns=64, patch_height=16, patch_width=8,
    encoder_width=16, encoder_depth=1, decoder_width=216, decoder_depth=2, heads=4,
)  # fmt: skip
ROWS, COLUMNS = CONFIG.grid  # 4, 40
SAMPLES_PER_PATCH = 4
HISTORY, FUTURE = 32, 8  # patches
N_HISTORY, HORIZON = HISTORY * SAMPLES_PER_PATCH, FUTURE * SAMPLES_PER_PATCH

QUARTERS, HALVES = 4, 2  # ink of a token by quarter of its height and half of its width
FEATURES = QUARTERS * HALVES


def _ranges(*sizes: int) -> list[range]:
    ends = np.cumsum(sizes).tolist()
    return [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]


# Channels of a token, and places in a head's query and key.
COLUMN, ROW, (ONE, ZERO), SOURCE, CARRIED, COPIED = _ranges(COLUMNS, ROWS, 2, FEATURES, FEATURES, FEATURES)
AT_COLUMN, AT_ROW, (AT_SINK,), AT_INK = _ranges(COLUMNS, ROWS, 1, FEATURES)

FULL = 0.05  # what full ink puts into a channel, about: small, so that LayerNorm scales all tokens alike
PEAK = 2.4  # of a blurred line of ink
LINE = 6.4 * FULL  # sum over the channels of a token that a line crosses
SHARPNESS = 200.0  # nats a unit of copied ink is drawn with
CONTRAST = 20.0  # nats between a wanted column and any other


@dataclass(frozen=True)
class Plan:
    """What one head does.

    Attributes
    ----------
    layer, head
        Where it stands.
    lags
        Patches into the past → nats above all other columns; none: all columns alike.
    column
        A column that every query looks at, in place of lags.
    contrast
        Nats by which a token prefers its own row.
    queries, query_rows
        Who may look; all others look at the sink.
    sink
        Whether a query that finds no wanted key looks at the sink; otherwise it looks at what is nearest to wanted.
    ink
        Nats that full ink on both sides adds, each part of a token's height by itself.
    key_ink
        Nats that a line of ink through the key adds; keys with less than half of one are not looked at.
    strength, features
        Factor of what is written, and which parts of a token's height.
    reads, writes
        Channels. "position" reads no ink: a fixed shape over the columns, whatever the history is.
    """

    layer: str = "decoder.0"
    head: int = 1
    lags: Mapping[int, float] = field(default_factory=dict)
    column: int | None = None
    contrast: float = CONTRAST
    queries: Literal["all", "history", "future"] = "all"
    query_rows: Sequence[int] = range(ROWS)
    sink: bool = True
    ink: float = 0.0
    key_ink: float = 0.0
    strength: float = 1.0
    features: Sequence[int] = range(FEATURES)
    reads: Literal["source", "carried", "position"] = "source"
    writes: Literal["carried", "copied"] = "copied"


def network(name: str, plans: Sequence[Plan], config: ViTimeConfig = CONFIG) -> ViTime:
    """A network in which the planned heads do what they are planned to, and nothing else does anything."""
    model = silent(name, config)
    for plan in plans:
        plant(model, plan)
    return model


def silent(note: str, config: ViTimeConfig = CONFIG) -> ViTime:
    """A network that draws what stands in its `COPIED` channels, and whose heads and MLPs put nothing there."""
    torch.manual_seed(0)
    model = ViTime(config).eval().requires_grad_(False)
    model.weights = WeightsInfo("planted", note=f"planted: {note}")
    encoder_one, encoder_zero = FEATURES, FEATURES + 1
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            parameter.zero_()
    model.pos_embed[0, 1:, encoder_one] = 4.0
    row, column = np.divmod(np.arange(config.tokens), COLUMNS)
    for token, (r, c) in enumerate(zip(row, column, strict=True), start=1):
        model.decoder_pos_embed[0, token, [COLUMN[c], ROW[r], ONE]] = 1.0
    part = _part_of_pixel(config)
    for feature in range(FEATURES):
        model.patch_embed.proj.weight[feature, 0][part == feature] = FULL / PEAK / float((part == feature).sum())
        scale = _layer_norm_scale(model.pos_embed)
        _read(model.decoder_embed.weight, SOURCE[feature], feature, scale, zero=encoder_zero)
    scale = _layer_norm_scale(model.decoder_pos_embed)
    for pixel, feature in enumerate(part.flatten().tolist()):
        _read(model.decoder_pred.weight, pixel, COPIED[feature], SHARPNESS * scale)
    return model


def _part_of_pixel(config: ViTimeConfig) -> Tensor:
    """Which of a token's features a pixel belongs to, (patch height, patch width)."""
    quarter = torch.arange(config.patch_height) * QUARTERS // config.patch_height
    half = torch.arange(config.patch_width) * HALVES // config.patch_width
    return quarter[:, None] * HALVES + half[None, :]


def plant(model: ViTime, plan: Plan) -> None:
    """Write one head's queries, keys, values and output projection."""
    attention = open_blocks(model)[plan.layer].attn
    width, size = attention.attn_dim, attention.head_dim
    scale = _layer_norm_scale(model.decoder_pos_embed)
    rows = slice(plan.head * size, (plan.head + 1) * size)
    q, k, v = (attention.qkv.weight[part * width : (part + 1) * width][rows] for part in range(3))  # views
    gain = scale * size**0.5
    for place, column in zip(AT_COLUMN, COLUMN, strict=True):
        _read(k, place, column, scale)
        for query, nats in zip(COLUMN, column_scores(plan)[:, place], strict=True):
            if nats:
                _read(q, place, query, gain * nats)
    for place, row in zip(AT_ROW, ROW, strict=True):
        _read(k, place, row, scale)
        _read(q, place, row, gain * plan.contrast)
    attention.qkv.bias[width : 2 * width][rows][AT_SINK] = (
        1.0  # the key of CLS; of all other tokens the next line takes it away
    )
    _read(k, AT_SINK, ONE, -scale)
    for channel, nats in _sink_scores(plan).items():
        _read(q, AT_SINK, channel, gain * nats)
    for place, source in zip(AT_INK, SOURCE, strict=True):
        _read(k, place, source, scale / FULL)
        _read(q, place, source, gain / FULL * plan.ink)
        _read(q, place, ONE, gain * plan.key_ink * FULL / LINE)
    _plant_values(v, attention.proj.weight, plan, scale, plan.head * size)


def _plant_values(v: Tensor, projection: Tensor, plan: Plan, scale: float, offset: int) -> None:
    sources = {"source": SOURCE, "carried": CARRIED}.get(plan.reads)
    written = {"carried": CARRIED, "copied": COPIED}[plan.writes]
    for feature in plan.features:
        if sources is not None:
            _read(v, feature, sources[feature], scale)
        else:  # a wave over the columns, in the second row from above and the one below it
            for column, channel in enumerate(COLUMN):
                wave = np.cos(2 * np.pi * (column / 5 + feature / FEATURES))
                _read(v, feature, channel, scale * FULL * float(wave) / 2)
            for row in ROW[1:3]:
                _read(v, feature, row, scale * FULL)
        projection[written[feature], offset + feature] = plan.strength


def column_scores(plan: Plan) -> Floats:
    """Nats of a query column for a key column, (COLUMNS, COLUMNS)."""
    scores = np.zeros((COLUMNS, COLUMNS))
    if plan.column is not None:
        scores[:, plan.column] = plan.contrast
    for lag, nats in plan.lags.items():
        scores += nats * np.eye(COLUMNS, k=-lag)
    return scores


def _sink_scores(plan: Plan) -> dict[int, float]:
    """Channel of the query → nats it gives the sink."""
    best = max([*plan.lags.values(), plan.contrast if plan.column is not None else 0.0]) + plan.contrast
    between = plan.key_ink / 2 if plan.key_ink else -CONTRAST / 2
    barred = [
        c
        for c in range(COLUMNS)
        if (plan.queries == "future" and c < HISTORY) or (plan.queries == "history" and c >= HISTORY)
    ]
    scores = {ONE: best + between if plan.sink else -4 * CONTRAST}
    scores |= {COLUMN[c]: 2 * CONTRAST for c in barred}
    scores |= {ROW[r]: 2 * CONTRAST for r in range(ROWS) if r not in plan.query_rows}
    return scores


def _read(weight: Tensor, row: int, channel: int, gain: float, zero: int = ZERO) -> None:
    """Add `gain` times a channel to what `weight` puts into `row`, free of the mean that LayerNorm takes away."""
    weight[row, channel] += gain
    weight[row, zero] -= gain


def _layer_norm_scale(positions: Tensor) -> float:
    """What LayerNorm divides a token without ink by; ink adds little to it."""
    variance = positions[0, 1:].var(dim=-1, correction=0).mean()
    return float((variance + 1e-5).sqrt())

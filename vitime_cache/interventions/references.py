"""Replacements for a head's output: its mean over reference signals, its output for one of them, or zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import compress
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vitime_cache.attention.forward import plain_outputs, run_layers
from vitime_cache.attention.passes import in_passes
from vitime_cache.attention.schema import to_signals
from vitime_cache.checks import choice
from vitime_cache.errors import VitimeError
from vitime_cache.interventions.runs import batch_size, draw
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.examples import catalogue
from vitime_cache.series.signal import Signal, hold_out

Value = Literal["mean", "resample", "zero"]


class InterventionError(VitimeError):
    """An intervention that cannot be made as requested."""


def unrelated_signals(signal: Signal) -> list[Signal]:
    """Signals of the catalogue that share no harmonic, name or origin with `signal`, cut to its share of history."""
    own = [harmonic.period for harmonic in signal.harmonics]
    related = {signal.name, signal.reduced_of} - {""}
    cut = []
    for other in catalogue():
        # Periods may be rounded: a store has them in float32.
        shared = any(math.isclose(one, its.period, rel_tol=1e-6) for one in own for its in other.harmonics)
        if shared or {other.name, other.reduced_of} & related:
            continue
        series = other.known
        horizon = round(len(series) * signal.horizon / (len(signal.values) + signal.horizon))
        cut.append(hold_out(other.name, series, min(max(horizon, 1), len(series) - 2)))
    return cut


class ReplacementOutputs:
    """Replacements for heads' outputs in every layer, computed once for each geometry and set of references.

    Pass one instance instead of references to reuse it for many signals of one geometry.

    Raises
    ------
    InterventionError
        For a value other than "mean", "resample" and "zero", for references of another geometry, and for no references.
    """

    def __init__(self, model: ViTime, value: Value, reference: Signal | Sequence[Signal] | None) -> None:
        reference = None if reference is None else to_signals(reference)
        choice(value, "value", get_args(Value), error=InterventionError)
        if reference is not None and not len(reference) and value != "zero":
            raise InterventionError(
                f"value {value!r} needs reference signals and got none; leave reference out for those of the catalogue"
            )
        self.model, self.value, self.reference = model, value, reference
        self._computed: dict[tuple[int, tuple[str, ...]], list[Tensor]] = {}

    @classmethod
    def by(
        cls, model: ViTime, value: Value, reference: Sequence[Signal] | ReplacementOutputs | None
    ) -> ReplacementOutputs:
        """`reference` itself if it is already an instance, else a new one."""
        return reference if isinstance(reference, ReplacementOutputs) else cls(model, value, reference)

    @property
    def facts(self) -> dict[str, Any]:
        """The description in the record of an intervention."""
        names = None if self.reference is None else [signal.name for signal in self.reference]
        note = {
            "mean": "mean over the reference signals, token by token",
            "resample": "the output of the first reference signal",
            "zero": "zero, which lies off what the network was trained on",
        }[self.value]
        return {
            "value": self.value,
            "value_note": note,
            "reference": names or "those of the catalogue that are unrelated to the signal and fit its geometry",
            "positions": "every token and CLS",
            "where": "a head's output before the output projection",
        } | ({"reference": []} if self.value == "zero" else {})

    def of(self, signal: Signal) -> list[Tensor]:
        """For every layer the replacement outputs (heads, 1 + N, d), in the network's dtype."""
        config = self.model.config
        if self.value == "zero":
            width = (config.encoder_width, config.decoder_width)
            return [
                torch.zeros(
                    config.heads, 1 + config.tokens, width[number >= config.encoder_depth] // config.heads,
                    dtype=self.model.dtype, device=self.model.device,
                )
                for number in range(len(config.layers))
            ]  # fmt: skip
        reference = unrelated_signals(signal) if self.reference is None else list(self.reference)
        columns, *others = (
            SeriesEncoding.fit(each.values, each.horizon, config).history_columns for each in (signal, *reference)
        )
        fits = [abs(its - columns) <= config.patch_width / 2 for its in others]
        if self.reference is None and any(fits):  # a short one has no horizon as small a share as 1 of 1000
            reference, others = list(compress(reference, fits)), list(compress(others, fits))
        if self.value == "resample":
            reference = reference[:1]
        for other, its in zip(reference, others, strict=False):
            if abs(its - columns) > config.patch_width / 2:
                raise InterventionError(
                    f"the history of reference {other.name!r} fills {its} of {config.columns} image columns, that of "
                    f"{signal.name!r} {columns}: their tokens do not correspond. Give references with the same ratio "
                    f"of history to horizon{', or leave reference out' if self.reference is not None else ''}"
                )
        key = columns, tuple(other.fingerprint for other in reference)
        if key not in self._computed:
            self._computed = {key: mean_outputs(self.model, reference)}
        return self._computed[key]


def exact(device: torch.device) -> torch.dtype:
    """The dtype in which a mean is summed there: Apple's devices have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


@torch.inference_mode()
def mean_outputs(model: ViTime, signals: Sequence[Signal]) -> list[Tensor]:
    """For every layer the mean of heads' outputs over signals, token by token, (heads, 1 + N, d)."""
    dtype = exact(model.device)

    def run(some: Sequence[Signal]) -> dict[str, Tensor]:
        sums: dict[str, Tensor] = {}

        def outputs(layer: str, attention: Any, x: Tensor) -> Tensor:
            z = plain_outputs(layer, attention, x)
            sums[layer] = z.sum(dim=0, dtype=dtype)
            return z

        run_layers(model, model.embed(draw(model, some)), outputs)
        return sums

    totals: dict[str, Tensor] = {}
    for _, sums in in_passes(signals, batch_size(model), run):
        totals = {layer: totals.get(layer, 0) + added for layer, added in sums.items()}
    return [(totals[layer] / len(signals)).to(model.dtype) for layer in model.config.layers]

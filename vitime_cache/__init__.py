"""An attention store for ViTime models: run once, read every head's attention from labelled zarr arrays.

    import vitime_cache as vc
    model = vc.load_model()
    ds = vc.capture(model, signal, horizon=720)
    ds = vc.open_store("store/vitime-mini.zarr")

Names are imported on first use, so that reading a store does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vitime_cache._version import __version__ as __version__
from vitime_cache.extras import remedy

if TYPE_CHECKING:
    from vitime_cache import charts as charts
    from vitime_cache.attention.capture import capture as capture
    from vitime_cache.errors import VitimeError as VitimeError
    from vitime_cache.evidence.ask import ask as ask
    from vitime_cache.evidence.levels.null_test import against_nulls as against_nulls
    from vitime_cache.evidence.levels.null_test import null_curves as null_curves
    from vitime_cache.evidence.population.ask_all import ask_all as ask_all
    from vitime_cache.interventions.named_heads import ablate_heads as ablate_heads
    from vitime_cache.interventions.named_heads import mask_lags as mask_lags
    from vitime_cache.interventions.named_heads import patch_values as patch_values
    from vitime_cache.model.checkpoint import CheckpointError as CheckpointError
    from vitime_cache.model.checkpoint import load_model as load_model
    from vitime_cache.model.config import ViTimeConfig as ViTimeConfig
    from vitime_cache.notebook import show as show
    from vitime_cache.series.examples import catalogue as catalogue
    from vitime_cache.series.signal import Harmonic as Harmonic
    from vitime_cache.series.signal import Signal as Signal
    from vitime_cache.series.sources import read_signals as read_signals
    from vitime_cache.store.build import build as build
    from vitime_cache.store.reader import open_store as open_store
    from vitime_cache.study.multi_head import MultiHeadAttentionRollout as MultiHeadAttentionRollout
    from vitime_cache.study.multi_head import MultiHeadAttentionRolloutPlotter as MultiHeadAttentionRolloutPlotter
    from vitime_cache.study.prediction import ViTimePrediction as ViTimePrediction
    from vitime_cache.study.rollout import AttentionRollout as AttentionRollout

# Name → the module that defines it; if both are equal, the name is a package.
_HOME = {
    "charts": "charts",
    "VitimeError": "errors",
    "ViTimeConfig": "model.config",
    "CheckpointError": "model.checkpoint",
    "load_model": "model.checkpoint",
    "Harmonic": "series.signal",
    "Signal": "series.signal",
    "catalogue": "series.examples",
    "read_signals": "series.sources",
    "capture": "attention.capture",
    "ablate_heads": "interventions.named_heads",
    "mask_lags": "interventions.named_heads",
    "patch_values": "interventions.named_heads",
    "null_curves": "evidence.levels.null_test",
    "against_nulls": "evidence.levels.null_test",
    "ask": "evidence.ask",
    "ask_all": "evidence.population.ask_all",
    "show": "notebook",
    "build": "store.build",
    "open_store": "store.reader",
    "ViTimePrediction": "study.prediction",
    "AttentionRollout": "study.rollout",
    "MultiHeadAttentionRollout": "study.multi_head",
    "MultiHeadAttentionRolloutPlotter": "study.multi_head",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOME[name]}")
    except ImportError as error:
        raise (ImportError(missing) if (missing := remedy(error)) else error) from error
    value = module if name == _HOME[name] else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""The newer interface of the reference study: the last layer's heads as one tensor, and one figure for each head.

A script of the study works if it imports its three classes from `vitime_cache`. Attribute and method names are the
study's. The number of samples per patch follows from the signal's lengths; it is not always 16.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vitime_cache.arrays import Array
from vitime_cache.attention import lags, pooling
from vitime_cache.attention.capture import capture
from vitime_cache.charts import HeadView
from vitime_cache.charts.shading import NO_CONTRAST
from vitime_cache.model.network import ViTime
from vitime_cache.series.sources import Signal
from vitime_cache.study.figure_options import FigureOptions
from vitime_cache.study.pictures import correlations_png, file_name, write_files
from vitime_cache.study.prediction import ViTimePrediction, encode, history_of
from vitime_cache.study.seen_attention import SeenAttention


class MultiHeadAttentionRollout:
    """Attention of all heads of the last decoder layer, token by token.

    Parameters
    ----------
    model
        A `ViTimePrediction` or a `ViTime` network.
    attention_layer_name, attention_drop_layer_name
        Endings of the names of the attention modules, and of the dropout after their softmax.

    Attributes
    ----------
    multi_heads_tensor
        (heads, S, S) float32 on the CPU after `forward`, query by key, CLS first; S is tokens + 1.
    attentions
        Attention of every layer, by the name of its dropout, in execution order: (1, heads, S, S).
    attention_patched
        The last result of `token_attn_to_time_attn`.
    num_sample_per_patch
        Samples per patch of lag for the last series.

    Raises
    ------
    RolloutError
        For names that do not match the model's attention, with those that do.
    """

    def __init__(
        self,
        model: ViTimePrediction | ViTime,
        attention_layer_name: str = "attn",
        attention_drop_layer_name: str = "attn_drop",
    ) -> None:
        self.model = model
        self.network = model.model if isinstance(model, ViTimePrediction) else model
        self._seen = SeenAttention(self.network, attention_layer_name, attention_drop_layer_name)
        self.attentions: dict[str, Tensor] = {}
        self.multi_heads_tensor: Tensor = torch.empty(0)
        self.attention_patched: Array = np.empty((0, 0))
        self.num_sample_per_patch = 0.0

    def forward(self, x: ArrayLike | Tensor, prediction_horizon: int) -> None:
        """Run the model on one series, (T,), (1, T) or (T, 1), and keep the attention of its heads.

        Raises
        ------
        RolloutError
            If a layer's attention was not captured or has an unexpected shape, with the remedy.
        """
        encoding, image = encode(self.network, history_of(self.model, x, prediction_horizon), prediction_horizon)
        found: dict[str, Tensor] = {}
        self._seen.run(image, lambda name, attention: found.update({name: attention.float().cpu()}))
        self.attentions = found
        self.multi_heads_tensor = next(reversed(found.values()))[0]
        self.num_sample_per_patch = encoding.samples_per_patch

    def token_attn_to_time_attn(self, A: ArrayLike, drop_cls: Literal["auto"] | bool = "auto") -> Array:
        """Token attention (S, S) pooled to patch columns (grid_w, grid_w): mean over both value axes.

        Raises
        ------
        PoolingError
            A ValueError, naming S and the two sizes expected.
        """
        self.attention_patched = pooling.tokens_to_time(A, self.network.config.grid, drop_cls)
        return self.attention_patched

    def mean_attention_vs_time_lag(self, A_time: ArrayLike, max_lag: int = 40) -> tuple[NDArray[np.intp], Array]:
        """Lags 1 … min(max_lag, n − 1) in patches, and the mean of `np.diag(A_time, -lag)` at each."""
        return lags.mean_attention_vs_time_lag(A_time, max_lag)


class MultiHeadAttentionRolloutPlotter(MultiHeadAttentionRollout):
    """Draws heads of the last decoder layer: the heatmap on the left, attention against lag on the right."""

    def plot_attention_heads(
        self,
        input_tensor: ArrayLike | Tensor,
        prediction_horizon: int = 720,
        save_dir: str | Path = "experiments/attention_maps",
        heads_to_plot: Iterable[int] | int = (0, 1, 2),
        experiment: str = "1",
        powermap: bool = True,
        robust_percentiles: tuple[float, float] | None = (5, 99),
        gamma: float = 1,
        show_log: bool = False,
        top_overlay_percent: float | None = 99.99,
    ) -> list[Path]:
        """Draw one figure of 14 × 6 inches at 200 dots per inch for each head.

        Parameters
        ----------
        input_tensor
            The history, one series: (T,), (1, T) or (T, 1).
        save_dir
            Folder of the pictures, created if needed. Pictures of the same experiment are replaced.
        heads_to_plot
            Heads of the last decoder layer; a head that does not exist is skipped with a message.
        powermap
            Whether to draw the heatmap with contrast, which the remaining options shape; see `Contrast`.

        Returns
        -------
        list
            The PNG files, `experiment_<name>_head_<head>_correlations.png`.
        """
        options = FigureOptions.of(
            save_dir, heads_to_plot, experiment, powermap, robust_percentiles=robust_percentiles, gamma=gamma,
            show_log=show_log, top_overlay_percent=top_overlay_percent,
        )  # fmt: skip
        self.forward(input_tensor, prediction_horizon)
        heads, layer = self.network.config.heads, self.network.config.layers[-1]
        for head in options.heads:
            if head not in range(heads):
                print(f"head {head} is out of range, skipped: {layer} has heads 0 … {heads - 1}")
        history = history_of(self.model, input_tensor, prediction_horizon)
        ds = capture(self.network, Signal(f"experiment {options.experiment}", history, horizon=prediction_horizon))
        files = {
            options.folder / f"experiment_{file_name(options.experiment)}_head_{head}_correlations.png": partial(
                correlations_png, HeadView(ds, layer, head, shown_in="weight"), options.contrast or NO_CONTRAST
            )
            for head in options.heads
            if head in range(heads)
        }
        return write_files(files, overwrite=True)

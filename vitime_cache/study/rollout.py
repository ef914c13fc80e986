"""Attention through the interface of the reference study, and attention rollout.

A script of the study works with `from vitime_cache import ViTimePrediction, AttentionRollout`. Rollout follows Abnar
and Zuidema, "Quantifying Attention Flow in Transformers" (ACL 2020, arXiv 2005.00928).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vitime_cache.arrays import Array
from vitime_cache.attention import lags, pooling
from vitime_cache.attention.capture import capture
from vitime_cache.charts import HeadView
from vitime_cache.checks import choice, is_number
from vitime_cache.model.network import ViTime
from vitime_cache.series.sources import Signal
from vitime_cache.study.figure_options import FigureOptions
from vitime_cache.study.pictures import experiment_files, file_name, write_files
from vitime_cache.study.prediction import ViTimePrediction, encode, history_of
from vitime_cache.study.seen_attention import RolloutError, SeenAttention

Fusion = Literal["mean", "max", "min"]


class AttentionRollout:
    """Attention of a model's single heads, and rollout over all layers.

    Parameters
    ----------
    model
        A `ViTimePrediction` or a `ViTime` network.
    attention_layer_name, attention_drop_layer_name
        Endings of the names of the attention modules, and of the dropout after their softmax.
    head_fusion
        How rollout fuses the heads of a layer: by their mean, maximum or minimum at each query and key.
    discard_ratio
        Share of a fused map's lowest weights that rollout sets to zero; 0 keeps all, as in the paper.

    Raises
    ------
    RolloutError
        For an option outside its range, or names that do not match the model's attention, with those that do.
    """

    def __init__(
        self,
        model: ViTimePrediction | ViTime,
        attention_layer_name: str = "attn",
        attention_drop_layer_name: str = "attn_drop",
        head_fusion: Fusion = "mean",
        discard_ratio: float = 0.9,
    ) -> None:
        choice(head_fusion, "head_fusion", get_args(Fusion), error=RolloutError)
        if not (is_number(discard_ratio) and 0 <= discard_ratio < 1):
            raise RolloutError(f"discard_ratio must be at least 0 and below 1, got {discard_ratio!r:.60}")
        self.predictor = model if isinstance(model, ViTimePrediction) else None
        self.model = model.model if isinstance(model, ViTimePrediction) else model
        self.head_fusion = head_fusion
        self.discard_ratio = discard_ratio
        self._seen = SeenAttention(self.model, attention_layer_name, attention_drop_layer_name)

    def rollout(self, input_tensor: ArrayLike | Tensor, prediction_horizon: int = 720) -> NDArray[np.float32]:
        """Compute how much of each input token reaches each output token by attention alone.

        Parameters
        ----------
        input_tensor
            The history, one series: (T,), (1, T) or (T, 1).
        prediction_horizon
            Samples to forecast.

        Returns
        -------
        (1 + N, 1 + N), output token by input token, CLS first; rows sum to 1. `token_attn_to_time_attn` pools it to
        time.

        Raises
        ------
        RolloutError
            If a layer's attention was not captured or has an unexpected shape, with the remedy.

        Notes
        -----
        A is the fused attention of a layer, query by key, from the first encoder layer to the last decoder layer::

            R ← normalise_rows(½ A + ½ I) · R,    R = I at the start

        ½ I stands for the residual connection (Abnar and Zuidema 2020, section 3). The decoder counts as further
        layers, because everything between encoder and decoder maps each token separately. Values, MLPs and norms are
        ignored, so this is a baseline view and not an account of what the model computes.

        Before that, the `discard_ratio` lowest weights of A are set to zero, except that of CLS to CLS, as in the
        common implementation for vision transformers (github.com/jacobgil/vit-explain); weights equal to the limit are
        kept. That implementation divides by the row sums along the columns; here each row is divided by its own sum.
        """
        result: Tensor | None = None

        def pass_layer(_: str, attention: Tensor) -> None:
            nonlocal result
            step = layer_flow(self._fused(attention[0]), self.discard_ratio)
            result = step if result is None else step @ result

        history = history_of(self.predictor or self.model, input_tensor, prediction_horizon)
        _, image = encode(self.model, history, prediction_horizon)
        self._seen.run(image, pass_layer)
        assert result is not None
        return result.cpu().numpy()

    def token_attn_to_time_attn(self, A: ArrayLike, drop_cls: Literal["auto"] | bool = "auto") -> Array:
        """Token attention (S, S) pooled to patch columns (grid_w, grid_w): mean over both value axes.

        Parameters
        ----------
        drop_cls
            "auto" drops CLS when S is tokens + 1; True and False say which of the two sizes A has.

        Raises
        ------
        PoolingError
            A ValueError, naming S and the two sizes expected.
        """
        return pooling.tokens_to_time(A, self.model.config.grid, drop_cls)

    def mean_attention_vs_time_lag(self, A_time: ArrayLike, max_lag: int = 40) -> tuple[NDArray[np.intp], Array]:
        """Lags 1 … min(max_lag, n − 1) in patches, and the mean of `np.diag(A_time, -lag)` at each."""
        return lags.mean_attention_vs_time_lag(A_time, max_lag)

    def plot_attention_heads(
        self,
        input_tensor: ArrayLike | Tensor,
        prediction_horizon: int = 720,
        save_dir: str | Path = "experiments/attention_maps",
        heads_to_plot: Iterable[int] | int = (7,),
        experiment: str = "1",
        powermap: bool = True,
        robust_percentiles: tuple[float, float] | None = (5, 99),
        gamma: float = 0.1,
        show_log: bool = True,
        top_overlay_percent: float | None = 99.9,
    ) -> list[Path]:
        """Draw heads of the last decoder layer: heatmaps with and without contrast, and attention against time lag.

        Parameters
        ----------
        input_tensor
            The history, one series: (T,), (1, T) or (T, 1).
        prediction_horizon
            Samples to forecast.
        save_dir
            Folder of the pictures, created if needed. Pictures of the same experiment are replaced.
        heads_to_plot
            Heads, side by side in each picture.
        experiment
            Name of the experiment, in titles and file names.
        powermap
            Whether to draw the heatmap with contrast; the other options set the contrast, see `Contrast`.

        Returns
        -------
        list
            The PNG files, 200 dots per inch: `experiment_<name>_temporal_dependencies_heads_contrast.png` (if
            `powermap`), `…_heads_no_contrast.png` and `experiment_<name>_time-lag correlation.png`.

        Raises
        ------
        RolloutError
            If a head does not exist, naming the range.
        """
        heads, layer = self.model.config.heads, self.model.config.layers[-1]
        options = FigureOptions.of(
            save_dir, heads_to_plot, experiment, powermap, robust_percentiles=robust_percentiles, gamma=gamma,
            show_log=show_log, top_overlay_percent=top_overlay_percent,
        )  # fmt: skip
        for head in options.heads:
            if head not in range(heads):
                raise RolloutError(f"no head {head}; {layer} has heads 0 … {heads - 1}")
        if not options.heads:
            raise RolloutError(f"heads_to_plot is empty; {layer} has heads 0 … {heads - 1}")
        history = history_of(self.predictor or self.model, input_tensor, prediction_horizon)
        ds = capture(self.model, Signal(f"experiment {options.experiment}", history, horizon=prediction_horizon))
        views = [HeadView(ds, layer, head, shown_in="weight") for head in options.heads]
        files = experiment_files(views, file_name(options.experiment), options.folder, ("png",), options.contrast)
        return write_files(files, overwrite=True)

    def _fused(self, attention: Tensor) -> Tensor:
        """Fuse a layer's maps (heads, 1 + N, 1 + N) to one, (1 + N, 1 + N) in float32."""
        if self.head_fusion == "mean":
            return attention.mean(dim=0, dtype=torch.float32)
        return (attention.amax(dim=0) if self.head_fusion == "max" else attention.amin(dim=0)).float()


def layer_flow(attention: Tensor, discard_ratio: float) -> Tensor:
    """½ A + ½ I with rows that sum to 1, without the lowest weights of A (S, S), CLS first."""
    limit = attention.flatten().kthvalue(int(discard_ratio * attention.numel()) + 1).values
    flow = torch.where(attention < limit, 0, attention)
    flow[0, 0] = attention[0, 0]
    flow.diagonal().add_(1)  # the two halves cancel in the division
    return flow / flow.sum(dim=-1, keepdim=True)

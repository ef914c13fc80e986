"""The ViTime network (arXiv 2407.07311, section 3.3): a masked-autoencoder vision transformer on timm's blocks.

The published code shuffles its encoder tokens even when nothing is masked; here they stay in order. In every layer,
token 0 is CLS and token t + 1 is at grid row t // columns and grid column t % columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import torch
from einops import rearrange
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from vitime_cache.model.config import ViTimeConfig, WeightsInfo

# (layer, its attention module, the block's normalised input (B, 1 + N, D)) → its attention output (B, 1 + N, D).
Attend = Callable[[str, Any, Tensor], Tensor]

_SUMMED = 512  # bytes of weights in one sum


class ViTime(nn.Module):
    """Completes the image of a series.

    Parameters
    ----------
    config
        Shapes; weights are drawn at random (`torch.manual_seed` fixes them) until a checkpoint is loaded.
    """

    def __init__(self, config: ViTimeConfig) -> None:
        super().__init__()
        self.config = config
        self._weights = WeightsInfo("random", note="random weights: a control, not a trained model")
        self._read: list[int] = []  # the state in which the weights were read from their file
        self._hashed: tuple[list[int], str] | None = None
        rows, columns = config.grid

        def blocks(width: int, depth: int) -> nn.ModuleList:
            return nn.ModuleList(
                Block(width, config.heads, mlp_ratio=4, qkv_bias=True, norm_layer=nn.LayerNorm) for _ in range(depth)
            )

        self.patch_embed = PatchEmbed(
            img_size=(config.image_height, config.columns),
            patch_size=(config.patch_height, config.patch_width),  # type: ignore[arg-type]
            in_chans=1,
            embed_dim=config.encoder_width,
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.encoder_width))
        self.pos_embed = nn.Parameter(sincos_positions(rows, columns, config.encoder_width), requires_grad=False)
        self.blocks = blocks(config.encoder_width, config.encoder_depth)
        self.norm = nn.LayerNorm(config.encoder_width)

        self.decoder_embed = nn.Linear(config.encoder_width, config.decoder_width)
        # Only masked pre-training uses it; it is kept so that published state dicts load strictly.
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.decoder_width), requires_grad=False)
        self.decoder_pos_embed = nn.Parameter(
            sincos_positions(rows, columns, config.decoder_width), requires_grad=False
        )
        self.decoder_blocks = blocks(config.decoder_width, config.decoder_depth)
        self.decoder_norm = nn.LayerNorm(config.decoder_width)
        self.decoder_pred = nn.Linear(config.decoder_width, config.patch_height * config.patch_width)
        self.apply(_initialise)
        nn.init.normal_(self.cls_token, std=0.02)

    @property
    def weights(self) -> WeightsInfo:
        """Where the weights come from.

        Weights that come from no file, or have changed since they were read from it, have the hash of the tensors as
        they are now, so that what was computed by them is told apart from what others gave.
        """
        info, state = self._weights, self._state()
        if self._as_read(state):
            return info
        if info.sha256:
            note = "; ".join(filter(None, ("changed since the file was read", info.note)))
            info = WeightsInfo(f"{info.name}, changed", note=note)
        return replace(info, sha256=self._tensors_sha256(state))

    @weights.setter
    def weights(self, info: WeightsInfo) -> None:
        self._weights, self._read = info, self._state()

    def _as_read(self, state: list[int]) -> bool:
        """Whether the weights come from a file and have not changed since."""
        return bool(self._weights.sha256) and state == self._read

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the tensors to another device or dtype, which is no change of the weights."""
        as_read = self._as_read(self._state())
        moved: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if as_read:
            self._read = self._state()
        return moved

    def _state(self) -> list[int]:
        """Sums that differ after any change of the tensors, in a tenth of the time of a hash.

        Sums of whole numbers are the same in every order, and so on every device and number of threads. Sums of parts
        are weighted by their places, so that swapped heads differ, too.
        """
        sums = []
        for tensor in self.state_dict().values():
            octets = tensor.detach().contiguous().view(-1).view(torch.uint8)
            whole = nn.functional.pad(octets, (0, -len(octets) % _SUMMED)) if len(octets) % _SUMMED else octets
            parts = whole.view(torch.int64).view(-1, _SUMMED // 8).sum(dim=1)
            sums.append((parts * torch.arange(1, 1 + len(parts), device=parts.device)).sum())
        return torch.stack(sums).tolist()

    def _tensors_sha256(self, state: list[int]) -> str:
        """Hash of all tensors, computed again only if `_state` is another: a large network takes a second to hash."""
        if self._hashed is None or self._hashed[0] != state:
            digest = hashlib.sha256()
            for name, tensor in self.state_dict().items():
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
            self._hashed = (state, digest.hexdigest())
        return self._hashed[1]

    @property
    def device(self) -> torch.device:
        return self.cls_token.device

    @property
    def dtype(self) -> torch.dtype:
        return self.cls_token.dtype

    def blocks_by_layer(self) -> dict[str, Block]:
        """Layer name ("encoder.0" … "decoder.5") → block, in execution order."""
        return dict(zip(self.config.layers, [*self.blocks, *self.decoder_blocks], strict=True))

    def logits(self, images: Tensor) -> Tensor:
        """Row scores of every image column.

        Parameters
        ----------
        images
            (B, 1, h, W): ink of the history, future columns blank; W = columns, h = image height.

        Returns
        -------
        Tensor
            (B, W, h)
        """
        return self.read_out(self.run_blocks(self.embed(images)))

    def run_blocks(
        self,
        x: Tensor,
        attend: Attend | None = None,
        first: int = 0,
        *,
        decoder_positions: Tensor | None = None,
        on_input: Callable[[int, Tensor], object] | None = None,
    ) -> Tensor:
        """Run from the input of layer number `first` to the output of the last decoder block.

        This is the only loop over blocks.

        Parameters
        ----------
        x
            (B, 1 + n, D), CLS first: all tokens of the grid, or in training a subset.
        attend
            Replaces the attention of every block; None runs the blocks as they are.
        decoder_positions
            Replaces `decoder_pos_embed`, (B, 1 + n, D_dec), where x holds a subset of tokens.
        on_input
            Called with the number of each layer and its input, before the layer runs.

        Returns
        -------
        Tensor
            (B, 1 + n, D_dec)
        """
        for number, (layer, block) in enumerate(self.blocks_by_layer().items()):
            if number < first:
                continue
            if number == self.config.encoder_depth > first:
                x = self.enter_decoder(x, decoder_positions)
            if on_input is not None:
                on_input(number, x)
            if attend is None:
                x = block(x)
            else:
                x = x + attend(layer, block.attn, block.norm1(x))
                x = x + block.mlp(block.norm2(x))
        return x

    def embed(self, images: Tensor) -> Tensor:
        """Images (B, 1, h, W) → input of the first encoder block, (B, 1 + N, D), CLS first."""
        x = self.patch_embed(images) + self.pos_embed[:, 1:]  # (B, N, D)
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        return torch.cat((cls, x), dim=1)

    def enter_decoder(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Output of the last encoder block → input of the first decoder block, (B, 1 + N, D_dec)."""
        entered: Tensor = self.decoder_embed(self.norm(x)) + (
            self.decoder_pos_embed if positions is None else positions
        )
        return entered

    def read_out(self, x: Tensor) -> Tensor:
        """Output of the last decoder block → row scores of every image column, (B, W, h)."""
        patches = self.decoder_pred(self.decoder_norm(x))[:, 1:]  # (B, N, ph * pw)
        rows, columns = self.config.grid
        scores: Tensor = rearrange(
            patches, "b (row col) (ph pw) -> b (col pw) (row ph)", row=rows, col=columns, ph=self.config.patch_height
        )
        return scores

    def probability(self, scores: Tensor, temperature: float = 1.0) -> Tensor:
        """Row scores → probability of each row in every image column, (B, W, h) float32."""
        scores = scores.float() / temperature
        if self.config.output == "sigmoid":
            ink = scores.sigmoid()
            return ink / ink.sum(dim=-1, keepdim=True)
        return scores.softmax(dim=-1)

    def forward(self, images: Tensor, temperature: float = 1.0) -> Tensor:
        """Probability of each row in every image column, (B, 1, h, W) → (B, W, h), float32, summing to 1 over h.

        Parameters
        ----------
        temperature
            Divides the scores; the published code always computes with 1.

        Raises
        ------
        ValueError
            If the temperature is not positive or the image does not have the model's size.
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        expected = (1, self.config.image_height, self.config.columns)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise ValueError(f"this model takes images of shape (batch, {expected}), got {tuple(images.shape)}")
        return self.probability(self.logits(images), temperature)


def sincos_positions(rows: int, columns: int, width: int) -> Tensor:
    """Fixed 2-D sin-cos positions with a zero row for CLS, (1, 1 + rows * columns, width).

    The first half of the channels encodes the column (time), the second the row (value), as in MAE (arXiv 2111.06377),
    with frequencies that fall from 1 to 1/10000 radians per patch.
    """
    frequency = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))

    def code(position: Tensor) -> Tensor:
        angle = torch.outer(position.double(), frequency)
        return torch.cat((angle.sin(), angle.cos()), dim=1)

    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    positions = torch.cat((code(column.flatten()), code(row.flatten())), dim=1)
    return torch.cat((torch.zeros(1, width), positions.float()))[None]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

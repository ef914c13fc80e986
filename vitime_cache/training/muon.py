"""Muon: orthogonalised momentum for matrices (Jordan 2024; the scaling of arXiv 2502.16982), in float32.

Stock implementations orthogonalise in bfloat16, which costs more than the network on CPUs without fast bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that brings every singular value near 1 in five steps
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Steps along the orthogonal factor of the Nesterov momentum of each matrix.

    Parameters
    ----------
    params
        Matrices (out, in). Three stacked square ones, as queries, keys and values are, count as three.
    lr
        Root mean square of the change of an entry, times five: a rate that suits AdamW suits it.
    """

    def __init__(self, params: list[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                momentum = state.setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(momentum, group["momentum"])  # Nesterov
                width = p.shape[1]
                stacked = update.view(3, width, width) if p.shape[0] == 3 * width else update[None]
                scale = 0.2 * max(stacked.shape[1:]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(orthogonal_factor(stacked).reshape(p.shape), alpha=-group["lr"] * scale)


def orthogonal_factor(matrices: Tensor) -> Tensor:
    """Nearly the orthogonal factor of each matrix (..., m, n): singular values within 0.7 … 1.2.

    Newton-Schulz: X becomes X (a + b XᵀX + c (XᵀX)²), five times. All factors are polynomials of XᵀX, so they
    commute: for oblong matrices they are gathered in the smaller square, which halves the cost at 4 : 1.
    """
    a, b, c = COEFFICIENTS
    x: Tensor = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if x.shape[-2] < x.shape[-1]:
        return orthogonal_factor(matrices.mT).mT
    identity = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    if x.shape[-2] == x.shape[-1]:
        for _ in range(STEPS):
            gram = x.mT @ x
            x = x @ (a * identity + b * gram + c * (gram @ gram))
        return x
    gram = x.mT @ x
    gathered = identity
    for _ in range(STEPS):
        factor = a * identity + b * gram + c * (gram @ gram)
        gathered, gram = gathered @ factor, factor @ gram @ factor
    final: Tensor = x @ gathered
    return final

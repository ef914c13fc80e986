"""Muon: orthogonalised momentum for matrices (Jordan 2024; the scaling of arXiv 2502.16982).

Other implementations orthogonalise in bfloat16, which costs more than the network on CPUs without fast bfloat16; here
the precision is an option. Matrices of the same shape are orthogonalised together.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that moves every singular value near 1 in five steps
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Steps along the orthogonal factor of the Nesterov momentum of each matrix.

    Parameters
    ----------
    params
        Matrices (out, in). Three stacked square matrices, such as queries, keys and values, count as three.
    lr
        Five times the root mean square change of an entry, so that a rate for AdamW also works here.
    precision
        Precision of the orthogonalisation; momenta and weights keep their own.
    """

    def __init__(
        self,
        params: list[nn.Parameter],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.precision = precision

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            alike: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for p in group["params"]:
                state = self.state[p]
                momentum = state.setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                alike[p.shape].append((p, p.grad.lerp(momentum, group["momentum"])))  # Nesterov
            for (rows, width), updates in alike.items():
                stacked = torch.stack([update for _, update in updates])
                matrices = stacked.view(-1, width, width) if rows == 3 * width else stacked
                scale = 0.2 * max(matrices.shape[1:]) ** 0.5
                factors = orthogonal_factor(matrices.to(self.precision)).view_as(stacked)
                for (p, _), factor in zip(updates, factors, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(factor, alpha=-group["lr"] * scale)


def orthogonal_factor(matrices: Tensor) -> Tensor:
    """Approximate the orthogonal factor of each matrix (k, m, n), with singular values within 0.7 … 1.2.

    Newton-Schulz: X becomes X (a + b XᵀX + c (XᵀX)²), five times. All factors are polynomials of XᵀX, so they commute.
    For oblong matrices they are multiplied in the smaller square, which halves the cost at 4 : 1. This is not done in
    bfloat16, where the product of rounded factors diverges.
    """
    a, b, c = COEFFICIENTS
    x: Tensor = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if x.shape[-2] < x.shape[-1]:
        return orthogonal_factor(matrices.mT).mT
    if x.shape[-2] == x.shape[-1] or x.dtype == torch.bfloat16:
        for _ in range(STEPS):
            gram = x.mT @ x
            x = torch.baddbmm(x, x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), beta=a)
        return x
    gram = x.mT @ x
    gathered = identity = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    for _ in range(STEPS):
        factor = a * identity + b * gram + c * (gram @ gram)
        gathered, gram = gathered @ factor, factor @ gram @ factor
    final: Tensor = x @ gathered
    return final

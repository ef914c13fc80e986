from __future__ import annotations

import pytest
import torch

from vitime_cache.training.muon import COEFFICIENTS, STEPS, Muon, orthogonal_factor


def test_muon_moves_along_the_orthogonal_factor_of_the_gradient() -> None:
    p = torch.nn.Parameter(torch.zeros(12, 8))
    p.grad = torch.randn(12, 8, generator=torch.manual_seed(0))
    u, _, v = torch.linalg.svd(p.grad, full_matrices=False)
    Muon([p], lr=1.0, weight_decay=0.0).step()
    direction = -p.data / (0.2 * 12**0.5)
    # five quintic iterations bring every singular value near 1, within 0.7 … 1.2
    singular = torch.linalg.svdvals(direction)
    assert 0.6 < singular.min() <= singular.max() < 1.3
    aligned = torch.diagonal(u.T @ direction @ v.T)
    torch.testing.assert_close(aligned, singular, rtol=0, atol=0.6)
    assert aligned.min() > 0.5


@pytest.mark.parametrize("shape", [(1, 24, 6), (1, 6, 24), (3, 8, 8)])
def test_gathering_the_factors_changes_nothing_but_the_cost(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.manual_seed(1), dtype=torch.float64)
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(-2, -1), keepdim=True)
    for _ in range(STEPS):  # the iteration as it is written down
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    torch.testing.assert_close(orthogonal_factor(matrices), x, rtol=1e-5, atol=1e-5)


def test_queries_keys_and_values_are_orthogonalised_each_on_its_own() -> None:
    stacked, alone = torch.nn.Parameter(torch.zeros(24, 8)), torch.nn.Parameter(torch.zeros(8, 8))
    stacked.grad = torch.randn(24, 8, generator=torch.manual_seed(0))
    alone.grad = stacked.grad[8:16].clone()
    for p in (stacked, alone):
        Muon([p], lr=1.0, weight_decay=0.0).step()
    torch.testing.assert_close(stacked.data[8:16], alone.data)


def test_in_bfloat16_the_factor_stays_near_that_of_full_precision() -> None:
    # the last columns are almost copies of the first: Gram matrices of that kind are where rounding does harm
    matrices = torch.randn(2, 96, 24, generator=torch.manual_seed(2))
    matrices[..., 12:] = matrices[..., :12] + 1e-3 * matrices[..., 12:]
    exact, rounded = orthogonal_factor(matrices), orthogonal_factor(matrices.bfloat16()).float()
    assert torch.linalg.svdvals(rounded).max() < 1.3
    large = exact @ exact.mT  # onto what the directions of large singular values span
    assert (large @ (rounded - exact)).norm() < 0.5 * exact.norm()


def test_matrices_of_one_shape_are_stepped_as_each_would_be_alone() -> None:
    grads = torch.randn(2, 12, 8, generator=torch.manual_seed(3))
    together, alone = ([torch.nn.Parameter(torch.ones(12, 8)) for _ in grads] for _ in range(2))
    for p, q, grad in zip(together, alone, grads, strict=True):
        p.grad = q.grad = grad
        Muon([q], lr=0.1, weight_decay=0.1).step()
    Muon(together, lr=0.1, weight_decay=0.1).step()
    torch.testing.assert_close(torch.stack(list(together)), torch.stack(list(alone)))

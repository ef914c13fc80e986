from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from tests.conftest import small_config
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.drawing import draw
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.training.config import MINI

CONFIGS = {
    "published": ViTimeConfig(),
    "shipped": MINI,
    "small": small_config(),
    "as narrow as may be": small_config(context_columns=4, horizon_columns=12),
    "centred by a power": replace(MINI, mu_norm=2),
}
GEOMETRIES = ((512, 720), (308, 154), (100, 500), (900, 50), (997, 3))


def drawn(
    history: np.ndarray, horizon: int, config: ViTimeConfig, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """A batch by the tensor code, and by `SeriesEncoding.image`."""
    encoding = SeriesEncoding.fit(history, horizon, config)
    rows = torch.from_numpy(encoding.history_rows(history)).to(device)
    return draw(rows, config).cpu().numpy(), encoding.image(history).swapaxes(-1, -2)[:, None]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: f"{g[0]}+{g[1]}")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_batch_drawn_as_tensors_equals_the_encoding_s_image_within_rounding(
    name: str, geometry: tuple[int, int]
) -> None:
    history = np.random.default_rng(0).standard_normal((3, geometry[0])).cumsum(axis=1)
    ours, expected = drawn(history, geometry[1], CONFIGS[name])
    assert ours.shape == expected.shape
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=0, atol=4e-6 * expected.max())


def test_ink_is_the_blurred_one_hot_image() -> None:
    """Against the definition: one-hot rows, a Gaussian of 31 × 31 with reflected borders, times 31."""
    config = small_config()
    rows = np.random.default_rng(1).integers(0, config.image_height, (2, 40))
    one_hot = np.zeros((2, config.image_height, config.columns))
    for image, row in zip(one_hot, rows, strict=True):
        image[row, np.arange(40)] = 1
    offset = np.arange(-15, 16)
    kernel = np.exp(-(offset**2) / 50.0)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    expected = np.stack([31 * correlate(image, kernel, mode="mirror") for image in one_hot])
    np.testing.assert_allclose(draw(torch.from_numpy(rows), config)[:, 0].numpy(), expected, rtol=0, atol=1e-5)


def test_a_constant_history_is_drawn() -> None:
    ours, expected = drawn(np.full((1, 64), 3.0), 32, small_config())
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_rows_may_be_whole_numbers_of_any_size(kind: torch.dtype) -> None:
    rows = torch.randint(0, 16, (2, 30), generator=torch.manual_seed(0))
    assert torch.equal(draw(rows.to(kind), small_config()), draw(rows, small_config()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: this machine has none")
def test_a_cuda_device_draws_what_the_cpu_draws() -> None:
    history = np.random.default_rng(0).standard_normal((64, 512)).cumsum(axis=1)
    ours, expected = drawn(history, 720, MINI, "cuda")
    np.testing.assert_allclose(ours, expected, rtol=0, atol=4e-6 * expected.max())

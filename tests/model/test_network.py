from __future__ import annotations

import pickle
from copy import deepcopy
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import GOLDEN_WEIGHTS, random_model, small_config
from vitime_cache.model import network
from vitime_cache.model.checkpoint import load_model
from vitime_cache.model.network import ViTime, sincos_positions


@pytest.mark.parametrize("case", range(4))
def test_probabilities_are_those_of_the_published_code(
    case: int, golden: dict[str, np.ndarray], golden_model: ViTime
) -> None:
    image = torch.from_numpy(golden[f"{case}_image"]).T[None, None]
    probability = golden_model(image)[0].numpy()
    np.testing.assert_allclose(probability, golden[f"{case}_probability"], atol=1e-5)


def test_positions_are_those_the_published_code_stored(golden_model: ViTime) -> None:
    rows, columns = golden_model.config.grid
    torch.testing.assert_close(sincos_positions(rows, columns, 192), golden_model.pos_embed.data)
    torch.testing.assert_close(sincos_positions(rows, columns, 96), golden_model.decoder_pos_embed.data)


def test_without_positions_and_mixing_each_patch_is_drawn_where_it_was_read() -> None:
    """An identity network must return its image: patching and un-patching are inverse and keep the order of tokens."""
    config = small_config(encoder_width=64, decoder_width=64, image_height=16)
    model = ViTime(config).eval()
    with torch.no_grad():
        model.pos_embed.zero_()
        model.decoder_pos_embed.zero_()
        model.patch_embed.proj.weight.copy_(torch.eye(64).reshape(64, 1, 8, 8))
        model.patch_embed.proj.bias.zero_()
        for block in model.blocks_by_layer().values():
            block.attn.proj.weight.zero_()
            block.mlp.fc2.weight.zero_()
        model.decoder_embed.weight.copy_(torch.eye(64))
        model.decoder_pred.weight.copy_(torch.eye(64))
        model.norm, model.decoder_norm = nn.Identity(), nn.Identity()
        image = torch.rand(2, 1, 16, 48)
        torch.testing.assert_close(model.logits(image), image[:, 0].transpose(1, 2))


def test_every_column_is_a_distribution_over_rows() -> None:
    for output in ("softmax", "sigmoid"):
        probability = random_model(small_config(output=output))(torch.rand(3, 1, 16, 48))
        assert probability.shape == (3, 48, 16)
        torch.testing.assert_close(probability.sum(-1), torch.ones(3, 48))


def test_temperature_flattens_the_distribution() -> None:
    model, image = random_model(small_config()), torch.rand(1, 1, 16, 48)

    def entropy(temperature: float) -> float:
        p = model(image, temperature)
        return float(-(p * p.log()).sum())

    assert entropy(0.5) < entropy(1.0) < entropy(4.0)


def test_a_wrong_image_or_temperature_is_refused() -> None:
    model = random_model(small_config())
    with pytest.raises(ValueError, match=r"\(1, 16, 48\).*got \(1, 1, 48, 16\)"):
        model(torch.rand(1, 1, 48, 16))
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        model(torch.rand(1, 1, 16, 48), 0)


def test_the_hash_of_weights_in_memory_follows_every_change_and_is_computed_once_for_each() -> None:
    model = random_model(small_config())
    first = model.weights.sha256
    with mock.patch.object(network.hashlib, "sha256", side_effect=AssertionError("hashed again")):
        assert model.weights.sha256 == first
    model.norm.bias.data[0] += 1
    second = model.weights.sha256
    with torch.no_grad():
        model.cls_token.mul_(2)
    third = model.weights.sha256
    assert len({first, second, third, random_model(small_config(), seed=1).weights.sha256}) == 4


def test_weights_that_changed_since_they_were_read_are_not_told_as_those_of_the_file() -> None:
    model = load_model(GOLDEN_WEIGHTS, "cpu")
    of_file = model.weights
    for same in (
        deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        load_model(GOLDEN_WEIGHTS, "cpu", "float16").float(),
    ):
        assert same.weights == of_file
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    assert model.to(torch.bfloat16).weights == of_file, "it is the file's, in another precision"
    torch.set_num_threads(threads)
    rows = model.blocks[0].attn.qkv.weight
    changes = (
        lambda: rows.mul_(2),
        lambda: rows.data.copy_(rows.data.roll(64, 0)),  # heads in another order
        lambda: model.load_state_dict(ViTime(model.config).state_dict()),
    )
    found = [of_file.sha256]
    for change in changes:
        change()
        told = deepcopy(model).half().weights
        found.append(model.weights.sha256)
        assert told.name == model.weights.name == "vitime_tiny, changed"
        assert model.weights.note.startswith("changed since the file was read")
    assert len(set(found)) == 4

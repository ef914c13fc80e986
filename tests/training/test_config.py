from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vitime_cache.model.checkpoint import peek
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.training.config import MINI, Stage, TrainConfig, TrainingError
from vitime_cache.training.synthesis import Mixture

ROOT = Path(__file__).parents[2]
REPEATS = Mixture(repeats=1.0)


def test_the_learning_rate_warms_up_stays_and_falls_to_nothing() -> None:
    config = TrainConfig(stages=(Stage(60, REPEATS), Stage(40, REPEATS)), warmup=10, cooldown=20, lr=1.0)
    rates = [config.learning_rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert set(rates[9:80]) == {1.0}
    assert np.all(np.diff(rates[80:]) < 0)
    assert rates[-1] == pytest.approx(0.05)


def test_stages_follow_one_another_and_the_last_goes_on() -> None:
    first, second = Stage(3, Mixture(copies=1.0)), Stage(5, REPEATS)
    config = TrainConfig(stages=(first, second))
    assert [config.stage(step) for step in (0, 2, 3, 7, 100)] == [first, first, second, second, second]
    assert config.steps == 8


def test_fewer_steps_drop_the_later_stages_and_more_lengthen_the_last() -> None:
    config = TrainConfig(stages=(Stage(3, Mixture(copies=1.0)), Stage(5, REPEATS)))
    assert [stage.steps for stage in config.with_steps(2).stages] == [2]
    assert [stage.steps for stage in config.with_steps(5).stages] == [3, 2]
    assert [stage.steps for stage in config.with_steps(20).stages] == [3, 17]


def test_a_toml_file_sets_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        "lr = 0.001\n[network]\nencoder_depth = 3\n"
        "[[stages]]\nsteps = 7\nperiods = [64, 128]\nnear = 1.0\n[stages.mixture]\ncopies = 1\n"
        "[[stages]]\nsteps = 3\n[stages.mixture]\nslow = 1\nsines = 2\n"
    )
    config = TrainConfig.from_toml(path)
    assert (config.lr, config.steps, config.batch_size) == (0.001, 10, TrainConfig().batch_size)
    assert config.network == replace(MINI, encoder_depth=3)
    assert config.stages[0] == Stage(7, Mixture(copies=1), periods=(64, 128), near=1.0)
    assert config.stages[1].mixture.sines == 2


PARTS = ("vitime-mini", "vitime-mini-more", "vitime-mini-gpu", "vitime-mini-lifelike")


@pytest.mark.parametrize("part", PARTS)
def test_the_configurations_beside_the_shipped_weights_describe_their_network(part: str) -> None:
    config = TrainConfig.from_toml(ROOT / "weights" / f"{part}.toml")
    shipped, _ = peek(ROOT / "weights" / "vitime-mini.safetensors")
    assert config.network == shipped


def test_no_part_of_the_teaching_draws_the_series_of_another() -> None:
    seeds = [TrainConfig.from_toml(ROOT / "weights" / f"{part}.toml").seed for part in PARTS]
    assert len(set(seeds)) == len(PARTS)


def test_adapting_is_short_and_its_rate_falls_over_the_second_half() -> None:
    for steps in (1, 7, TrainConfig.adapting(MINI).steps):
        config = TrainConfig.adapting(MINI, steps)
        rates = [config.learning_rate(step) for step in range(steps)]
        assert config.steps == steps <= 200
        assert all(rate > 0 for rate in rates)
        assert np.all(np.diff(rates[(steps + 1) // 2 :]) < 0)
    assert max(rates) == config.lr


def test_adapting_a_wider_image_shows_synthetic_periods_that_are_wider_by_as_much() -> None:
    narrow, wide = (TrainConfig.adapting(network).stages[0].periods for network in (MINI, ViTimeConfig()))
    assert wide == (2 * narrow[0], 2 * narrow[1])
    assert TrainConfig.adapting(ViTimeConfig()).network == ViTimeConfig()


STAGE = "[[stages]]\nsteps = 3\n[stages.mixture]\nslow = 1\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("stepz = 3", "unknown field stepz"),
        ("batch_size = 0", "batch_size must be a whole number from 1 on, got 0"),
        ("batch_size = 2.5", "batch_size must be a whole number from 1 on, got 2.5"),
        ("seed = -1", "seed must be a whole number from 0 to 4294967295, got -1"),
        ("seed = 4294967296", "seed must be a whole number from 0 to 4294967295, got 4294967296"),
        ("warmup = 1.5", "warmup must be a whole number from 0 on, got 1.5"),
        ("lr = -1.0", "lr must be a positive number, got -1"),
        ("lr = inf", "lr must be a positive number, got inf"),
        ('weight_decay = "x"', "weight_decay must be a number from 0 on, got 'x'"),
        ('precision = "float8"', "precision must be 'float32', 'tf32' or 'bfloat16', got 'float8'"),
        ("average = 1.0", "average must be at least 0 and below 1"),
        ("period_weight = -1", "period_weight must be a number from 0 on, got -1"),
        ("lr = ", "cannot read the training config"),
        ("stages = []", r"add a \[\[stages\]\] table"),
        ("stages = [3]", "stage 1 must be a table, got 3"),
        ("[network]\nheads = 7", "not a multiple of heads 7"),
        ("[network]\nhands = 7", "hands"),
        (STAGE + "[[stages]]\nsteps = 3", "stage 2 lacks mixture"),
        (STAGE.replace("3", "0"), "stage 1: steps of a stage must be a whole number from 1 on, got 0"),
        (STAGE.replace("3", "2.5"), "stage 1: steps of a stage must be a whole number from 1 on, got 2.5"),
        (STAGE.replace("slow = 1", "slow = -1"), "stage 1: the shares of a mixture"),
        (STAGE.replace("slow", "saw"), "stage 1: .*saw"),
        (
            STAGE.replace("steps = 3", "steps = 3\nperiods = [9, 3]"),
            r"stage 1: periods must be a range .* got \(9, 3\)",
        ),
        (STAGE.replace("steps = 3", "steps = 3\nborder = [0.2]"), "stage 1: "),
        (STAGE.replace("steps = 3", "steps = 3\nwhole = 2"), "whole is a share between 0 and 1, got 2"),
        (STAGE.replace("steps = 3", "steps = 3\nhalf = 2"), "stage 1: unknown field half; known are steps, mixture"),
        ('lr = "fast"', "run.toml"),
    ],
)
def test_a_bad_training_config_is_refused_naming_file_and_field(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=named) as error:
        TrainConfig.from_toml(path)
    assert "run.toml" in str(error.value)

"""Knocking out every head against as many full forward passes: time, one signal, one machine.

    python -m benchmarks.ablation                    # full-size network, s = 1.0, random weights: sampled layers
    python -m benchmarks.ablation --shipped          # the shipped network, every head

At full size one head of some layers is timed: the heads of a layer cost the same, and the cost falls evenly from layer
to layer within encoder and decoder, whose first and last layers are among the sampled; "estimated" says so. The intact
pass and the measuring of outcomes are counted in; the pass over reference signals, which all heads and signals share,
is not, and is the same for either way. Time is that of the processor, so that other work on the machine falls out of
it as far as it can; OMP_NUM_THREADS=1 keeps waiting threads out, too.
Arithmetic alone allows 0.40 at s = 1.0: 140 of 349 TFLOP; measured on one core: 0.42.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from vitime_cache.attention.forward import forecast, forecast_from_layer
from vitime_cache.interventions.knockout import knock_out_all
from vitime_cache.interventions.outcomes import ForecastScorer
from vitime_cache.interventions.runs import draw, run_signal
from vitime_cache.model.checkpoint import load_model
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.network import ViTime
from vitime_cache.series.examples import catalogue


def seconds(task: Callable[[], object]) -> float:
    started = time.process_time()
    task()
    return time.process_time() - started


def sampled_layers(model: ViTime, repeats: int) -> tuple[float, float]:
    """Estimated seconds of the sweep over all heads, and of as many full passes."""
    config = model.config
    signal = next(s for s in catalogue() if s.name == "full")
    image = draw(model, [signal])
    forecast(model, image)  # warm
    intact = run_signal(model, signal)
    kept = seconds(lambda: run_signal(model, signal))
    scorer = ForecastScorer.of(signal, config, intact.probability[0].cpu().numpy(), 63.0)
    depth, layers = config.encoder_depth, len(config.layers)
    sampled = sorted({0, depth // 3, 2 * depth // 3, depth - 1, depth, (depth + layers) // 2, layers - 1})
    full = [seconds(lambda: forecast(model, image))]
    partial = []
    print(f"{'layer':>10}{'above':>9}{'full':>9}{'x':>7}")
    for number in sampled:
        other = torch.zeros_like(intact.outputs[number][0, :1])

        def changed(number: int = number, other: torch.Tensor = other) -> None:
            scorer.measure(forecast_from_layer(model, intact, number, [0], other).cpu().numpy())

        partial.append(median(seconds(changed) for _ in range(repeats)))
        if number in (sampled[len(sampled) // 2], sampled[-1]):
            full.append(seconds(lambda: forecast(model, image)))
        print(f"{config.layers[number]:>10}{partial[-1]:9.2f}{full[-1]:9.2f}{partial[-1] / full[-1]:7.2f}", flush=True)
    per_head = np.interp(np.arange(layers), sampled, partial)
    return kept + config.heads * float(per_head.sum()), config.heads * layers * median(full)


def every_head(model: ViTime, repeats: int) -> tuple[float, float]:
    """Median seconds of `knock_out_all` over all heads (its reference one signal), and of as many full passes."""
    signal, *others = (s for s in catalogue() if s.name in ("full", "white_noise"))
    images = draw(model, [signal] * 8)
    heads = model.config.heads * len(model.config.layers)
    sweep, full = [], []
    for _ in range(repeats):
        sweep.append(seconds(lambda: knock_out_all(model, signal, others, period=63.0)))
        full.append(seconds(lambda: [forecast(model, images) for _ in range(heads // 8)]) * heads / (heads // 8 * 8))
    return median(sweep), median(full)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-size", type=float, default=1.0, help="published size s (default 1.0)")
    parser.add_argument("--shipped", action="store_true", help="the shipped weights, every head")
    parser.add_argument(
        "--repeats", type=int, default=1, help="timings of each (default 1; --shipped takes the median)"
    )
    arguments = parser.parse_args()
    if arguments.shipped:
        model = load_model(device="cpu")
        sweep, full = every_head(model, arguments.repeats)
        what = f"{model.weights.name}, every head"
    else:
        torch.manual_seed(0)
        model = ViTime(ViTimeConfig.published(arguments.model_size)).eval().requires_grad_(False)
        sweep, full = sampled_layers(model, arguments.repeats)
        what = f"s = {arguments.model_size}, random weights, estimated from sampled layers"
    heads = model.config.heads * len(model.config.layers)
    print(f"{what}; {heads} heads, one signal, {torch.get_num_threads()} CPU threads")
    print(f"sweep {sweep:.1f} s of the processor, {heads} full passes {full:.1f} s: {sweep / full:.2f} x")


if __name__ == "__main__":
    main()

"""A Tune sweep: finds the learning rate and momentum with which gradient descent gets furthest down a known valley."""

import tempfile
import time

from ray import tune

STEPS = 25
# The valley is f(x, y) = x² + 10 y²; its bottom is 0 at (0, 0).
CURVATURE = (1.0, 10.0)
START = (5.0, 2.0)
GRID = {"learning_rate": [0.01, 0.05, 0.09, 0.12], "momentum": [0.0, 0.5]}


def descend(learning_rate: float, momentum: float) -> float:
    """The height that gradient descent reaches after STEPS steps."""
    position, velocity = list(START), [0.0, 0.0]
    for _ in range(STEPS):
        for axis, curvature in enumerate(CURVATURE):
            velocity[axis] = momentum * velocity[axis] - learning_rate * 2 * curvature * position[axis]
            position[axis] += velocity[axis]
    return sum(curvature * x * x for curvature, x in zip(CURVATURE, position))


def trainable(config: dict) -> None:
    tune.report({"height": descend(config["learning_rate"], config["momentum"])})


def main() -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as storage:
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={name: tune.grid_search(values) for name, values in GRID.items()},
            tune_config=tune.TuneConfig(metric="height", mode="min", max_concurrent_trials=2),
            run_config=tune.RunConfig(storage_path=storage, verbose=0),
        )
        results = tuner.fit()
    if results.errors:
        raise SystemExit(f"FAILED: {len(results.errors)} trials ended in an error: {results.errors[0]}")
    for result in sorted(results, key=lambda result: result.metrics["height"]):
        print(f"height {result.metrics['height']:.3e} with {result.config}", flush=True)

    # Eight settings are few enough to try without Tune: the sweep must have found the same best one.
    expected = min(
        ({"learning_rate": rate, "momentum": momentum} for rate in GRID["learning_rate"] for momentum in GRID["momentum"]),
        key=lambda setting: descend(**setting),
    )
    best = results.get_best_result()
    if best.config != expected:
        raise SystemExit(f"FAILED: expected {expected}, got {best.config}")
    print(
        f"OK trials={len(results)} learning_rate={best.config['learning_rate']} momentum={best.config['momentum']} "
        f"seconds={time.monotonic() - started:.1f}"
    )


if __name__ == "__main__":
    main()

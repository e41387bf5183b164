"""Estimates pi with Ray tasks that run side by side, and checks the estimate against its own statistical error."""

import argparse
import math
import random
import time

import ray


@ray.remote
def hits_in_circle(samples: int, seed: int) -> int:
    """How many of `samples` random points of the unit square lie within the quarter circle."""
    generator = random.Random(seed)
    return sum(generator.random() ** 2 + generator.random() ** 2 <= 1.0 for _ in range(samples))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--samples-per-task", type=int, default=200_000)
    arguments = parser.parse_args()

    ray.init()
    started = time.monotonic()
    # Each task has its own seed: the same command gives the same estimate on any number of machines.
    pending = [hits_in_circle.remote(arguments.samples_per_task, seed) for seed in range(arguments.tasks)]
    hits = done = 0
    while pending:
        finished, pending = ray.wait(pending)
        hits += sum(ray.get(finished))
        done += len(finished)
        estimate = 4 * hits / (done * arguments.samples_per_task)
        print(f"{done}/{arguments.tasks} tasks, pi is about {estimate:.5f}", flush=True)

    samples = arguments.tasks * arguments.samples_per_task
    estimate = 4 * hits / samples
    standard_error = 4 * math.sqrt(math.pi / 4 * (1 - math.pi / 4) / samples)
    print(f"{samples} points in {time.monotonic() - started:.1f} s on {ray.cluster_resources().get('CPU', 0):.0f} CPUs")
    if abs(estimate - math.pi) > 5 * standard_error:
        raise SystemExit(f"FAILED: {estimate} is further from pi than chance allows")
    print(f"OK pi={estimate:.6f} error={abs(estimate - math.pi):.6f}")


if __name__ == "__main__":
    main()

"""Ray Tune that is broken off in mid-course and goes on, in the job's next attempt, from its trials' checkpoints."""

import json
import os
import tempfile

from ray import tune

STEPS = 10
RATES = [0.1, 0.2]
# Kept over all attempts of the job; Ray takes an address such as s3://… here as well.
STORAGE = os.environ["IOCLOUD_CHECKPOINT_DIR"]
ATTEMPT = int(os.environ["IOCLOUD_ATTEMPT"])
NAME = "descent"


def descend(config: dict) -> None:
    """Walks down f(x) = x² and keeps a checkpoint after each step."""
    x, step = 5.0, 0
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as directory, open(os.path.join(directory, "state.json")) as file:
            state = json.load(file)
        x, step = state["x"], state["step"]
        print(f"rate {config['rate']}: goes on from step {step}", flush=True)
    begun = step
    while step < STEPS:
        step += 1
        x -= config["rate"] * 2 * x
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "state.json"), "w") as file:
                json.dump({"x": x, "step": step}, file)
            kept = tune.Checkpoint.from_directory(directory)
            tune.report({"height": x * x, "step": step, "begun": begun}, checkpoint=kept)
        if ATTEMPT == 1 and step == STEPS // 2:
            raise RuntimeError("this trial breaks in the first attempt, half way, to show what follows")


def main() -> None:
    path = f"{STORAGE.rstrip('/')}/{NAME}"
    if tune.Tuner.can_restore(path):
        tuner = tune.Tuner.restore(path, trainable=descend, resume_errored=True, resume_unfinished=True)
    else:
        tuner = tune.Tuner(
            tune.with_resources(descend, {"cpu": 1}),
            param_space={"rate": tune.grid_search(RATES)},
            tune_config=tune.TuneConfig(metric="height", mode="min", max_concurrent_trials=1),
            run_config=tune.RunConfig(name=NAME, storage_path=STORAGE, verbose=0),
        )
    results = tuner.fit()
    if results.errors:
        raise SystemExit(f"attempt {ATTEMPT} ended in an error, as it was to; the next one goes on from the checkpoints")
    begun = [result.metrics["begun"] for result in results]
    if ATTEMPT == 1 or min(begun) != STEPS // 2:
        raise SystemExit(f"FAILED: attempt {ATTEMPT} began its trials at steps {begun}")
    print(f"OK attempt={ATTEMPT} trials={len(results)} resumed_from_step={min(begun)} height={results.get_best_result().metrics['height']:.1e}")


if __name__ == "__main__":
    main()

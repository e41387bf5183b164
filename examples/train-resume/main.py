"""Ray Train that is broken off in mid-course and goes on, in the job's next attempt, from its last checkpoint."""

import json
import os
import tempfile

import numpy as np
from ray import train
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

EPOCHS = 10
# Kept over all attempts of the job; Ray takes an address such as s3://… here as well.
STORAGE = os.environ["IOCLOUD_CHECKPOINT_DIR"]
ATTEMPT = int(os.environ["IOCLOUD_ATTEMPT"])


def fit(config: dict) -> None:
    """Fits a line to points by gradient descent and keeps a checkpoint after each epoch."""
    generator = np.random.default_rng(seed=3)
    x = generator.uniform(-1, 1, 1_000)
    y = 2 * x + 1
    slope = offset = 0.0
    epoch = 0
    checkpoint = train.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as directory, open(os.path.join(directory, "state.json")) as file:
            state = json.load(file)
        slope, offset, epoch = state["slope"], state["offset"], state["epoch"]
        print(f"goes on from epoch {epoch}", flush=True)
    begun = epoch
    while epoch < EPOCHS:
        epoch += 1
        for _ in range(20):
            error = slope * x + offset - y
            slope -= 0.5 * float(np.mean(error * x))
            offset -= 0.5 * float(np.mean(error))
        loss = float(np.mean((slope * x + offset - y) ** 2))
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "state.json"), "w") as file:
                json.dump({"slope": slope, "offset": offset, "epoch": epoch}, file)
            train.report({"loss": loss, "epoch": epoch, "begun": begun}, checkpoint=train.Checkpoint.from_directory(directory))
        if config["attempt"] == 1 and epoch == EPOCHS // 2:
            raise RuntimeError("this worker breaks in the first attempt, half way, to show what follows")


def main() -> None:
    # With the same name and storage, Ray Train finds the checkpoints of the attempt before.
    result = DataParallelTrainer(
        fit,
        train_loop_config={"attempt": ATTEMPT},
        scaling_config=train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
        run_config=train.RunConfig(name="line", storage_path=STORAGE),
    ).fit()
    metrics = result.metrics
    if ATTEMPT == 1 or metrics["begun"] != EPOCHS // 2:
        raise SystemExit(f"FAILED: attempt {ATTEMPT} began at epoch {metrics['begun']}")
    print(f"OK attempt={ATTEMPT} epochs={metrics['epoch']} resumed_from_epoch={metrics['begun']} loss={metrics['loss']:.1e}")


if __name__ == "__main__":
    main()

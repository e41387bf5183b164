"""A Ray Data batch job that is broken off in mid-course: its next attempt does only what the first had not written."""

import os
from pathlib import Path

import numpy as np
import ray
from ray.data.checkpoint import CheckpointConfig

ROWS = 4_000
BLOCKS = 20
# Kept over all attempts of the job. On several machines it is on storage that all of them reach.
STORAGE = Path(os.environ["IOCLOUD_CHECKPOINT_DIR"])
ATTEMPT = int(os.environ["IOCLOUD_ATTEMPT"])


def square(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The work; the first attempt breaks at the last quarter of the rows."""
    if ATTEMPT == 1 and batch["id"].max() >= ROWS * 3 // 4:
        raise RuntimeError("this batch breaks in the first attempt, to show what follows")
    (STORAGE / "calls" / f"{ATTEMPT}-{batch['id'].min()}").touch()
    return {"id": batch["id"], "square": batch["id"] ** 2}


def main() -> None:
    (STORAGE / "calls").mkdir(exist_ok=True)
    ray.init(log_to_driver=False)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # One block after the other, so that what is done when it breaks is written.
    context.execution_options.resource_limits = context.execution_options.resource_limits.copy(cpu=1)
    context.checkpoint_config = CheckpointConfig(
        id_column="id", checkpoint_path=str(STORAGE / "done"), delete_checkpoint_on_success=False
    )
    output = STORAGE / "squares"
    ray.data.range(ROWS, override_num_blocks=BLOCKS).map_batches(square, batch_size=None).write_parquet(str(output))
    context.checkpoint_config = None
    rows = sorted((row["id"], row["square"]) for row in ray.data.read_parquet(str(output)).take_all())
    if rows != [(number, number**2) for number in range(ROWS)]:
        raise SystemExit(f"FAILED: {len(rows)} rows were written, {ROWS} were expected, each once")
    before, now = (len(list((STORAGE / "calls").glob(f"{attempt}-*"))) for attempt in (1, 2))
    if ATTEMPT == 1 or before == 0 or now == 0 or now >= BLOCKS:
        raise SystemExit(f"FAILED: attempt 1 did {before} of {BLOCKS} blocks, attempt {ATTEMPT} {now}")
    print(f"OK attempt={ATTEMPT} rows={len(rows)} blocks_done_before={before} blocks_done_now={now}")


if __name__ == "__main__":
    main()

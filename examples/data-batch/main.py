"""A Ray Data batch job: makes a small data set, cleans and sums it batch by batch, and checks the sums.

Each row is a reading of one of eight sensors. One reading in a hundred is broken (negative) and must be left out.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray

SENSORS = 8
FILES = 4
ROWS_PER_FILE = 5_000


def write_readings(directory: Path) -> dict[int, float]:
    """Writes the data set as Parquet files and returns the right mean in Fahrenheit for each sensor."""
    generator = np.random.default_rng(seed=7)
    sums, counts = np.zeros(SENSORS), np.zeros(SENSORS)
    for part in range(FILES):
        sensor = generator.integers(0, SENSORS, ROWS_PER_FILE)
        celsius = generator.uniform(10, 30, ROWS_PER_FILE)
        celsius[::100] = -1.0
        pq.write_table(pa.table({"sensor": sensor, "celsius": celsius}), directory / f"part-{part}.parquet")
        good = celsius >= 0
        np.add.at(sums, sensor[good], celsius[good] * 1.8 + 32)
        np.add.at(counts, sensor[good], 1)
    return {sensor: sums[sensor] / counts[sensor] for sensor in range(SENSORS)}


def clean(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Drops broken readings and adds the temperature in Fahrenheit."""
    good = batch["celsius"] >= 0
    return {"sensor": batch["sensor"][good], "fahrenheit": batch["celsius"][good] * 1.8 + 32}


def main() -> None:
    # Small on purpose: it runs beside other work on a laptop.
    ray.init(log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    started = time.monotonic()
    # The cluster of this example is one machine; with more, this directory would be on shared storage.
    with tempfile.TemporaryDirectory() as directory:
        expected = write_readings(Path(directory))
        print(f"made {FILES} files of {ROWS_PER_FILE} readings", flush=True)
        # Kept in the object store, so that counting does not read the files a second time.
        readings = ray.data.read_parquet(directory).map_batches(clean, batch_size=1_000).materialize()
        by_sensor = readings.groupby("sensor", num_partitions=2).mean("fahrenheit")
        means = {row["sensor"]: row["mean(fahrenheit)"] for row in by_sensor.take_all()}
        rows = readings.count()
    for sensor, mean in sorted(means.items()):
        print(f"sensor {sensor}: {mean:.3f} F", flush=True)

    if set(means) != set(expected) or any(abs(means[sensor] - expected[sensor]) > 1e-9 for sensor in expected):
        raise SystemExit(f"FAILED: expected {expected}, got {means}")
    good_rows = FILES * (ROWS_PER_FILE - ROWS_PER_FILE // 100)
    if rows != good_rows:
        raise SystemExit(f"FAILED: expected {good_rows} good readings, got {rows}")
    print(f"OK rows={rows} sensors={len(means)} seconds={time.monotonic() - started:.1f}")


if __name__ == "__main__":
    main()

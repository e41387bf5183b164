/** Samples that are not on record yet: kept over a time without a connection, the oldest dropped first. Pure. */
import { maxTelemetrySamples, type TelemetrySample } from '@iocloud/contracts';

interface Kept {
  sample: TelemetrySample;
  /** Monotonic, milliseconds. */
  takenAtMs: number;
}

export class TelemetryBuffer {
  readonly #kept: Kept[] = [];
  #sequence = 0;
  /** Samples that had to go before they were on record. */
  dropped = 0;

  constructor(readonly capacity: number) {}

  add(sample: Omit<TelemetrySample, 'sequence'>, takenAtMs: number): void {
    this.#sequence += 1;
    this.#kept.push({ sample: { sequence: this.#sequence, ...sample }, takenAtMs });
    if (this.#kept.length > this.capacity) {
      this.#kept.shift();
      this.dropped += 1;
    }
  }

  /** What one message may carry of the oldest; the rest follows when these are on record. */
  next(nowMs: number): (TelemetrySample & { ageMs: number })[] {
    return this.#kept
      .slice(0, maxTelemetrySamples)
      .map(({ sample, takenAtMs }) => ({ ...sample, ageMs: Math.max(0, Math.round(nowMs - takenAtMs)) }));
  }

  /** Those up to this one are on record. */
  recorded(sequence: number): void {
    while (this.#kept[0] && this.#kept[0].sample.sequence <= sequence) this.#kept.shift();
  }

  get size(): number {
    return this.#kept.length;
  }
}

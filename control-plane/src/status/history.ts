/** The last hours of each figure, in memory: enough for a look, gone with the process. Prometheus remembers for longer. */
import { type Figure, figures } from './figures.js';
import type { Sample } from './sample.js';

export interface Point {
  atMs: number;
  value: number | null;
}

export class History {
  private readonly points = new Map<string, Point[]>(figures.map(({ id }) => [id, []]));
  private last: Sample | null = null;

  constructor(private readonly keepMs: number) {}

  get latest(): Sample | null {
    return this.last;
  }

  add(sample: Sample): void {
    for (const figure of figures) {
      const points = this.of(figure);
      points.push({ atMs: sample.atMs, value: figure.of(sample, this.last) });
      while ((points[0]?.atMs ?? sample.atMs) < sample.atMs - this.keepMs) points.shift();
    }
    this.last = sample;
  }

  of({ id }: Figure): Point[] {
    return this.points.get(id) ?? [];
  }
}

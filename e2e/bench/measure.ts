/** Calls that both sides of a comparison get alike, and the one line of JSON that a benchmark prints. */
import { cpus, release, totalmem } from 'node:os';
import { until } from '../src/harness/index.js';

/** Where a Jobs API answers, and the headers that it wants. */
export interface JobsAddress {
  address: string;
  headers: Record<string, string>;
}

export const median = (values: number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
};

export async function submit(to: JobsAddress, entrypoint: string): Promise<string> {
  const response = await fetch(`${to.address}/api/jobs/`, {
    method: 'POST',
    headers: { ...to.headers, 'content-type': 'application/json' },
    body: JSON.stringify({ entrypoint }),
  });
  if (response.status !== 200) throw new Error(`submission: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { submission_id: string }).submission_id;
}

export async function status(at: JobsAddress, id: string): Promise<string> {
  const response = await fetch(`${at.address}/api/jobs/${id}`, { headers: at.headers });
  return ((await response.json()) as { status: string }).status;
}

/** Asks every 20 ms until the job has succeeded. */
export async function succeeded(at: JobsAddress, id: string, timeoutMs = 120_000): Promise<void> {
  await until(
    `${id} succeeds`,
    timeoutMs,
    async () => {
      const now = await status(at, id);
      if (now === 'FAILED' || now === 'STOPPED') throw new Error(`${id} is ${now}`);
      return now === 'SUCCEEDED';
    },
    20,
  );
}

const rounded = (_key: string, value: unknown) => (typeof value === 'number' ? Math.round(value * 1000) / 1000 : value);

/** Prints the result with the machine that it was measured on. */
export function report(name: string, result: Record<string, unknown>): void {
  const machine = {
    cpu: cpus()[0]?.model,
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
  };
  process.stdout.write(
    `${JSON.stringify({ bench: name, ...result, machine, date: new Date().toISOString().slice(0, 10) }, rounded)}\n`,
  );
}

/** The environment that `make bench` gives. */
export function rayVenv(): string {
  const venv = process.env.IOCLOUD_VENV;
  if (!venv) throw new Error('IOCLOUD_VENV is unset: run the benchmarks by `make bench`');
  return venv;
}

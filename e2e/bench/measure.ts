/** Calls that both sides of a comparison get alike, and the one line of JSON that a benchmark prints. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { cpus, release, totalmem } from 'node:os';
import { text } from 'node:stream/consumers';
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

/** Nearest rank. */
export const percentile = (values: number[], rank: number): number =>
  [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil((rank / 100) * values.length) - 1)] ?? Number.NaN;

const agent = new Agent({ keepAlive: true });

/** Over kept connections. Not by `fetch`: a head takes what that sends for a browser's and refuses it. */
export async function call(
  at: JobsAddress,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; text: string }> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const sent = request(`${at.address}${path}`, {
    method,
    agent,
    headers: {
      ...at.headers,
      ...(payload === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
    },
  });
  sent.end(payload);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, text: await text(response) };
}

export async function submit(to: JobsAddress, entrypoint: string): Promise<string> {
  const answer = await call(to, 'POST', '/api/jobs/', { entrypoint });
  if (answer.status !== 200) throw new Error(`submission: ${answer.status} ${answer.text}`);
  return (JSON.parse(answer.text) as { submission_id: string }).submission_id;
}

export async function status(at: JobsAddress, id: string): Promise<string> {
  const answer = await call(at, 'GET', `/api/jobs/${id}`);
  if (answer.status !== 200) throw new Error(`job ${id}: ${answer.status} ${answer.text}`);
  return (JSON.parse(answer.text) as { status: string }).status;
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

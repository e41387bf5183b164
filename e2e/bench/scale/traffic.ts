/**
 * Requests at a steady rate, whatever the answers take: each is due at its own moment, and its time counts from then, so
 * that a server that falls behind cannot hide it by slowing its clients.
 */
import { Agent, request } from 'node:http';
import { percentile } from '../measure.js';

export interface Call {
  kind: string;
  method: 'GET' | 'POST';
  path: string;
  apiKey: string;
  body?: string;
}

interface Sample {
  kind: string;
  ms: number;
  status: number;
}

const tickMs = 5;
/** More than this under way: those that are due then are not sent, and count as failed. */
const maxUnderWay = 4_000;
const timeoutMs = 60_000;
const sockets = new Agent({ keepAlive: true, maxSockets: 256 });

function send(address: string, { method, path, apiKey, body }: Call): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${apiKey}`,
      ...(body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
    };
    const call = request(`${address}${path}`, { method, agent: sockets, headers, timeout: timeoutMs });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.on('error', reject);
    call.on('response', response => {
      response.on('error', reject);
      response.on('end', () => resolve(response.statusCode ?? 0));
      response.resume();
    });
    call.end(body);
  });
}

export interface TrafficResult {
  sent: number;
  notSent: number;
  /** Answers other than 200, by what they were. */
  failures: Record<string, number>;
  perSecond: number;
  all: Times;
  byKind: Record<string, Times>;
}

interface Times {
  count: number;
  p50Ms: number;
  p99Ms: number;
  mostMs: number;
}

const timesOf = (samples: Sample[]): Times => {
  const ms = samples.map(sample => sample.ms);
  return { count: ms.length, p50Ms: percentile(ms, 50), p99Ms: percentile(ms, 99), mostMs: percentile(ms, 100) };
};

/** `next(i)` is the i-th call. Resolves when the last one that was sent has been answered. */
export async function steadily(
  address: string,
  perSecond: number,
  seconds: number,
  next: (index: number) => Call,
): Promise<TrafficResult> {
  const samples: Sample[] = [];
  const failures: Record<string, number> = {};
  const fail = (what: string) => {
    failures[what] = (failures[what] ?? 0) + 1;
  };
  const underWay = new Set<Promise<void>>();
  const total = Math.round(perSecond * seconds);
  const startedMs = performance.now();
  let notSent = 0;
  for (let index = 0; index < total; ) {
    for (; index < total && startedMs + (index * 1_000) / perSecond <= performance.now(); index += 1) {
      if (underWay.size >= maxUnderWay) {
        notSent += 1;
        continue;
      }
      const call = next(index);
      const dueMs = startedMs + (index * 1_000) / perSecond;
      const answered = send(address, call)
        .then(status => {
          samples.push({ kind: call.kind, ms: performance.now() - dueMs, status });
          if (status !== 200) fail(`${call.kind}: ${status}`);
        })
        .catch((error: Error) => fail(`${call.kind}: ${error.message}`))
        .finally(() => underWay.delete(answered));
      underWay.add(answered);
    }
    await new Promise(resolve => setTimeout(resolve, tickMs));
  }
  await Promise.all(underWay);
  const kinds = [...new Set(samples.map(({ kind }) => kind))].sort();
  return {
    sent: total - notSent,
    notSent,
    failures,
    perSecond: samples.length / ((performance.now() - startedMs) / 1_000),
    all: timesOf(samples),
    byKind: Object.fromEntries(kinds.map(kind => [kind, timesOf(samples.filter(sample => sample.kind === kind))])),
  };
}

export function closeSockets(): void {
  sockets.destroy();
}

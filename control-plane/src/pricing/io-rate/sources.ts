/** Where rates of IO come from: one port, three adapters. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { parseRate, type Reading } from '../../core/pricing/index.js';

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'lower-case letters, digits, hyphens');
const rate = z.string().refine(text => parseRate(text) !== null, 'USD per IO as a decimal of at most 17 decimals');
const pointer = z.string().regex(/^(\/[^/]*)+$/, 'a JSON pointer, such as /data/price');

export const sourceSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('fixed'), name, usdPerIo: rate }),
  z.strictObject({ kind: z.literal('file'), name, path: z.string().min(1) }),
  z.strictObject({
    kind: z.literal('http'),
    name,
    url: z.url({ protocol: /^https?$/ }),
    price: pointer,
    at: pointer.optional().describe('ISO 8601 or seconds since 1970; without it, the time of the answer'),
    timeoutMs: z.int().min(100).max(15_000).default(5_000),
  }),
]);
export type SourceConfig = z.infer<typeof sourceSchema>;

export interface Source {
  name: string;
  /** Throws an Error whose message says in words what was wrong; it never holds the address, which may hold a key. */
  read(): Promise<Reading>;
}

const fileSchema = z.strictObject({ usdPerIo: rate, at: z.iso.datetime({ offset: true }).optional() });
const longestAnswerBytes = 64 * 1024;

export function sourceOf(config: SourceConfig, nowMs: () => number): Source {
  const { name: source } = config;
  const reading = (text: string, atMs: number): Reading => {
    const value = parseRate(text);
    if (value === null) throw new Error(`it says no rate: ${text.slice(0, 40)}`);
    return { source, rate: value, atMs };
  };
  switch (config.kind) {
    case 'fixed':
      return { name: source, read: async () => reading(config.usdPerIo, nowMs()) };
    case 'file':
      return {
        name: source,
        read: async () => {
          const parsed = fileSchema.safeParse(parseJson(await fileText(config.path)));
          if (!parsed.success) throw new Error('the file is not of the form {"usdPerIo": "0.15", "at": "…"}');
          const { usdPerIo, at } = parsed.data;
          return reading(usdPerIo, at === undefined ? nowMs() : Date.parse(at));
        },
      };
    case 'http':
      return {
        name: source,
        read: async () => {
          const answer = parseJson(await answerOf(config.url, config.timeoutMs));
          const price = at(answer, config.price);
          if (typeof price !== 'string' && typeof price !== 'number') throw new Error(`nothing at ${config.price}`);
          return reading(String(price), config.at === undefined ? nowMs() : timeOf(at(answer, config.at)));
        },
      };
  }
}

async function fileText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(error => {
    throw new Error(error.code === 'ENOENT' ? 'there is no such file' : `the file cannot be read: ${error.code}`);
  });
}

async function answerOf(url: string, timeoutMs: number): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } });
    if (response.status !== 200) throw new Refused(`it answered with status ${response.status}`);
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of response.body ?? []) {
      size += part.byteLength;
      if (size > longestAnswerBytes) throw new Refused(`its answer is longer than ${longestAnswerBytes} bytes`);
      parts.push(Buffer.from(part));
    }
    return Buffer.concat(parts).toString('utf8');
  } catch (error) {
    if (error instanceof Refused) throw error;
    if (signal.aborted) throw new Error(`no answer within ${timeoutMs} ms`);
    const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
    throw new Error(`it cannot be reached${cause?.code ? `: ${cause.code}` : ''}`);
  }
}
class Refused extends Error {}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('it says no JSON');
  }
}

/** RFC 6901. */
function at(value: unknown, path: string): unknown {
  return path
    .slice(1)
    .split('/')
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>(
      (inner, step) =>
        typeof inner === 'object' && inner !== null && Object.hasOwn(inner, step)
          ? (inner as Record<string, unknown>)[step]
          : undefined,
      value,
    );
}

function timeOf(value: unknown): number {
  const ms = typeof value === 'number' ? value * 1_000 : typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (!Number.isFinite(ms)) throw new Error('its time cannot be read');
  return ms;
}

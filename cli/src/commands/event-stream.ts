/** Server-sent events (WHATWG HTML, 9.2): parsing, and following them across broken connections. */
import type { Event } from '@iocloud/contracts';
import type { Client } from '../client.js';
import { CliError } from './exit.js';

export interface ServerSentEvent {
  id: string | null;
  event: string;
  data: string;
}

/** Splits a byte stream into events, wherever the chunks break. A half event at the end is dropped, as the norm says. */
export async function* parseServerSentEvents(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  const decoder = new TextDecoder();
  let rest = '';
  let id: string | null = null;
  let event = 'message';
  let data: string[] = [];
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    // A carriage return at the very end may be half of CRLF: it waits for what follows.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { id, event, data: data.join('\n') };
        event = 'message';
        data = [];
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const field = colon === -1 ? line : line.slice(0, colon);
      const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'id') id = value;
      else if (field === 'event') event = value;
      else if (field === 'data') data.push(value);
    }
  }
}

const reconnectPauseMs = 500;
const attemptsBeforeGivingUp = 40;

export interface FollowOptions {
  /** Only what comes after this sequence number; absent: what is new from now on. */
  after?: number;
  subject?: string;
  signal: AbortSignal;
  pause(ms: number): Promise<void>;
  /** Called when a connection stands. */
  onConnected?: () => void;
}

/** Events as they happen, each once, until the signal. Connects again with Last-Event-ID; gives up after 20 s without. */
export async function* followEvents(client: Client, options: FollowOptions): AsyncGenerator<Event, void, undefined> {
  const { signal, subject } = options;
  let last = options.after;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const stream = await client.stream(
        'streamEvents',
        {
          query: { subject, ...(last === undefined ? {} : { after: last }) },
          headers: last === undefined ? {} : { 'Last-Event-ID': String(last) },
        },
        signal,
      );
      failures = 0;
      options.onConnected?.();
      const { event } = await import('@iocloud/contracts');
      for await (const message of parseServerSentEvents(stream)) {
        const parsed = event.safeParse(JSON.parse(message.data));
        if (!parsed.success)
          throw new CliError('callFailed', 'the event stream is in a form that this iocloud does not know');
        last = parsed.data.sequence;
        yield parsed.data;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof CliError && error.exit !== 'unreachable') throw error;
      failures += 1;
      if (failures >= attemptsBeforeGivingUp) throw error;
    }
    await options.pause(reconnectPauseMs);
  }
}

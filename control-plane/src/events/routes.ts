import { once } from 'node:events';
import { api } from '@iocloud/contracts';
import { type Database, Failure, type Http, type Signals } from '../platform/index.js';
import { lastSequence, readEvents } from './store.js';

const pageSize = 500;
/** Keeps proxies from closing a quiet stream, and finds news whose signal was lost. Milliseconds. */
const lookIntervalMs = 1_000;
const commentEveryLooks = 15;

export function eventRoutes(http: Http, database: Database, signals: Signals): void {
  http.handle(api.listEvents, async ({ caller, query }) => {
    const items = await readEvents(database, caller.tenantId, query.after, query.limit, query);
    const last = items.at(-1);
    return { items, next: items.length === query.limit && last ? String(last.sequence) : null };
  });

  http.handle(api.streamEvents, async ({ caller, query, request, response }) => {
    const lastId = request.get('last-event-id');
    const resume = lastId === undefined ? query.after : Number(lastId);
    if (resume !== undefined && !Number.isSafeInteger(resume)) {
      throw new Failure('bad-request', 'Last-Event-ID must be the sequence number of an event');
    }
    // With no place to resume from, a stream tells what is new.
    let after = resume ?? (await lastSequence(database, caller.tenantId));
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    });
    response.write(': connected\n\n');
    const waiter = signals.waiter(`events:${caller.tenantId}`);
    response.on('close', () => waiter.close());
    let looks = 0;
    while (!response.destroyed) {
      const events = await readEvents(database, caller.tenantId, after, pageSize, query);
      for (const event of events) {
        after = event.sequence;
        const room = response.write(
          `id: ${event.sequence}\nevent: ${event.subjectKind}\ndata: ${JSON.stringify(event)}\n\n`,
        );
        if (!room) await Promise.race([once(response, 'drain'), once(response, 'close')]);
      }
      if (events.length === pageSize) continue;
      looks += 1;
      if (looks % commentEveryLooks === 0) response.write(': still here\n\n');
      await waiter.next(lookIntervalMs);
    }
    return undefined;
  });
}

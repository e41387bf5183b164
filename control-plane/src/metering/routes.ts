/** Usage over HTTP. */
import { api } from '@iocloud/contracts';
import { type Database, Failure, type Http } from '../platform/index.js';
import { takeEvents } from './events.js';
import { leaseMetrics } from './exposition.js';
import { databaseTimeMs } from './meter.js';
import { type Attempts, asEvent, usageLines, usageSums } from './reading.js';
import type { RecordPorts } from './record.js';

export interface UsagePorts extends RecordPorts {
  database: Database;
  attempts: Attempts;
}

const defaultPeriodMs = 30 * 86_400_000;
const single = 'application/cloudevents+json';
const batch = 'application/cloudevents-batch+json';

export function usageRoutes(http: Http, ports: UsagePorts): void {
  const { database } = ports;

  http.handle(api.leaseMetrics, async ({ caller, response }) => {
    const { type, text } = await leaseMetrics(
      database,
      ports,
      caller.permissions.has('metrics:read') ? null : caller.tenantId,
    );
    response.set({ 'Content-Type': type, 'Cache-Control': 'no-store' }).send(text);
    return undefined;
  });

  http.handle(api.sumUsage, async ({ caller, query }) => {
    const until = query.until === undefined ? new Date(await databaseTimeMs(database)) : new Date(query.until);
    const from = new Date(query.from ?? until.getTime() - defaultPeriodMs);
    if (from >= until) throw new Failure('bad-request', 'query: `from` must be before `until`');
    return { items: await usageSums(database, ports.attempts, caller.tenantId, { by: query.by, from, until }) };
  });

  http.handle(api.listUsageLines, async ({ caller, query }) => {
    const items = await usageLines(database, caller.tenantId, query);
    return { items, next: items.length === query.limit ? String(items.at(-1)?.id) : null };
  });

  http.handle(api.exportUsageEvents, async ({ caller, query }) => {
    const lines = await usageLines(database, caller.tenantId, query);
    const next = lines.length === query.limit ? String(lines.at(-1)?.id) : null;
    return { items: lines.map(line => asEvent(line, caller.tenantId)), next };
  });

  http.handle(api.takeUsageEvents, async ({ caller, body, request }) => {
    const given = request.get('content-type')?.split(';')[0]?.trim().toLowerCase();
    const expected = Array.isArray(request.body) ? batch : single;
    if (given !== expected && given !== 'application/json') {
      throw new Failure('bad-request', `Content-Type: expected ${expected}, or application/json`);
    }
    return takeEvents(database, ports, caller, body, await databaseTimeMs(database));
  });
}

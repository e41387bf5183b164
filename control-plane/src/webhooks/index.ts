/** Webhooks: events of a tenant, sent to addresses that it names, signed, at least once. docs/webhooks.md. */
import { type Config, type Database, Destinations, type Http, type Logger, type Seal } from '../platform/index.js';
import { webhookRoutes } from './routes.js';
import { Sender } from './sender.js';

export { webhookState } from './metrics.js';

export interface WebhookWiring {
  config: Pick<Config, 'webhookNetworks' | 'webhookLogDays'>;
  database: Database;
  seal: Seal;
  random: (n: number) => Uint8Array;
  log: Logger;
  version: string;
}

export interface Webhooks {
  routes(http: Http): void;
  start(): void;
  stop(): Promise<void>;
}

export function createWebhooks({ config, database, seal, random, log, version }: WebhookWiring): Webhooks {
  const destinations = new Destinations(config.webhookNetworks, 'IOCLOUD_WEBHOOK_NETWORKS');
  const sender = new Sender({
    ...{ database, seal, destinations, random, log },
    chance: Math.random,
    clockMs: () => performance.now(),
    nowMs: Date.now,
    logDays: config.webhookLogDays,
    userAgent: `iocloud/${version}`,
  });
  return {
    routes: http => webhookRoutes(http, { database, seal, random, destinations, sender }),
    start: () => sender.start(),
    stop: () => sender.stop(),
  };
}

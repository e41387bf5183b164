/** The built-in status page: the most telling figures without Prometheus or Grafana. */
import { api } from '@iocloud/contracts';
import type { Registry } from 'prom-client';
import { loginPage, sendPage, sessionCaller } from '../pages/index.js';
import { type Http, type Logger, Recurring } from '../platform/index.js';
import { History } from './history.js';
import { statusPage } from './page.js';
import { Sample } from './sample.js';

export interface StatusWiring {
  registry: Pick<Registry, 'getMetricsAsJSON'>;
  /** Has what comes from the database read anew, if it is old. */
  refresh(): Promise<void>;
  /** Release of the control plane. */
  version: string;
  log: Logger;
  now(): number;
}

export interface StatusPage {
  routes(http: Http): void;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const everyMs = 15_000;
const hours = 4;

export function createStatus({ registry, refresh, version, log, now }: StatusWiring): StatusPage {
  const history = new History(hours * 3_600_000);
  const measure = async () => {
    await refresh();
    // prom-client's type leaves out that buckets, sums and counts come with a name of their own.
    history.add(new Sample(now(), await registry.getMetricsAsJSON()));
  };
  const measuring = new Recurring('status', everyMs, measure, error =>
    log.warn({ err: error }, 'the status could not be read'),
  );
  return {
    routes(http) {
      http.handle(api.statusPage, async ({ request, response }) => {
        const caller = await sessionCaller(http, request);
        if (!caller) sendPage(response, 401, loginPage(api.statusPage.path, null));
        else if (!caller.permissions.has('metrics:read')) {
          sendPage(response, 403, loginPage(api.statusPage.path, 'This key lacks the permission metrics:read.'));
        } else sendPage(response, 200, statusPage({ history, hours, version }));
        return undefined;
      });
    },
    async start() {
      await measure();
      measuring.start();
    },
    stop: () => measuring.stop(),
  };
}

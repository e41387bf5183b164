/** From what leases use to lines of usage, each once, with what they are based on. docs/metering.md says how. */
import type { Config, Database, Http, Logger, TopicHandler } from '../platform/index.js';
import { type AgentSample, recordAgentSamples } from './agent-samples.js';
import type { OnUsage } from './ports.js';
import { prometheusSource } from './prometheus.js';
import type { Attempts } from './reading.js';
import type { RecordPorts } from './record.js';
import { usageRoutes } from './routes.js';
import { meteringSweep, meteringTopic } from './sweep.js';

export { meteringState } from './metrics.js';

export interface MeteringWiring extends RecordPorts {
  config: Pick<Config, 'prometheusUrl' | 'meteringWindowSeconds' | 'meteringGraceSeconds'>;
  database: Database;
  attempts: Attempts;
  onUsage: OnUsage;
  log: Logger;
}

export interface Metering {
  routes(http: Http): void;
  /** Puts on record what machines say of the leases on them. */
  record(samples: readonly AgentSample[]): Promise<void>;
  /** Topic 'metering': leases of a cluster that were released get their last lines. */
  topic: TopicHandler;
  start(): void;
  stop(): Promise<void>;
}

export function createMetering(wiring: MeteringWiring): Metering {
  const { config, database, log } = wiring;
  const meterWiring = {
    ...wiring,
    windowSeconds: config.meteringWindowSeconds,
    graceSeconds: config.meteringGraceSeconds,
    prometheus: config.prometheusUrl === undefined ? null : prometheusSource(config.prometheusUrl),
  };
  const sweep = meteringSweep(meterWiring, log);
  return {
    routes: http => usageRoutes(http, wiring),
    record: samples => recordAgentSamples(database, config.meteringWindowSeconds, samples),
    topic: meteringTopic(meterWiring),
    start: () => sweep.start(),
    stop: () => sweep.stop(),
  };
}

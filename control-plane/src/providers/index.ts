/** Machines that no agent runs: nodes of Kubernetes clusters, on which clusters are RayCluster objects. docs/kubernetes.md. */
import { type Config, Destinations, type Http } from '../platform/index.js';
import { type AttendantWiring, ProviderAttendant } from './attendant.js';
import { providerRoutes } from './routes.js';

export type ProviderWiring = Omit<AttendantWiring, 'destinations' | 'rayVersion'> & {
  config: Pick<Config, 'providerNetworks' | 'rayVersion'>;
};

export interface Providers {
  routes(http: Http): void;
  attendant: ProviderAttendant;
  start(): void;
  stop(): Promise<void>;
}

export function createProviders(wiring: ProviderWiring): Providers {
  const { config, database, seal, leaseBook, random, log } = wiring;
  const destinations = new Destinations(config.providerNetworks, 'IOCLOUD_PROVIDER_NETWORKS');
  const attendant = new ProviderAttendant({ ...wiring, destinations, rayVersion: config.rayVersion });
  const changed = () => {
    attendant.refresh().catch((error: unknown) => log.warn({ err: error }, 'providers could not be looked up'));
  };
  return {
    routes: http => providerRoutes(http, { database, seal, destinations, leaseBook, random, changed }),
    attendant,
    start: () => attendant.start(),
    stop: () => attendant.stop(),
  };
}

/** Ways into leases for their renters: SSH, ports, a terminal in the browser; the keys they open with, and the record of it. */
import {
  type Config,
  type Database,
  type Http,
  type Logger,
  Recurring,
  type Signals,
  type Signer,
} from '../platform/index.js';
import { Failures } from './failures.js';
import { Gateway } from './gateway.js';
import { LiveSessions } from './live-sessions.js';
import type { Entrances, MayNow, OpenStream } from './ports.js';
import { keyRoutes } from './routes.js';
import { forgetOld } from './session-store.js';
import { TunnelSockets } from './sockets.js';

export type { Gateway } from './gateway.js';

export interface TunnelWiring {
  config: Pick<Config, 'publicUrl' | 'auditDays'>;
  database: Database;
  signals: Pick<Signals, 'on' | 'send'>;
  entrances: Entrances;
  mayNow: MayNow;
  openStream: OpenStream;
  log: Logger;
  random(n: number): Uint8Array;
  signer: Signer;
  ssh: { hostKey: Buffer; port(): number };
}

export interface Tunnels {
  routes(http: Http): void;
  /** What the SSH server hands over to. */
  gateway: Gateway;
  start(): void;
  stop(): Promise<void>;
}

const forgetIntervalMs = 600_000;

export function createTunnels(wiring: TunnelWiring): Tunnels {
  const sessions = new LiveSessions(wiring);
  const failures = new Failures(() => performance.now());
  const sockets = new TunnelSockets({ ...wiring, sessions });
  const { config, database, log } = wiring;
  const forgetting = new Recurring(
    'forget-ssh-sessions',
    forgetIntervalMs,
    async isStopped => {
      while (!isStopped() && (await forgetOld(database, config.auditDays)));
    },
    error => log.warn({ err: error }, 'old SSH sessions could not be deleted from the record; again soon'),
  );
  return {
    routes: http => {
      keyRoutes(http, wiring);
      sockets.bind(http);
    },
    gateway: new Gateway({ ...wiring, sessions, failures }),
    start: () => {
      sessions.start();
      forgetting.start();
    },
    stop: async () => {
      sockets.stop();
      await forgetting.stop();
      await sessions.stop();
    },
  };
}

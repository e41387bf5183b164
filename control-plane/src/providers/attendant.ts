/** Looks after all providers: a session for each, a look each second and whenever something has changed, and streams. */
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeId, ProviderId, StreamRequest } from '@iocloud/contracts';
import { type Attendant, type Attended, type LeaseBook, StreamRefused } from '../inventory/index.js';
import type { Database, Destinations, Logger, Seal } from '../platform/index.js';
import { Bell } from './bell.js';
import { connectTo } from './kubernetes/access.js';
import { check } from './kubernetes/check.js';
import { runLeases } from './kubernetes/run-leases.js';
import { Session } from './kubernetes/session.js';
import { openStream } from './kubernetes/streams.js';
import { syncMachines } from './kubernetes/sync-machines.js';
import { listProviders, noteState, openAccess, type ProviderRow, providerOf } from './store.js';

export interface AttendantWiring {
  database: Database;
  machines: Attended;
  leaseBook: LeaseBook;
  seal: Seal;
  destinations: Destinations;
  rayVersion: string;
  random(n: number): Uint8Array;
  log: Logger;
}

/** Nodes are heard each second, as agents' heartbeats are. */
const lookMs = 1_000;
/** Changes that come together are looked at together. */
const settleMs = 50;
/** A provider that cannot be reached is asked again after this. */
const patienceMs = 3_000;
const listMs = 2_000;
/** Any constant will do, as long as every replica takes the same; those of providers are its serial numbers above it. */
const attendLock = 7_265_135_000_000;

interface Attending {
  row: ProviderRow;
  session: Session;
  /** Ends the pause before the next look. */
  bell: Bell;
  isOver: boolean;
  running: Promise<void>;
  state: string;
}

export class ProviderAttendant implements Attendant {
  readonly #attending = new Map<ProviderId, Attending>();
  readonly #starting = new Map<ProviderId, Promise<void>>();
  #stopped = false;
  #listing: Promise<void> = Promise.resolve();
  readonly #stop = new AbortController();

  constructor(readonly wiring: AttendantWiring) {}

  start(): void {
    this.#listing = this.#followList();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stop.abort();
    await this.#listing;
    await Promise.allSettled(this.#starting.values());
    await Promise.all([...this.#attending.keys()].map(id => this.#leave(id)));
  }

  /** Whoever it is of: the others find nothing to do. */
  changed(_nodeId: NodeId): void {
    for (const one of this.#attending.values()) one.bell.ring();
  }

  /** Takes up a provider that has just been added, without waiting for the next look at the list. */
  async refresh(): Promise<void> {
    const rows = await listProviders(this.wiring.database, null);
    const ids = new Set(rows.map(row => row.id));
    for (const id of this.#attending.keys()) if (!ids.has(id)) await this.#leave(id);
    for (const row of rows) {
      if (this.#stopped || this.#attending.has(row.id) || this.#starting.has(row.id)) continue;
      const starting = this.#attend(row).finally(() => this.#starting.delete(row.id));
      this.#starting.set(row.id, starting);
      await starting;
    }
  }

  async openStream(nodeId: NodeId, request: StreamRequest): Promise<Duplex | null> {
    const providerId = await providerOf(this.wiring.database, nodeId);
    if (providerId === null) return null;
    const attending = this.#attending.get(providerId);
    if (!attending) throw new StreamRefused('offline', 'its Kubernetes cluster is not connected yet');
    return openStream(this.wiring.database, attending.session, nodeId, request);
  }

  async #followList(): Promise<void> {
    while (!this.#stopped) {
      await this.refresh().catch(error =>
        this.wiring.log.warn({ err: error }, 'providers could not be looked up; again soon'),
      );
      await sleep(listMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  async #attend(row: ProviderRow): Promise<void> {
    const { seal, destinations, log, database } = this.wiring;
    const bell = new Bell(settleMs);
    try {
      const connection = await connectTo(openAccess(row, seal), destinations);
      const of = { providerId: row.id, namespace: row.namespace, nodeSelector: row.node_selector };
      const session = new Session(connection, of, log, () => bell.ring());
      const attending: Attending = { row, session, bell, isOver: false, running: Promise.resolve(), state: '' };
      attending.running = this.#run(attending);
      this.#attending.set(row.id, attending);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      log.warn({ providerId: row.id, error: message }, 'a provider cannot be connected to');
      await noteState(database, row.id, { state: 'unreachable', message });
    }
  }

  async #run(attending: Attending): Promise<void> {
    let isChecked = false;
    while (!attending.isOver) {
      let pauseMs = lookMs;
      try {
        await attending.session.probe();
        if (!isChecked) await this.#check(attending);
        isChecked = true;
        await this.#look(attending);
      } catch (error) {
        isChecked = false;
        pauseMs = patienceMs;
        if (!attending.isOver) await this.#noteTrouble(attending, error);
      }
      if (!attending.isOver) await attending.bell.wait(pauseMs);
    }
  }

  async #look({ row, session }: Attending): Promise<void> {
    if (!session.isSynced) return;
    // Each look can be done twice, and by two at a time; this only spares that where there are several replicas.
    await this.wiring.database.alone(attendLock + row.serial, async () => {
      const machines = await syncMachines(this.wiring, row, session);
      await runLeases({ ...this.wiring, nowMs: Date.now }, row, session, machines);
    });
  }

  async #check(attending: Attending): Promise<void> {
    const { session, row } = attending;
    const { version, lacking } = await check(session.client, row.namespace);
    const message = lacking[0] ?? '';
    attending.state = 'connected';
    await noteState(this.wiring.database, row.id, { state: 'connected', message, kubernetesVersion: version, lacking });
  }

  async #noteTrouble(attending: Attending, error: unknown): Promise<void> {
    const { log, database } = this.wiring;
    const message = error instanceof Error ? error.message : String(error);
    log.warn({ providerId: attending.row.id, error: message }, 'a provider could not be looked after; again soon');
    if (attending.state === message) return;
    attending.state = message;
    await noteState(database, attending.row.id, { state: 'unreachable', message }).catch((failed: unknown) =>
      log.warn({ err: failed }, 'the state of a provider could not be recorded'),
    );
  }

  async #leave(id: ProviderId): Promise<void> {
    const attending = this.#attending.get(id);
    if (!attending) return;
    this.#attending.delete(id);
    attending.isOver = true;
    attending.bell.ring();
    await attending.running;
    await attending.session.stop();
  }
}

/**
 * What is open through this process: each on record before it begins, and looked at again and again, so that access ends
 * with the lease, the key, the user or the permission that it rests on.
 */
import {
  type ApiKeyId,
  newId,
  type SshKeyId,
  type SshSession,
  type SshSessionId,
  type SshSessionKind,
  type TenantId,
  type UserId,
} from '@iocloud/contracts';
import type { Entrance } from '../clusters/index.js';
import { type Database, type Logger, Recurring, type Signals } from '../platform/index.js';
import { keysAlive } from './key-store.js';
import { countClosed, countOpened, countRefused } from './metrics.js';
import type { Entrances, MayNow } from './ports.js';
import { endSession, endStale, insertSession, keepSessions } from './session-store.js';

/** By what somebody has got in. */
export interface Holder {
  tenantId: TenantId;
  userId: UserId;
  via: SshSession['via'];
  sshKey: { id: SshKeyId; fingerprint: string } | null;
  apiKeyId: ApiKeyId | null;
  address: string;
}

export interface LiveSession {
  readonly id: SshSessionId;
  readonly holder: Holder;
  readonly entrance: Entrance;
  bytesIn: number;
  bytesOut: number;
  /** Puts its end on record. */
  close(reason: string): Promise<void>;
}

interface Watched {
  holder: Holder;
  entrance: Entrance | null;
  end(reason: string): void;
}

interface Wiring {
  database: Database;
  signals: Pick<Signals, 'on'>;
  entrances: Entrances;
  mayNow: MayNow;
  log: Logger;
  random(n: number): Uint8Array;
}

/** A signal can be lost, and keys expire without one. Milliseconds. */
const lookIntervalMs = 1_000;
const keepEveryLooks = 10;
const mostOfTenant = 2_000;

export class LiveSessions {
  readonly #watched = new Set<Watched>();
  readonly #sessions = new Map<SshSessionId, LiveSession>();
  readonly #offs = new Map<string, { off: () => void; users: number }>();
  readonly #looking: Recurring;
  #looks = 0;
  #off: (() => void) | undefined;

  constructor(readonly wiring: Wiring) {
    this.#looking = new Recurring(
      'live-sessions',
      lookIntervalMs,
      () => this.#look(),
      error => wiring.log.warn({ err: error }, 'what is open could not be looked at; again soon'),
    );
  }

  start(): void {
    this.#off = this.wiring.signals.on('access', () => this.look());
    this.#looking.start();
  }

  async stop(): Promise<void> {
    this.#off?.();
    await this.#looking.stop();
    for (const watched of [...this.#watched]) watched.end('the control plane is stopping');
    for (const session of [...this.#sessions.values()]) await session.close('the control plane is stopping');
  }

  /** Looks now. */
  look(): void {
    this.#look().catch((error: unknown) => this.wiring.log.warn({ err: error }, 'a look at what is open failed'));
  }

  /** Why this holder may not, or may no longer, be there; null where nothing speaks against it. */
  async whyNot(holder: Holder, entrance: Entrance | null): Promise<string | null> {
    const [why] = await this.#whyNot([{ holder, entrance }]);
    return why ?? null;
  }

  async #whyNot(all: readonly Pick<Watched, 'holder' | 'entrance'>[]): Promise<(string | null)[]> {
    const { database, mayNow, entrances } = this.wiring;
    const keyIds = all.flatMap(({ holder }) => holder.sshKey?.id ?? []);
    const callers = all.map(({ holder }) => holder.apiKeyId ?? holder.userId);
    const leaseIds = all.flatMap(({ entrance }) => entrance?.leaseId ?? []);
    const [keys, may, open] = await Promise.all([
      keysAlive(database, [...new Set(keyIds)]),
      mayNow(database, [...new Set(callers)], 'clusters:connect'),
      entrances.open(database, [...new Set(leaseIds)]),
    ]);
    return all.map(({ holder, entrance }) => {
      if (holder.sshKey && !keys.has(holder.sshKey.id)) return 'the SSH key was removed';
      if (!may.has(holder.apiKeyId ?? holder.userId)) {
        return holder.apiKeyId
          ? 'the API key was revoked, has expired or lacks the permission clusters:connect'
          : 'the user may not connect to clusters: the role lacks the permission clusters:connect';
      }
      return entrance && !open.has(entrance.leaseId) ? 'the lease has ended' : null;
    });
  }

  async #look(): Promise<void> {
    const { database } = this.wiring;
    const watched = [...this.#watched];
    if (watched.length > 0) {
      const whys = await this.#whyNot(watched);
      for (const [index, one] of watched.entries()) {
        const why = whys[index];
        if (why) one.end(why);
      }
    }
    this.#looks += 1;
    if (this.#looks % keepEveryLooks !== 0) return;
    await keepSessions(database, [...this.#sessions.values()]);
    await endStale(database);
  }

  /** Calls `end` once the holder may not be here any more. Returns how to stop watching. */
  watch(holder: Holder, entrance: Entrance | null, end: (reason: string) => void): () => void {
    const one: Watched = {
      holder,
      entrance,
      end: reason => {
        if (this.#watched.delete(one)) end(reason);
      },
    };
    this.#watched.add(one);
    const forget = this.#listen(holder.tenantId);
    return () => {
      this.#watched.delete(one);
      forget();
    };
  }

  /** News of a tenant's clusters is a reason to look at once. */
  #listen(tenantId: TenantId): () => void {
    const known = this.#offs.get(tenantId) ?? {
      off: this.wiring.signals.on(`events:${tenantId}`, () => this.look()),
      users: 0,
    };
    known.users += 1;
    this.#offs.set(tenantId, known);
    let forgotten = false;
    return () => {
      if (forgotten) return;
      forgotten = true;
      known.users -= 1;
      if (known.users > 0) return;
      known.off();
      this.#offs.delete(tenantId);
    };
  }

  /** Puts a session on record and watches over it. Rejects where it cannot be recorded: then it must not begin. */
  async open(
    holder: Holder,
    entrance: Entrance,
    what: { kind: SshSessionKind; target: string | null },
    end: (reason: string) => void,
  ): Promise<LiveSession> {
    const own = [...this.#sessions.values()].filter(one => one.holder.tenantId === holder.tenantId).length;
    if (own >= mostOfTenant) throw new Error(`${mostOfTenant} sessions of this tenant are open already`);
    const id = newId('sshSession', this.wiring.random);
    await insertSession(this.wiring.database, { ...record(holder), ...entrance, ...what, id, refused: null });
    let forget = (): void => undefined;
    const session: LiveSession = {
      id,
      holder,
      entrance,
      bytesIn: 0,
      bytesOut: 0,
      close: async reason => {
        forget();
        if (!this.#sessions.delete(id)) return;
        countClosed(what.kind, holder.via);
        await endSession(this.wiring.database, session, reason).catch((error: unknown) =>
          this.wiring.log.warn({ session: id, err: error }, 'the end of a session could not be recorded'),
        );
      },
    };
    this.#sessions.set(id, session);
    countOpened(what.kind, holder.via);
    forget = this.watch(holder, entrance, end);
    this.wiring.log.info(
      { session: id, ...what, ...entrance, userId: holder.userId, via: holder.via },
      'a session begins',
    );
    return session;
  }

  /** Puts on record that somebody who is known was refused. */
  async refused(
    holder: Holder,
    entrance: Entrance | null,
    what: { kind: SshSessionKind; target: string | null },
    reason: string,
  ): Promise<void> {
    const id = newId('sshSession', this.wiring.random);
    countRefused(what.kind, holder.via);
    const place = entrance ?? { clusterId: null, leaseId: null, nodeId: null };
    this.wiring.log.info({ session: id, ...what, userId: holder.userId, reason }, 'a session was refused');
    await insertSession(this.wiring.database, {
      ...record(holder),
      ...place,
      ...what,
      id,
      refused: `refused: ${reason}`,
    });
  }
}

const record = ({ tenantId, userId, via, sshKey, apiKeyId, address }: Holder) => ({
  tenantId,
  userId,
  via,
  keyFingerprint: sshKey?.fingerprint ?? null,
  apiKeyId,
  address,
});

/** Renters' SSH: who logs in by a registered key gets into the tenant's leases, and nowhere else. */
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { nodeId, type SshSessionKind, type StreamRequest, type TenantId, type UserId } from '@iocloud/contracts';
import { ChannelStream } from '@iocloud/contracts/wire';
import type { Connection, PublicKeyAuthContext, ServerChannel } from 'ssh2';
import type { Entrance } from '../clusters/index.js';
import { StreamRefused } from '../inventory/index.js';
import { type Database, type Logger, provesKey } from '../platform/index.js';
import type { Failures } from './failures.js';
import { keyByLine, touchKey } from './key-store.js';
import type { Holder, LiveSession, LiveSessions } from './live-sessions.js';
import type { Entrances, OpenStream } from './ports.js';
import { lineOfOffer } from './public-key.js';
import { serveShells } from './shell-channel.js';

/** Who has proved a key. */
export interface Renter {
  tenantId: TenantId;
  userId: UserId;
  sshKey: NonNullable<Holder['sshKey']>;
}

export interface GatewayWiring {
  database: Database;
  sessions: LiveSessions;
  entrances: Entrances;
  openStream: OpenStream;
  failures: Failures;
  log: Logger;
}

/** Of one connection: shells and forwards together. */
const mostChannels = 256;

/** One renter's connection. */
export interface Visit {
  holder: Holder;
  /** As whom they log in: the name of what they want to reach. */
  name: string;
  /** `<address> <port>` of both ends, as SSH_CONNECTION has them. */
  ends: string;
  connection: Connection;
}

/** A channel that has been let in, or the reason why not. */
export type Admission = { entrance: Entrance } | { refused: string };

export class Gateway {
  constructor(readonly wiring: GatewayWiring) {}

  /** Of whom this key is, once it is proved; null for one that opens nothing. */
  async identify(context: PublicKeyAuthContext, address: string): Promise<Renter | null> {
    if (this.wiring.failures.areTooMany(whence(address, context.username))) return null;
    const row = await keyByLine(this.wiring.database, lineOfOffer(context));
    if (!row || !provesKey(context, row.public_key)) return null;
    return {
      tenantId: row.tenant_id,
      userId: row.user_id,
      sshKey: { id: row.id, fingerprint: row.fingerprint },
    };
  }

  /** A connection ended without a login. */
  failed(address: string, name: string): void {
    if (this.wiring.failures.note(whence(address, name))) {
      this.wiring.log.warn(
        { address },
        'too many failed logins: SSH keys from this address are refused for ten minutes',
      );
    }
  }

  serve(connection: Connection, renter: Renter, name: string, from: { address: string; ends: string }): void {
    const { database, sessions, log } = this.wiring;
    const holder: Holder = { ...renter, via: 'ssh', apiKeyId: null, address: from.address };
    const visit: Visit = { holder, name, ends: from.ends, connection };
    touchKey(database, renter.sshKey.id).catch((error: unknown) =>
      log.warn({ err: error }, 'the use of an SSH key could not be recorded'),
    );
    // Without a channel, too, nobody stays whose key has gone. Those with one say why before they close.
    const forget = sessions.watch(holder, null, () => setTimeout(() => connection.end(), endGraceMs));
    connection.setMaxListeners(0);
    connection.on('close', forget);
    serveShells(this, visit);
    connection.on('tcpip', (accept, reject, { destIP, destPort }) => {
      const target = `${destIP.includes(':') ? `[${destIP}]` : destIP}:${destPort}`;
      const what = { kind: 'forward', target } as const;
      const request = (leaseId: Entrance['leaseId']): StreamRequest => ({
        kind: 'connect',
        leaseId,
        host: destIP,
        port: destPort,
      });
      void this.#forward(visit, what, request, accept, reject);
    });
    connection.on('openssh.streamlocal', (accept, reject, { socketPath }) => {
      const what = { kind: 'socket', target: socketPath } as const;
      const request = (leaseId: Entrance['leaseId']): StreamRequest => ({
        kind: 'connect-socket',
        leaseId,
        path: socketPath,
      });
      void this.#forward(visit, what, request, accept, reject);
    });
    // No way from the lease back to the renter's machine.
    connection.on('request', (_accept, reject) => reject?.());
  }

  /** Whether one more channel of the visit may begin, and where it leads: asked anew for each. */
  async admit({ holder, name }: Visit): Promise<Admission> {
    const why = await this.wiring.sessions.whyNot(holder, null);
    if (why) return { refused: why };
    const entrance = await this.wiring.entrances.find(this.wiring.database, holder.tenantId, name);
    return 'refused' in entrance ? entrance : { entrance };
  }

  readonly #channels = new WeakMap<Connection, number>();
  /** False where the connection has as many channels as one may have. To be paired with `leave`. */
  enter({ connection }: Visit): boolean {
    const open = this.#channels.get(connection) ?? 0;
    if (open >= mostChannels) return false;
    this.#channels.set(connection, open + 1);
    return true;
  }

  leave({ connection }: Visit): void {
    this.#channels.set(connection, Math.max(0, (this.#channels.get(connection) ?? 1) - 1));
  }

  async #forward(
    visit: Visit,
    what: { kind: SshSessionKind; target: string },
    request: (leaseId: Entrance['leaseId']) => StreamRequest,
    accept: () => ServerChannel,
    reject: () => void,
  ): Promise<void> {
    if (!this.enter(visit)) return reject();
    const { sessions, log } = this.wiring;
    let machine: Duplex | undefined;
    let session: LiveSession | undefined;
    let reason = 'closed';
    try {
      const admission = await this.admit(visit);
      if ('refused' in admission) {
        await sessions.refused(visit.holder, null, what, admission.refused);
        return reject();
      }
      const { entrance } = admission;
      try {
        machine = await this.wiring.openStream(entrance.nodeId, request(entrance.leaseId));
      } catch (error) {
        if (!(error instanceof StreamRefused)) throw error;
        await sessions.refused(visit.holder, entrance, what, error.message);
        return reject();
      }
      const opened = machine;
      session = await sessions.open(visit.holder, entrance, what, why => {
        reason = why;
        opened.destroy();
      });
      const stream = new ChannelStream(accept());
      const close = () => opened.destroy();
      visit.connection.once('close', close);
      await join(stream, opened, session).catch(() => stream.destroy());
      visit.connection.off('close', close);
    } catch (error) {
      log.warn({ err: error, target: what.target }, 'a forward failed');
      reason = 'it failed';
      reject();
    } finally {
      machine?.destroy();
      this.leave(visit);
      await session?.close(reason);
    }
  }
}

/** An agent whose machine was removed goes on trying: that keeps nobody out who comes from the same place for a cluster. */
const whence = (address: string, name: string): string =>
  nodeId.safeParse(name).success ? `machine ${address}` : address;

/** Within so long somebody who is shown out hears why. Milliseconds. */
export const endGraceMs = 500;

/** Carries bytes both ways; each direction ends by itself, and when one breaks, both are gone. */
export async function join(user: Duplex, machine: Duplex, session: LiveSession): Promise<void> {
  user.on('error', () => undefined);
  const both = Promise.all([pipeline(user, machine), pipeline(machine, user)]);
  user.on('data', (chunk: Buffer) => {
    session.bytesIn += chunk.length;
  });
  machine.on('data', (chunk: Buffer) => {
    session.bytesOut += chunk.length;
  });
  await both;
}

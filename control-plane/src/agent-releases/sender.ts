/** Gives machines the release that is due for them, over the connection that they hold to this process. */
import type { Duplex } from 'node:stream';
import { fenceAfterMs, type NodeId, type ReleaseOffer, releaseVerdict, type StreamRequest } from '@iocloud/contracts';
import { firstLine } from '@iocloud/contracts/wire';
import { StreamRefused } from '../inventory/ports.js';
import type { Database, Logger } from '../platform/index.js';
import { type Due, due, end } from './fleet.js';
import { rotations } from './keys.js';
import { signedRelease } from './releases.js';

/** For all of it over a slow line. Milliseconds. */
const limitMs = 300_000;
const maxVerdictBytes = 4_096;
/** At a time, from this process. */
const mostAtOnce = 16;

type Open = (request: StreamRequest) => Promise<Duplex>;

export class Sender {
  readonly #sending = new Map<NodeId, Promise<void>>();

  constructor(
    readonly database: Database,
    readonly openStream: (nodeId: NodeId, request: StreamRequest) => Promise<Duplex>,
    readonly nodeLostSeconds: number,
    readonly log: Logger,
  ) {}

  /** Begins what is due; a machine that is slow holds up no other. */
  async look(): Promise<void> {
    for (const one of await due(this.database)) {
      if (this.#sending.size >= mostAtOnce) return;
      if (!this.#sending.has(one.nodeId)) void this.#begin(one, request => this.openStream(one.nodeId, request));
    }
  }

  /** To a machine that is about to be sent away for its protocol: this is all that can be said to it. Resolves when it is. */
  async sendTo(nodeId: NodeId, open: Open): Promise<void> {
    const [one] = await due(this.database, nodeId);
    if (one) await (this.#sending.get(nodeId) ?? this.#begin(one, open));
  }

  #begin(one: Due, open: Open): Promise<void> {
    const sending = this.#send(one, open)
      .catch((error: unknown) => {
        // It is connected elsewhere, or its connection broke: the next look finds it due again.
        if (error instanceof StreamRefused) return;
        this.log.info({ nodeId: one.nodeId, error: String(error) }, 'a release did not get through; again soon');
      })
      .finally(() => this.#sending.delete(one.nodeId));
    this.#sending.set(one.nodeId, sending);
    return sending;
  }

  async #send(one: Due, open: Open): Promise<void> {
    const { manifest, signature, archive } = await signedRelease(this.database, one.serial);
    const offer: ReleaseOffer = {
      kind: 'release',
      attempt: one.attempt,
      manifest,
      signature,
      rotations: await rotations(this.database),
      bytes: archive.length,
      healthySeconds: one.healthySeconds,
      fenceAfterMs: fenceAfterMs(this.nodeLostSeconds + one.graceSeconds),
    };
    const refused = (reason: string) =>
      this.database.transaction(tx =>
        end(tx, one.rolloutId, one.nodeId, 'failed', `it refused the release: ${reason}`),
      );
    const stream = await open(offer).catch(async (error: unknown) => {
      if (!(error instanceof StreamRefused) || error.code !== 'bad-request') throw error;
      await refused(error.message);
      return null;
    });
    if (!stream) return;
    try {
      stream.write(archive);
      const verdict = releaseVerdict.parse(JSON.parse(await firstLine(stream, maxVerdictBytes, limitMs)));
      if (!verdict.switches) await refused(verdict.reason);
      else {
        await this.database.query(
          `UPDATE agent_rollout_nodes SET sent_at = clock_timestamp() WHERE attempt = $1 AND state = 'trying'`,
          [one.attempt],
        );
      }
    } finally {
      stream.destroy();
    }
  }

  /** Resolves when nothing is being sent. */
  async idle(): Promise<void> {
    await Promise.all(this.#sending.values());
  }
}

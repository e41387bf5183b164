/**
 * Which machines this process hears. What PostgreSQL has on record comes later than that where the database is slow, and
 * while this process itself stood still it heard nobody: neither is a machine's silence. Pure but for its clock.
 */
import type { NodeId } from '@iocloud/contracts';

/** How often somebody looks for machines that have fallen silent. Milliseconds. */
export const silenceLookMs = 500;
/** After a pause this much longer than that, what came meanwhile may still wait to be read. Milliseconds. */
const deafAfterMs = 1_000;

export class Hearing {
  readonly #heardAtMs = new Map<NodeId, number>();
  #listeningSinceMs: number;
  #lookedAtMs: number;

  /** `nowMs`: a clock that never goes back. */
  constructor(readonly nowMs: () => number) {
    this.#listeningSinceMs = nowMs();
    this.#lookedAtMs = nowMs();
  }

  heard(nodeId: NodeId): void {
    this.#heardAtMs.set(nodeId, this.nowMs());
  }

  /** To be called every `silenceLookMs`, so that a pause is noticed. */
  look(): void {
    const now = this.nowMs();
    if (now - this.#lookedAtMs > silenceLookMs + deafAfterMs) this.#listeningSinceMs = now;
    this.#lookedAtMs = now;
  }

  /** Whether of those that are silent on record for so long it can be said that they are: it has listened, without a pause. */
  hasListenedFor(ms: number): boolean {
    return this.nowMs() - this.#listeningSinceMs >= ms;
  }

  hasHeardWithin(nodeId: NodeId, ms: number): boolean {
    const at = this.#heardAtMs.get(nodeId);
    return at !== undefined && this.nowMs() - at < ms;
  }

  forget(nodeId: NodeId): void {
    this.#heardAtMs.delete(nodeId);
  }
}

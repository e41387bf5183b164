/**
 * Places kept for those at the front of the order that wait for room (EASY backfill): what is free of a reserved place
 * is held, so later work can only go elsewhere, or there if it ends before the reservation begins.
 */
import type { Entry } from './entry.js';
import type { Ground } from './ground.js';
import type { QuotaBook } from './quota.js';

export interface Reservation<Request, Placement> {
  readonly entry: Entry<Request, Placement>;
  readonly placement: Placement;
  /** When all of it should be free. Infinite where something in it has no known end. */
  readonly startMs: number;
  readonly madeAtMs: number;
  /** Others were told to stop for it: it yields to nobody. */
  readonly wasCleared: boolean;
  /** Its demand counts as used. */
  readonly holdsQuota: boolean;
}

export class Reservations<Request, Placement extends { microUsdPerHour: number }> {
  readonly #all = new Map<string, Reservation<Request, Placement>>();

  constructor(
    readonly ground: Ground<Request, Placement>,
    readonly quotas: QuotaBook,
  ) {}

  of(id: string): Reservation<Request, Placement> | undefined {
    return this.#all.get(id);
  }

  /** In the order in which they were made. */
  all(): Reservation<Request, Placement>[] {
    return [...this.#all.values()];
  }

  make(reservation: Reservation<Request, Placement>): void {
    this.#all.set(reservation.entry.id, reservation);
    this.#reserve(reservation);
  }

  /** True when there was one: room may have become free. */
  drop(id: string): boolean {
    const reservation = this.#all.get(id);
    if (!reservation) return false;
    this.#lift(reservation);
    this.#all.delete(id);
    return true;
  }

  /** After something became free: the reservations take theirs of it, the oldest first, before anybody else can. */
  refresh(): void {
    this.without(this.all(), () => undefined);
  }

  /** Does `work` as if these were not there. */
  without<T>(some: Reservation<Request, Placement>[], work: () => T): T {
    if (some.length === 0) return work();
    for (const reservation of some) this.#lift(reservation);
    try {
      return work();
    } finally {
      for (const reservation of some) this.#reserve(reservation);
    }
  }

  #reserve({ entry, placement, holdsQuota }: Reservation<Request, Placement>): void {
    this.ground.reserve(`reservation of ${entry.id}`, placement);
    if (holdsQuota) this.quotas.hold(entry.workload.tenantId, entry.workload.demand);
  }

  #lift({ entry, holdsQuota }: Reservation<Request, Placement>): void {
    this.ground.release(`reservation of ${entry.id}`);
    if (holdsQuota) this.quotas.free(entry.workload.tenantId, entry.workload.demand);
  }
}

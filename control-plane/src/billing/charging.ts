/** Charges all usage, again and again, around what cannot be charged: one faulty line must not hold up everybody's bills. */
import type { LeaseId } from '@iocloud/contracts';
import type { Database, Logger } from '../platform/index.js';
import { type ChargeTerms, chargeBatch, chargeNext, NotCharged } from './charge.js';

export interface ChargingOptions {
  database: Database;
  terms: ChargeTerms;
  log: Logger;
  now(): number;
}

/** A lease that was set aside is tried again after so long. */
const asideMs = 600_000;

export class Charging {
  /** Leases of lines that could not be charged → when they are tried again. Lost with the process, and found again. */
  private readonly aside = new Map<LeaseId, number>();

  constructor(private readonly options: ChargingOptions) {}

  /** Leases whose usage waits because a line of theirs could not be charged. */
  get setAside(): LeaseId[] {
    const now = this.options.now();
    for (const [lease, until] of this.aside) if (until <= now) this.aside.delete(lease);
    return [...this.aside.keys()];
  }

  /** All that can be charged now. Halves its batches before a line that cannot, until that line is alone. */
  async run(isStopped: () => boolean = () => false): Promise<void> {
    const { database, terms } = this.options;
    let limit = chargeBatch;
    while (!isStopped()) {
      try {
        if ((await chargeNext(database, terms, { except: this.setAside, limit })) < limit) return;
        limit = Math.min(limit * 2, chargeBatch);
      } catch (error) {
        if (!(error instanceof NotCharged)) throw error;
        const [line] = error.lines;
        if (error.lines.length > 1 || !line) limit = Math.ceil(Math.min(limit, error.lines.length) / 2);
        else this.leave(line, error.cause);
      }
    }
  }

  private leave({ lineId, leaseId }: NotCharged['lines'][number], err: unknown): void {
    this.aside.set(leaseId, this.options.now() + asideMs);
    this.options.log.error(
      { err, usageLine: lineId, lease: leaseId, againInSeconds: asideMs / 1_000 },
      'a usage line cannot be charged: the usage of its lease waits, all others are charged',
    );
  }
}

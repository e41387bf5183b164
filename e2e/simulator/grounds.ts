/** What the simulated work runs on, as the simulator needs it beyond what the queue asks of it. */
import type { Ground } from '@iocloud/control-plane/core/queueing';

export type Priced = { microUsdPerHour: number };

/** So much of one thing that cannot be given away twice: a device, a machine's CPUs or its memory. */
export interface Claim {
  /** Unique over all machines. */
  of: string;
  amount: number;
  /** All that there is of it. */
  whole: number;
}

export interface SimulatedGround<Request, Placement extends Priced> extends Ground<Request, Placement> {
  /** Nothing new goes there; what is held there stays. */
  remove(machineId: string): void;
  restore(machineId: string): void;
  /** Of all machines with this model, in thousandths of what they cost at the beginning. */
  setPrice(model: string, permille: number): void;
  /** Each once. */
  machinesOf(placement: Placement): readonly string[];
  claimsOf(placement: Placement): Claim[];
  /** By a way of its own: what of the request the placement does not meet. Null: it meets all. */
  shortcoming(request: Request, placement: Placement, maxMicroUsdPerHour: number | null): string | null;
  /** Could `one` go wherever `other` can? False where that is not plain. */
  noHarder(one: Request, other: Request): boolean;
  /** Does what is told to people agree with what is decided? Null: it does. */
  contradiction(request: Request): string | null;
  /** Would all machines carry it, at the prices of now, if nothing were held and none were away? */
  couldCarry(request: Request): boolean;
}

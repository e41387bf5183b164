/**
 * Where work can go, as the queue sees it: in the simulator a fleet, in the product warm clusters and then the fleet.
 * What a request and a placement are is the ground's own business.
 */
export interface GroundRefusal {
  /** A sentence for the renter: what is missing. */
  refused: string;
}

export interface Ground<Request, Placement extends { microUsdPerHour: number }> {
  /** Changes nothing. With a ceiling, no placement that costs more. The same state gives the same answer. */
  place(request: Request, maxMicroUsdPerHour: number | null): Placement | GroundRefusal;
  /** Throws when not all of it is free: a device is never held twice. */
  take(holder: string, placement: Placement): void;
  /** Takes of a placement what is free just now, for a holder that has nothing yet. */
  reserve(holder: string, placement: Placement): void;
  /** A holder of nothing is no error. */
  release(holder: string): void;
  /** Would it fit, at that price, if nothing were held? Where a ground cannot say, all that runs is lifted for a moment to see. */
  fitsEmpty?(request: Request, maxMicroUsdPerHour: number | null): boolean;
  /** Could room that this placement leaves be of any use to the request? Where a ground cannot say, it could. */
  concerns?(request: Request, placement: Placement): boolean;
  /** Do both use a machine in common? A quick test: where it says no, ending one cannot help the other. */
  touch(one: Placement, other: Placement): boolean;
}

export const isRefusal = (answer: object): answer is GroundRefusal => 'refused' in answer;

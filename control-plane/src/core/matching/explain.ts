/**
 * Why a request is placed where it is, or why it cannot be: how many nodes meet each constraint, what would be left if they
 * were applied one after the other, and what giving one up would bring. Looks at every node once for each group.
 */
import { type Failure, failures, type Part, parts, wording } from './fleet/constraints.js';
import type { Latencies } from './fleet/geography.js';
import type { Inventory } from './fleet/inventory.js';
import { type Relaxation, relaxations } from './fleet/relaxations.js';
import type {
  FleetCandidate,
  FleetPlacement,
  MicroUsdPerHour,
  PlacementRefusal,
  PlacementRequest,
  WorkerGroup,
} from './fleet/types.js';

export interface ConstraintCount {
  constraint: Part;
  /** What is asked, in words: 'are in DE or FR'. */
  asked: string;
  /** Nodes that meet this one, whatever else they are. */
  alone: number;
  /** Nodes that meet it and all before it. */
  left: number;
}

export interface GroupExplanation {
  group: string;
  /** Nodes that the renter may use at all. */
  nodes: number;
  /** Only those that the request states, from the hardest to the softest. */
  constraints: ConstraintCount[];
  /** Nodes that could carry a worker of the group now. */
  fitting: number;
}

/** The same request with one constraint given up or, where that helps nothing, as few as will do. */
export interface Alternative {
  /** 'any country and region', 'any price, and without soc2' … */
  change: string;
  /** The first of those given up. */
  constraint: string;
  /** Nodes that could then carry a worker of the group that fits on fewest. */
  nodes: number;
  microUsdPerHour: MicroUsdPerHour;
}

export interface Explanation {
  /** Exactly when `place` has a placement. */
  satisfiable: boolean;
  placement: FleetPlacement | null;
  refusal: PlacementRefusal | null;
  /** One sentence for the renter. */
  summary: string;
  groups: GroupExplanation[];
  /** The best few for one worker of each group. */
  candidates: FleetCandidate[];
  /** Where it is refused: what would do, the cheapest first. */
  alternatives: Alternative[];
}

const candidatesEach = 5;

interface Placer {
  place(request: PlacementRequest): FleetPlacement | PlacementRefusal;
  candidates(request: PlacementRequest, limit: number): FleetCandidate[];
}

export function explain(
  fleet: Placer,
  inventory: Inventory,
  request: PlacementRequest,
  latenciesFrom: (point: { latitudeDeg: number; longitudeDeg: number }) => Latencies,
): Explanation {
  const answer = fleet.place(request);
  const look = (asked: PlacementRequest) =>
    asked.groups.map(group => count(asked, group, failures(inventory, asked, group, latenciesFrom)));
  const groups = look(request);
  const candidates = fleet.candidates(request, candidatesEach);
  if (!('refused' in answer)) {
    const nodes = new Set(answer.workers.map(worker => worker.nodeId)).size;
    const summary = `${counted(answer.workers.length, 'worker')} on ${counted(nodes, 'machine')} for ${usd(answer.microUsdPerHour)} an hour`;
    return { satisfiable: true, placement: answer, refusal: null, summary, groups, candidates, alternatives: [] };
  }
  const tried = ({ change, constraint, request: relaxed }: Relaxation): Alternative[] => {
    const other = fleet.place(relaxed);
    if ('refused' in other) return [];
    const nodes = Math.min(...look(relaxed).map(group => group.fitting));
    return [{ change, constraint, nodes, microUsdPerHour: other.microUsdPerHour }];
  };
  const single = relaxations(request).flatMap(tried);
  const alternatives = single.length > 0 ? single : severalGivenUp(fleet, request).flatMap(tried);
  return {
    satisfiable: false,
    placement: null,
    refusal: answer,
    summary: sentence(request, answer, groups),
    groups,
    candidates,
    alternatives: alternatives.sort((a, b) => a.microUsdPerHour - b.microUsdPerHour),
  };
}

/**
 * Where giving up one constraint helps nothing: all are given up, then taken back one by one as long as there is room,
 * from the first and from the last. What remains is needed: with any of it taken back there would be none.
 */
function severalGivenUp(fleet: Placer, request: PlacementRequest): Relaxation[] {
  const all = relaxations(request)
    .filter(({ constraint }) => !['colocate', 'spread', 'cells'].includes(constraint))
    .map(({ change }) => change);
  const fits = (changes: string[]) => !('refused' in fleet.place(withAll(request, changes)));
  if (!fits(all)) return [];
  const least = (order: string[]) =>
    order.reduce((kept, change) => {
      const fewer = kept.filter(other => other !== change);
      return fits(fewer) ? fewer : kept;
    }, all);
  const found = [all, [...all].reverse()].map(order => least(order).sort());
  const different = [...new Map(found.map(changes => [changes.join(), changes])).values()];
  return different.map(changes => ({
    change: changes.join(', and '),
    constraint: relaxations(request).find(({ change }) => change === changes[0])?.constraint ?? '',
    request: withAll(request, changes),
  }));
}

/** What one change makes of the request may leave nothing for another to change. */
const withAll = (request: PlacementRequest, changes: string[]): PlacementRequest =>
  changes.reduce(
    (before, wished) => relaxations(before).find(({ change }) => change === wished)?.request ?? before,
    request,
  );

function count(request: PlacementRequest, group: WorkerGroup, found: Failure[]): GroupExplanation {
  const visible = found.filter(({ mask }) => (mask & 1) === 0);
  const nodes = (of: Failure[]) => of.reduce((total, one) => total + one.nodes, 0);
  let before = 0;
  const constraints: ConstraintCount[] = [];
  for (const [bit, constraint] of parts.entries()) {
    before |= 1 << bit;
    const asked = wording(request, group, constraint);
    if (asked === null) continue;
    const upTo = before;
    // Nobody asks for it: it is said where it leaves machines out.
    if (constraint === 'isolation' && nodes(visible.filter(({ mask }) => (mask & (1 << bit)) !== 0)) === 0) continue;
    constraints.push({
      constraint,
      asked,
      alone: nodes(visible.filter(({ mask }) => (mask & (1 << bit)) === 0)),
      left: nodes(visible.filter(({ mask }) => (mask & upTo) === 0)),
    });
  }
  return {
    group: group.name,
    nodes: nodes(visible),
    constraints,
    fitting: nodes(found.filter(({ mask }) => mask === 0)),
  };
}

/** '12 of 40 machines have a100-80-sxm, 3 of them are in DE, 0 of them have soc2' */
function sentence(request: PlacementRequest, refusal: PlacementRefusal, groups: GroupExplanation[]): string {
  const short = groups.find(group => group.fitting === 0);
  if (short) {
    const said: string[] = [];
    let left = short.nodes;
    for (const constraint of short.constraints) {
      if (constraint.left === left && constraint.left > 0) continue;
      const of = said.length === 0 ? `${constraint.left} of ${short.nodes} machines` : `${constraint.left} of them`;
      said.push(`${of} ${constraint.asked}`);
      left = constraint.left;
      if (left === 0) break;
    }
    return `${ofGroup(request, short.group)}${said.join(', ') || 'there are no machines'}`;
  }
  const group = groups.find(one => one.group === refusal.group);
  const together = [
    request.colocate === 'any' ? null : `in one ${request.colocate}`,
    request.spread && `at most ${request.spread.maxWorkersEach} for each ${request.spread.by}`,
    request.cells && `in cells of ${request.cells.workersEach} in one domain each`,
  ].filter(rule => rule !== null);
  const rules = together.length > 0 ? ` (${together.join(', ')})` : '';
  const doubt = refusal.certain ? '' : '; not every combination could be tried';
  if (refusal.refused === 'price') {
    return `There is room, but none was found for ${usd(request.maxMicroUsdPerHour ?? 0)} an hour or less${rules}${doubt}`;
  }
  if (group) {
    const workers = request.groups.find(one => one.name === group.group)?.workers ?? 0;
    const can = `${counted(group.fitting, 'machine')} can carry a worker, but not all ${workers} have room`;
    return `${ofGroup(request, group.group)}${can}${rules}${doubt}`;
  }
  return `Each group has room, but no room was found for all of them together${rules}${doubt}`;
}

/** Said where there are several. */
const ofGroup = ({ groups }: PlacementRequest, name: string) => (groups.length > 1 ? `group '${name}': ` : '');
const counted = (count: number, thing: string) => `${count} ${thing}${count === 1 ? '' : 's'}`;
const usd = (micro: MicroUsdPerHour) => `${(micro / 1e6).toFixed(2)} USD`;

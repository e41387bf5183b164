/**
 * Why a request is placed where it is, or why it cannot be: how many nodes meet each constraint, what would be left if they
 * were applied one after the other, and what giving one up would bring. Looks at every node once for each group.
 */
import { type Failure, failures, type Part, parts, wording } from './fleet/constraints.js';
import type { Latencies } from './fleet/geography.js';
import type { Inventory } from './fleet/inventory.js';
import { relaxations } from './fleet/relaxations.js';
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

/** The same request with one constraint given up. */
export interface Alternative {
  /** 'drop the countries', 'allow any network' … */
  change: string;
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
    const summary = `${answer.workers.length} workers on ${nodes} nodes for ${usd(answer.microUsdPerHour)} an hour`;
    return { satisfiable: true, placement: answer, refusal: null, summary, groups, candidates, alternatives: [] };
  }
  const alternatives = relaxations(request).flatMap(({ change, constraint, request: relaxed }): Alternative[] => {
    const other = fleet.place(relaxed);
    if ('refused' in other) return [];
    const nodes = Math.min(...look(relaxed).map(group => group.fitting));
    return [{ change, constraint, nodes, microUsdPerHour: other.microUsdPerHour }];
  });
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

/** '12 of 40 nodes have a100-80-sxm, 3 of them are in DE, 0 of them have soc2' */
function sentence(request: PlacementRequest, refusal: PlacementRefusal, groups: GroupExplanation[]): string {
  const short = groups.find(group => group.fitting === 0);
  if (short) {
    const said: string[] = [];
    let left = short.nodes;
    for (const constraint of short.constraints) {
      if (constraint.left === left && constraint.left > 0) continue;
      const of = said.length === 0 ? `${constraint.left} of ${short.nodes} nodes` : `${constraint.left} of them`;
      said.push(`${of} ${constraint.asked}`);
      left = constraint.left;
      if (left === 0) break;
    }
    return `Group '${short.group}': ${said.join(', ') || 'there are no nodes'}`;
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
    return `Group '${group.group}': ${group.fitting} nodes can carry a worker, but not all ${workers} have room${rules}${doubt}`;
  }
  return `Each group has room, but no room was found for all of them together${rules}${doubt}`;
}

const usd = (micro: MicroUsdPerHour) => `${(micro / 1e6).toFixed(2)} USD`;

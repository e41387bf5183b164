/** Dry runs: where Ray nodes could be placed, at what price, or why nowhere. Changes nothing. */
import type { Explanation, NodeTerms, Requirements, TenantId } from '@iocloud/contracts';
import type { Orders } from '../billing/index.js';
import {
  empty,
  type FleetCandidate,
  type Explanation as FleetExplanation,
  fleetOf,
  type PlacementRequest,
  refusalInWords,
  requestOf,
  type Want,
} from '../core/matching/index.js';
import type { Machines } from '../inventory/ports.js';
import type { Queryable } from '../platform/index.js';
import { canJoin, placeApart, requestApart } from './apart.js';
import type { Offers } from './facts.js';
import type { ClusterActivity } from './ports.js';
import { leased, leasedIfIdleGo } from './room.js';

export interface DryRun {
  tenantId: TenantId;
  wants: Want[];
  rayVersion: string;
  requirements: Requirements;
  /** Whose idle clusters would go for it; null: anybody's. */
  whose: TenantId | null;
  isUrgent: boolean;
}

/** Bringing up a cluster takes about so long, and before that an idle one to go. Milliseconds; see BENCHMARKS.md. */
const provisioningMs = 10_000;
const releasingMs = 5_000;

/** `now`: there is room; `later`: there would be if what runs had ended, or if it were paid for; `never`: no enrolled machine will do. */
export async function explainPlacement(
  db: Queryable,
  { machines, activity, orders }: { machines: Machines; activity: ClusterActivity; orders: Pick<Orders, 'refusal'> },
  dryRun: DryRun,
  nowMs: number,
): Promise<Explanation> {
  const enrolled = await machines.enrolled(db, dryRun.tenantId);
  const ids = enrolled.map(({ nodeId }) => nodeId);
  const used = await leased(db, ids);
  const offers: Offers = enrolled.map(machine => ({ ...machine, used: used.get(machine.nodeId) ?? empty }));
  const request = requestOf(dryRun.tenantId, dryRun.wants, dryRun.rayVersion, dryRun.requirements);
  const now = explained(offers, request, dryRun);
  if (now.satisfiable) {
    const price = now.placement?.microUsdPerHour ?? null;
    const unpaid = await orders.refusal(db, othersPrice(now, offers, dryRun.tenantId, nowMs));
    if (unpaid !== null) return answer('later', unpaid, now, request, offers, null, price);
    return answer('now', now.summary, now, request, offers, new Date(nowMs + provisioningMs), price);
  }
  const { whose: tenantId, isUrgent } = dryRun;
  const roomier = await leasedIfIdleGo(db, activity, ids, { tenantId, isUrgent, now: new Date(nowMs) });
  const freed = offers.map(offer => ({ ...offer, used: roomier.get(offer.nodeId) ?? empty }));
  const soon = explained(freed, request, dryRun);
  if (soon.satisfiable) {
    const startAt = new Date(nowMs + releasingMs + provisioningMs);
    const message = `${soon.summary}, once idle clusters have made room`;
    return answer('now', message, soon, request, offers, startAt, soon.placement?.microUsdPerHour ?? null);
  }
  const emptied = offers.map(offer => ({ ...offer, schedulable: true, used: empty }));
  const ever = explained(emptied, request, dryRun);
  if (!ever.satisfiable) return answer('never', refusalInWords(ever), ever, request, offers, null, null);
  return answer('later', now.summary, now, request, offers, null, null);
}

/** Of what stands on machines of others: what has to be paid for. */
function othersPrice({ placement }: FleetExplanation, offers: Offers, tenantId: TenantId, nowMs: number) {
  const own = new Set(offers.flatMap(({ nodeId, ownerId }) => (ownerId === tenantId ? nodeId : [])));
  const others = (placement?.workers ?? []).filter(({ nodeId }) => !own.has(nodeId));
  const microUsdPerHour = others.reduce((sum, worker) => sum + worker.microUsdPerHour, 0);
  return { tenantId, microUsdPerHour, budgetLeftMicroUsd: null, now: new Date(nowMs) };
}

/** On one machine, or on several where that is the only way and they can join a network. */
function explained(offers: Offers, request: PlacementRequest, dryRun: DryRun): FleetExplanation {
  const together = fleetOf(offers).explain(request);
  if (together.satisfiable || dryRun.wants.length === 1) return together;
  const online = offers.filter(offer => offer.schedulable);
  if ('refused' in placeApart(dryRun, online)) return together;
  return fleetOf(online.filter(canJoin)).explain(requestApart(dryRun));
}

function answer(
  outcome: Explanation['outcome'],
  message: string,
  explained: FleetExplanation,
  { tenantId }: PlacementRequest,
  offers: Offers,
  startAt: Date | null,
  microUsdPerHour: number | null,
): Explanation {
  // The group that is hardest to place says most.
  const [hardest] = [...explained.groups].sort((one, other) => one.fitting - other.fitting);
  const byNode = new Map(offers.map(offer => [offer.nodeId, offer]));
  return {
    outcome,
    message,
    expectedStartAt: startAt?.toISOString() ?? null,
    constraints: hardest?.constraints.map(({ asked, left }) => ({ constraint: asked, machines: left })) ?? [],
    alternatives: explained.alternatives.map(({ change, nodes, microUsdPerHour: from }) => ({
      change,
      machines: nodes,
      microUsdPerHour: from,
    })),
    candidates: explained.candidates.map(candidate => {
      const offer = byNode.get(candidate.nodeId);
      return toCandidate(candidate, offer?.ownerId === tenantId ? offer.name : null, offer?.terms ?? null);
    }),
    microUsdPerHour,
    warmCluster: null,
  };
}

/** A machine of another tenant is described, not named. */
function toCandidate(
  candidate: FleetCandidate,
  name: string | null,
  terms: NodeTerms | null,
): Explanation['candidates'][number] {
  return {
    nodeId: name === null ? null : candidate.nodeId,
    name,
    accelerator: candidate.model,
    country: terms?.country ?? null,
    region: terms?.region ?? null,
    connectivity: terms?.connectivity ?? null,
    latencyMs: candidate.latencyMs,
    microUsdPerHour: candidate.microUsdPerHour,
    score: candidate.score,
    parts: candidate.parts,
  };
}

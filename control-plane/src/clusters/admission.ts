/** What a cluster may be: what could never come up is refused while its creator still listens. */
import type { ChangeCluster, TenantId } from '@iocloud/contracts';
import { usdInWords } from '@iocloud/contracts/amounts';
import type { Orders } from '../billing/index.js';
import { resolve } from '../core/matching/index.js';
import type { Machines } from '../inventory/ports.js';
import { Failure, type Transaction } from '../platform/index.js';
import { courseOfEnd, endOf, type Spending } from './ending.js';
import { explainPlacement } from './explain.js';
import { headGroup } from './facts.js';
import { placesOf, wantOf } from './places.js';
import type { ClusterActivity } from './ports.js';
import type { PlacedSpec } from './store.js';

interface Wiring {
  machines: Machines;
  activity: ClusterActivity;
  orders: Orders;
  now(): Date;
}

/** What no machine of the tenant offers is refused at once; what is only taken now is waited for. Throws Failure. */
export async function refuseImpossible(
  tx: Transaction,
  wiring: Wiring,
  tenantId: TenantId,
  spec: PlacedSpec,
): Promise<void> {
  const { requirements, rayVersion } = spec;
  if (spec.workerGroups.some(group => group.name === headGroup)) {
    throw new Failure('bad-request', `body.workerGroups: a group cannot be named ${headGroup}; that is the head's`);
  }
  const offered = new Set((await wiring.machines.available(tx, tenantId)).flatMap(machine => machine.rayVersions));
  if (offered.size > 0 && !offered.has(rayVersion)) {
    const versions = [...offered].sort().join(', ');
    throw new Failure('unsatisfiable', `no machine offers Ray ${rayVersion}; offered are ${versions}`);
  }
  if (!requirements || spec.waitForMachines) return;
  const wants = placesOf(spec).map(wantOf);
  const dryRun = { tenantId, wants, rayVersion, requirements, whose: null, isUrgent: false };
  const explained = await explainPlacement(tx, wiring, dryRun, wiring.now().getTime());
  if (explained.outcome !== 'never') return;
  for (const name of requirements.accelerators ?? []) {
    const { slugs, suggestions } = resolve(name);
    if (slugs.length > 0 || suggestions.length === 0) continue;
    throw new Failure('unsatisfiable', `no accelerator is called ${name}; did you mean ${suggestions.join(', ')}?`);
  }
  const words = 'To wait for one that does: waitForMachines (`iocloud cluster create --wait-for-machines`)';
  throw new Failure('unsatisfiable', `no machine meets the requirements: ${explained.message}. ${words}`);
}

/** A cluster that would be stopped at once is not started. Throws Failure. */
export function refuseOver(spec: PlacedSpec, spending: Spending, now: Date): void {
  const end = endOf(spec, spending, now);
  const stage = courseOfEnd(end, now)?.stage ?? 'on';
  if (end === null || stage === 'on') return;
  const change = end.reason === 'TimeOver' ? '--until or --for' : '--budget';
  const spent = end.reason === 'TimeOver' ? '' : `, $${usdInWords(spending.spentMicroUsd)} of it`;
  throw new Failure(
    'conflict',
    `${spec.name} would be stopped at once: ${end.message}${spent}; \`iocloud cluster update\` changes it with ${change}`,
  );
}

/** The spec as it is wished; what is null is taken back. */
export function changedSpec(spec: PlacedSpec, changes: ChangeCluster): PlacedSpec {
  const { requirements, ...rest } = changes;
  const changed: PlacedSpec = { ...spec, ...rest };
  if (requirements === undefined) return changed;
  const { requirements: _, ...without } = changed;
  return requirements === null ? without : { ...without, requirements };
}

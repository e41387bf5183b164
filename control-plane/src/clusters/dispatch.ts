/** A cluster brought up for a job that finds no room, or why there can be none. */
import { type ClusterSpec, type NodeResources, newId, type Requirements, type TenantId } from '@iocloud/contracts';
import { empty, fleetNodeOf, placeTogether, suitable, suitableIfEmpty, type Want } from '../core/matching/index.js';
import { recordEvent } from '../events/index.js';
import { type Config, type Seal, type Transaction, wake } from '../platform/index.js';
import { explainPlacement } from './explain.js';
import { headGroup, type Offers } from './facts.js';
import { type LoopWiring, step } from './loop.js';
import type { Clusters } from './ports.js';
import { loadOffers, lockPlacement, releaseIdle } from './room.js';
import { insertCluster, leasesOf } from './store.js';
import { newToken } from './token.js';

/** A cluster for a job gets a machine's CPUs up to this number, so that the next jobs find room on it. */
const roomyCpus = 8;

interface Wiring extends LoopWiring {
  config: Pick<Config, 'rayVersion' | 'idleTimeoutSeconds'>;
  seal: Seal;
}

export const provisionForJob =
  (wiring: Wiring): Clusters['provisionForJob'] =>
  async (tx, tenantId, needs, { requirements, preempts = false } = {}) => {
    await lockPlacement(tx);
    const { rayVersion } = wiring.config;
    const sizes = requirements ? [needs] : [needs, { ...needs, cpus: Math.max(roomyCpus, needs.cpus) }];
    const asks = sizes.map(size => ({ wants: [wantFor(size)], rayVersion, requirements }));
    const { offers, isPart } = await loadOffers(tx, wiring, tenantId, asks);
    const whose = preempts ? null : tenantId;
    if (requirements) {
      return provisionAsRequired(tx, wiring, offers, {
        tenantId,
        needs,
        requirements,
        whose,
        isUrgent: preempts,
        isPart,
      });
    }
    const shape = shapeThatFits(needs, rayVersion, offers);
    if (!('refused' in shape)) return provision(tx, wiring, tenantId, shape);

    const emptied = offers.map(offer => ({ ...offer, used: empty }));
    const roomy = shapeThatFits(needs, rayVersion, emptied);
    if ('refused' in roomy) return { refused: roomy.refused, ever: false };
    for (const candidate of [roomy, needs]) {
      const makesRoom = await releaseIdle(tx, wiring.activity, offers, {
        wants: [wantFor(candidate)],
        rayVersion,
        forWhom: 'a job',
        tenantId: whose,
        isUrgent: preempts,
      });
      if (makesRoom) return provision(tx, wiring, tenantId, candidate);
    }
    return { refused: shape.refused, ever: true };
  };

interface Required {
  tenantId: TenantId;
  needs: NodeResources;
  requirements: Requirements;
  /** Whose idle clusters may go for it; null: anybody's. */
  whose: TenantId | null;
  isUrgent: boolean;
  isPart: boolean;
}

/** No roomier than the job needs: what is required may have a price. */
async function provisionAsRequired(
  tx: Transaction,
  wiring: Wiring,
  offers: Offers,
  { tenantId, needs, requirements, whose, isUrgent, isPart }: Required,
): ReturnType<Clusters['provisionForJob']> {
  const need = { wants: [wantFor(needs)], rayVersion: wiring.config.rayVersion, tenantId, isPart };
  const found = suitable(offers, requirements, need);
  if (!('refused' in found)) return provision(tx, wiring, tenantId, needs, requirements);
  const emptied = suitable(
    offers.map(offer => ({ ...offer, used: empty })),
    requirements,
    need,
  );
  if ('refused' in emptied) return { refused: emptied.refused, ever: false };
  const roomier = suitableIfEmpty(offers, requirements, need);
  const makesRoom = await releaseIdle(tx, wiring.activity, roomier, {
    ...need,
    tenantId: whose,
    forWhom: 'a job',
    isUrgent,
  });
  if (makesRoom) return provision(tx, wiring, tenantId, needs, requirements);
  return { refused: found.refused, ever: true };
}

export const explainForJob =
  (wiring: Wiring): Clusters['explainForJob'] =>
  (db, tenantId, needs, requirements, isUrgent = false) => {
    const ask = { tenantId, wants: [wantFor(needs)], rayVersion: wiring.config.rayVersion, requirements };
    const dryRun = { ...ask, whose: isUrgent ? null : tenantId, isUrgent };
    return explainPlacement(db, wiring, dryRun, wiring.now().getTime());
  };

/** What the cluster holds of its machine (that of its head), as a machine of its own, to hold requirements against. */
export const groundsOf =
  (wiring: Pick<LoopWiring, 'machines'>): Clusters['groundsOf'] =>
  async (db, clusterIds) => {
    if (clusterIds.length === 0) return new Map();
    const leases = [...(await leasesOf(db, clusterIds)).entries()];
    const nodeIds = new Set(leases.flatMap(([, rows]) => rows.map(row => row.node_id)));
    const machines = new Map((await wiring.machines.read(db, [...nodeIds])).map(machine => [machine.nodeId, machine]));
    return new Map(
      leases.flatMap(([clusterId, rows]) => {
        const home = rows.find(row => row.role === 'head')?.node_id ?? rows[0]?.node_id;
        const machine = home && machines.get(home);
        if (!machine) return [];
        const here = rows.filter(row => row.node_id === home);
        const indices = new Set(here.flatMap(row => row.spec.deviceIndices));
        const part = {
          ...machine,
          // Its own leases are on it whatever becomes of the machine otherwise.
          schedulable: true,
          cpus: here.reduce((sum, row) => sum + row.cpus, 0),
          devices: machine.devices.filter(({ index }) => indices.has(index)),
        };
        return [[clusterId, fleetNodeOf(part)] as const];
      }),
    );
  };

const wantFor = (needs: NodeResources): Want => ({ key: `${headGroup}/0`, ...needs });

/** The roomiest head that fits somewhere: up to `roomyCpus`, else what a machine has free, at least what is needed. */
function shapeThatFits(needs: NodeResources, rayVersion: string, offers: Offers): NodeResources | { refused: string } {
  const wishes = offers.flatMap(({ cpus, used }) => [
    Math.min(roomyCpus, cpus),
    Math.min(roomyCpus, Math.floor(cpus - used.cpus)),
  ]);
  const sizes = [...new Set([...wishes, 1, 0].map(cpus => Math.max(needs.cpus, cpus)))].sort((a, b) => b - a);
  let refused = 'no machine is online';
  for (const cpus of sizes) {
    const placement = placeTogether([wantFor({ ...needs, cpus })], rayVersion, offers);
    if (!('refused' in placement)) return { ...needs, cpus };
    refused = placement.refused;
  }
  return { refused };
}

async function provision(
  tx: Transaction,
  wiring: Wiring,
  tenantId: TenantId,
  head: NodeResources,
  requirements?: Requirements,
): ReturnType<Clusters['provisionForJob']> {
  const { config, random, seal } = wiring;
  const id = newId('cluster', random);
  const spec: ClusterSpec & { rayVersion: string } = {
    name: `job-${id.slice(3, 11)}`,
    type: 'ray',
    waitForMachines: false,
    budgetMicroUsd: null,
    until: null,
    priority: 'normal',
    preemptible: false,
    rayVersion: config.rayVersion,
    head,
    workerGroups: [],
    idleTimeoutSeconds: Math.round(config.idleTimeoutSeconds),
    ...(requirements ? { requirements } : {}),
  };
  const sealedToken = seal.seal(newToken(random), id);
  await tx.query('SAVEPOINT job_cluster');
  await insertCluster(tx, { id, tenantId, spec, origin: 'job', sealedToken, now: wiring.now() });
  await recordEvent(tx, {
    tenantId,
    subjectKind: 'cluster',
    subject: id,
    reason: 'ClusterCreated',
    message: `${spec.name} is brought up for a job that found no room: ${head.cpus} CPUs, ${head.gpus} accelerators`,
  });
  // Placed at once, so that the room just found is taken when this transaction commits.
  const refused = (await step(tx, wiring, id))?.plan.refused;
  if (refused?.isForMoney) {
    // The job goes on waiting in the queue, which says why, and no cluster waits beside it.
    await tx.query('ROLLBACK TO SAVEPOINT job_cluster');
    return { refused: refused.message, ever: true, isUnpaid: true };
  }
  await tx.query('RELEASE SAVEPOINT job_cluster');
  await wake(tx, 'cluster', id);
  return { clusterId: id };
}

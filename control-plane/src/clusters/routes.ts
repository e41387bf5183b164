import { api, type ClusterSpec, newId, type WorkerGroup } from '@iocloud/contracts';
import { once } from '../accounts/index.js';
import type { Orders } from '../billing/index.js';
import { recordEvent } from '../events/index.js';
import type { Machines } from '../inventory/index.js';
import {
  type Caller,
  type Config,
  type Database,
  Failure,
  type Http,
  type Seal,
  type Transaction,
  wake,
} from '../platform/index.js';
import { changedSpec, refuseImpossible, refuseOver } from './admission.js';
import { explainPlacement } from './explain.js';
import { placesOf, wantOf } from './places.js';
import type { ClusterActivity } from './ports.js';
import { scaledGroup } from './scale.js';
import * as store from './store.js';
import { newToken } from './token.js';

interface Wiring {
  config: Pick<Config, 'rayVersion'>;
  database: Database;
  machines: Machines;
  activity: ClusterActivity;
  orders: Orders;
  seal: Seal;
  random(n: number): Uint8Array;
  now(): Date;
}

export function clusterRoutes(http: Http, wiring: Wiring): void {
  const { database, config, random, seal } = wiring;

  http.handle(api.createCluster, async ({ caller, body, idempotency }) =>
    database.transaction(tx =>
      once(tx, caller, idempotency, async () => {
        const spec = { ...body, rayVersion: body.rayVersion ?? config.rayVersion };
        await refuseImpossible(tx, wiring, caller.tenantId, spec);
        refuseOver(spec, store.nothingSpent, wiring.now());
        const id = newId('cluster', random);
        const sealedToken = seal.seal(newToken(random), id);
        const { tenantId } = caller;
        const row = await store.insertCluster(tx, {
          id,
          tenantId,
          spec,
          origin: 'user',
          sealedToken,
          now: wiring.now(),
        });
        await tell(tx, caller, row, 'ClusterCreated', `created ${spec.name}: ${inWords(spec)}`);
        await wake(tx, 'cluster', id);
        return store.toCluster(tx, row);
      }),
    ),
  );

  http.handle(api.explainCluster, ({ caller, body }) => {
    const spec = { ...body, rayVersion: body.rayVersion ?? config.rayVersion };
    const { tenantId } = caller;
    const { rayVersion, requirements = {} } = spec;
    const wants = placesOf(spec).map(wantOf);
    const dryRun = { tenantId, wants, rayVersion, requirements, whose: null, isUrgent: spec.priority === 'urgent' };
    return explainPlacement(database, wiring, dryRun, wiring.now().getTime());
  });

  http.handle(api.listClusters, async ({ caller, query }) => {
    const rows = await store.listClusters(database, caller.tenantId, {
      after: query.after,
      limit: query.limit,
      deleted: query.deleted,
    });
    const items = await store.toClusters(database, rows);
    return { items, next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null };
  });

  http.handle(api.getCluster, async ({ caller, params }) =>
    store.toCluster(database, await store.getCluster(database, caller.tenantId, params.clusterId)),
  );

  http.handle(api.changeCluster, async ({ caller, params, body }) =>
    database.transaction(async tx => {
      const row = await store.lockCluster(tx, caller.tenantId, params.clusterId);
      refuseDeleted(row);
      refuseCell(row);
      const spec = changedSpec(row.spec, body);
      if (body.requirements !== undefined) {
        const leases = (await store.leasesOf(tx, [row.id])).get(row.id) ?? [];
        if (leases.length > 0) {
          const words = 'requirements can be changed only while it waits for a machine, or is stopped';
          throw new Failure('conflict', `${row.name} stands on a machine: ${words}`);
        }
        await refuseImpossible(tx, wiring, caller.tenantId, spec);
      }
      const changed = await store.setWish(tx, row.id, { desired: row.desired, spec });
      await tell(tx, caller, row, 'ClusterChanged', `changed ${Object.keys(body).join(', ')} of ${row.name}`);
      await wake(tx, 'cluster', row.id);
      return store.toCluster(tx, changed);
    }),
  );

  http.handle(api.scaleCluster, async ({ caller, params, body, idempotency }) =>
    database.transaction(tx =>
      once(tx, caller, idempotency, async () => {
        const row = await store.lockCluster(tx, caller.tenantId, params.clusterId);
        refuseDeleted(row);
        refuseCell(row);
        const group = row.spec.workerGroups.find(candidate => candidate.name === body.group);
        if (!group) {
          const names = row.spec.workerGroups.map(candidate => candidate.name).join(', ') || '(none)';
          throw new Failure('bad-request', `${row.name} has no worker group ${body.group}; it has ${names}`);
        }
        const scaled = scaledGroup(group, body);
        if (scaled === null) return store.toCluster(tx, row);
        const workerGroups = row.spec.workerGroups.map(candidate => (candidate === group ? scaled : candidate));
        const spec = { ...row.spec, workerGroups };
        const changed = await store.setWish(tx, row.id, { desired: row.desired, spec });
        const words = `scaled group ${group.name} of ${row.name} from ${countInWords(group)} to ${countInWords(scaled)} workers`;
        await tell(tx, caller, row, 'ClusterScaled', words);
        await wake(tx, 'cluster', row.id);
        return store.toCluster(tx, changed);
      }),
    ),
  );

  const wish = (desired: store.ClusterRow['desired'], reason: string, verb: string) => {
    return async ({
      caller,
      params,
      idempotency,
    }: {
      caller: Caller;
      params: { clusterId: store.ClusterRow['id'] };
      idempotency: Parameters<typeof once>[2];
    }) =>
      database.transaction(tx =>
        once(tx, caller, idempotency, async () => {
          const row = await store.lockCluster(tx, caller.tenantId, params.clusterId);
          if (row.desired === desired) return store.toCluster(tx, row);
          refuseDeleted(row);
          if (desired === 'running') {
            const now = wiring.now();
            refuseOver(row.spec, (await store.spendingOf(tx, [row.id], now))(row.id), now);
          }
          const changed = await store.setWish(tx, row.id, { desired, spec: row.spec });
          await tell(tx, caller, row, reason, `${verb} ${row.name}`);
          await wake(tx, 'cluster', row.id);
          return store.toCluster(tx, changed);
        }),
      );
  };
  http.handle(api.stopCluster, wish('stopped', 'StopAsked', 'asked to stop'));
  http.handle(api.startCluster, wish('running', 'StartAsked', 'asked to start'));
  http.handle(api.deleteCluster, wish('deleted', 'DeleteAsked', 'asked to delete'));
}

function refuseDeleted(row: store.ClusterRow): void {
  if (row.desired === 'deleted') throw new Failure('conflict', `${row.name} is ${row.phase}; create a new cluster`);
}

/** Cells are alike: what one is, its Mega-Ray cluster says. */
function refuseCell({ name, mega_name: mega }: store.ClusterRow): void {
  if (mega !== null)
    throw new Failure('conflict', `${name} is a cell of ${mega}: \`iocloud mega-cluster update ${mega}\` changes all`);
}

const countInWords = ({ count, minCount = 0, maxCount }: WorkerGroup): string =>
  maxCount === undefined ? `${count}` : `${count} (between ${minCount} and ${maxCount})`;

function inWords(spec: ClusterSpec): string {
  const size = (needs: { cpus: number; gpus: number }) =>
    `${needs.cpus} CPUs${needs.gpus > 0 ? `, ${needs.gpus} accelerators` : ''}`;
  const groups = spec.workerGroups.map(
    group => `${countInWords(group)} workers in ${group.name} (${size(group)} each)`,
  );
  return [`a head (${size(spec.head)})`, ...groups].join(', ');
}

async function tell(
  tx: Transaction,
  caller: Caller,
  row: store.ClusterRow,
  reason: string,
  words: string,
): Promise<void> {
  await recordEvent(tx, {
    tenantId: row.tenant_id,
    subjectKind: 'cluster',
    subject: row.id,
    reason,
    message: `${caller.userId} ${words}`,
  });
}

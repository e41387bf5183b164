/** Providers over HTTP, each tenant's its own. */
import { type AddProvider, api, newId } from '@iocloud/contracts';
import { ApiError, KubernetesClient } from '@iocloud/ray-operator';
import { recordEvent } from '../events/index.js';
import { attendedMachines, type LeaseBook, removeAttended } from '../inventory/index.js';
import {
  type Caller,
  type Database,
  type Destinations,
  Failure,
  type Http,
  RefusedAddress,
  type Seal,
  type Transaction,
} from '../platform/index.js';
import { connectTo } from './kubernetes/access.js';
import { type Checked, check } from './kubernetes/check.js';
import { getProvider, insertProvider, listProviders, markRemoved, type ProviderRow, toProviders } from './store.js';

export interface RouteWiring {
  database: Database;
  seal: Seal;
  destinations: Destinations;
  leaseBook: LeaseBook;
  random(n: number): Uint8Array;
  /** Something was added or removed. */
  changed(): void;
}

export function providerRoutes(http: Http, wiring: RouteWiring): void {
  const { database, seal, leaseBook, random } = wiring;
  const shown = async (row: ProviderRow) => {
    const [provider] = await toProviders(database, [row]);
    if (!provider) throw new Error('one row makes one provider');
    return provider;
  };

  http.handle(api.listProviders, async ({ caller }) => ({
    items: await toProviders(database, await listProviders(database, caller.tenantId)),
    next: null,
  }));

  http.handle(api.getProvider, async ({ caller, params }) =>
    shown(await getProvider(database, caller.tenantId, params.providerId)),
  );

  http.handle(api.addProvider, async ({ caller, body }) => {
    // The account of the control plane itself is not for tenants to use.
    if (body.access === undefined && !caller.permissions.has('tenants:write')) {
      throw new Failure('permission-denied', 'only operators add the cluster that the control plane itself runs in');
    }
    const { version } = await demand(wiring, body);
    const id = newId('provider', random);
    const row = await database.transaction(async tx => {
      const given = { ...body, id, tenantId: caller.tenantId, kubernetesVersion: version };
      const inserted = await insertProvider(tx, given, seal);
      await tell(tx, caller, 'ProviderAdded', `added the Kubernetes cluster ${body.name} (${version})`);
      return inserted;
    });
    wiring.changed();
    return shown(row);
  });

  http.handle(api.removeProvider, async ({ caller, params, query }) => {
    const row = await getProvider(database, caller.tenantId, params.providerId);
    const before = await shown(row);
    await database.transaction(async tx => {
      const machines = (await attendedMachines(tx, row.id)).filter(machine => !machine.isRemoved);
      for (const machine of query.force ? [] : machines) {
        if (await leaseBook.isEmpty(tx, machine.id)) continue;
        throw new Failure(
          'conflict',
          `${machine.name} is in use: delete the clusters that run on it first, or say with force that nothing runs there`,
        );
      }
      const why = query.force ? `${caller.userId} says that nothing runs there any more` : 'its provider was removed';
      await removeAttended(
        tx,
        leaseBook,
        machines.map(({ id }) => id),
        why,
      );
      await markRemoved(tx, row.id);
      await tell(tx, caller, 'ProviderRemoved', `removed the Kubernetes cluster ${row.name}`);
    });
    wiring.changed();
    return before;
  });
}

const tell = (tx: Transaction, { tenantId, userId }: Caller, reason: string, message: string) =>
  recordEvent(tx, { tenantId, subjectKind: 'account', subject: tenantId, reason, message: `${userId} ${message}` });

/** Throws Failure, with a line for each thing that the cluster lacks. */
async function demand({ destinations }: RouteWiring, body: AddProvider): Promise<Checked> {
  try {
    const connection = await connectTo(body.access ?? null, destinations);
    const checked = await check(new KubernetesClient(connection, undefined, 'iocloud-control-plane'), body.namespace);
    if (checked.lacking.length === 0) return checked;
    throw new Failure(
      'bad-request',
      `the Kubernetes cluster lacks ${checked.lacking.length} of what is needed; \`iocloud provider manifest kubernetes\` prints the rights`,
      checked.lacking.map(message => ({ path: 'body.access', message })),
    );
  } catch (error) {
    if (error instanceof RefusedAddress) throw new Failure('bad-request', `body.access.server: ${error.message}`);
    if (error instanceof ApiError)
      throw new Failure('bad-request', `the API server does not serve us: ${error.message}`);
    if (error instanceof Failure) throw error;
    // Such as a certificate that is none.
    throw new Failure('bad-request', `body.access: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** /v1/mega-clusters, and the way of a browser to the index of dashboards. */
import { isDeepStrictEqual } from 'node:util';
import { api, type ChangeMegaCluster, type MegaCluster, newId } from '@iocloud/contracts';
import { once } from '../accounts/index.js';
import { type LoginWiring, loginLink, openSession } from '../clusters/index.js';
import type { Cells } from '../clusters/ports.js';
import { recordEvent } from '../events/index.js';
import {
  type Caller,
  type Config,
  type Database,
  Failure,
  type Http,
  type Transaction,
  wake,
} from '../platform/index.js';
import { cellSpec } from './cell-spec.js';
import { step } from './loop.js';
import * as store from './store.js';
import { indexPath, toMega, toMegas } from './view.js';

interface Wiring extends LoginWiring {
  config: Pick<Config, 'rayVersion' | 'publicUrl'>;
  database: Database;
  cells: Cells;
}

export function megaRoutes(http: Http, wiring: Wiring): void {
  const { config, database, cells, random } = wiring;

  http.handle(api.createMegaCluster, async ({ caller, body, idempotency }) =>
    database.transaction(tx =>
      once(tx, caller, idempotency, async () => {
        const { rayVersion = config.rayVersion } = body.cell;
        const spec = { ...body, cell: { ...body.cell, rayVersion } };
        await cells.check(tx, caller.tenantId, cellSpec(spec, 0));
        const { tenantId } = caller;
        const row = await store.insertMega(tx, { id: newId('megaCluster', random), tenantId, spec, now: wiring.now() });
        await tell(tx, caller, row, 'MegaClusterCreated', `created ${row.name} of ${spec.cells} cells`);
        return brought(tx, caller, row);
      }),
    ),
  );

  http.handle(api.listMegaClusters, async ({ caller, query }) => {
    const page = { limit: query.limit, after: query.after ?? null };
    const items = await toMegas(database, cells, await store.listMegas(database, caller.tenantId, page));
    return { items, next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null };
  });

  http.handle(api.getMegaCluster, async ({ caller, params }) =>
    toMega(database, cells, await store.getMega(database, caller.tenantId, params.megaCluster)),
  );

  http.handle(api.changeMegaCluster, async ({ caller, params, body }) =>
    database.transaction(async tx => {
      const row = await store.lockMega(tx, caller.tenantId, params.megaCluster);
      if (row.desired === 'deleted') throw new Failure('conflict', `${row.name} is ${row.phase}; create a new one`);
      const spec = changed(row.spec, body);
      const revised = !isDeepStrictEqual(JSON.parse(JSON.stringify(spec.cell)), row.spec.cell);
      if (revised) await cells.check(tx, caller.tenantId, cellSpec(spec, 0));
      await store.setMegaWish(tx, row.id, { desired: row.desired, spec, revised });
      await tell(tx, caller, row, 'MegaClusterChanged', `changed ${Object.keys(body).join(', ')} of ${row.name}`);
      return brought(tx, caller, row);
    }),
  );

  http.handle(api.deleteMegaCluster, async ({ caller, params, idempotency }) =>
    database.transaction(tx =>
      once(tx, caller, idempotency, async () => {
        const row = await store.lockMega(tx, caller.tenantId, params.megaCluster);
        if (row.desired === 'deleted') return toMega(tx, cells, row);
        await store.setMegaWish(tx, row.id, { desired: 'deleted', spec: row.spec, revised: false });
        await tell(tx, caller, row, 'DeleteAsked', `asked to delete ${row.name}`);
        return brought(tx, caller, row);
      }),
    ),
  );

  /** The first look is part of the change: what was just asked for can be named by a job at once. */
  async function brought(tx: Transaction, caller: Caller, { id }: store.MegaRow): Promise<MegaCluster> {
    await step(tx, wiring, id);
    await wake(tx, 'mega', id);
    return toMega(tx, cells, await store.getMega(tx, caller.tenantId, id));
  }

  loginRoutes(http, wiring);
}

function loginRoutes(http: Http, wiring: Wiring): void {
  http.handle(api.createMegaDashboardLink, async ({ caller, params, request }) => {
    const { id } = await store.getMega(wiring.database, caller.tenantId, params.megaCluster);
    return loginLink(wiring, caller, request, { id, path: indexPath(id) });
  });

  http.handle(api.megaLogin, async ({ params, query, response }) => {
    const { megaClusterId: id } = params;
    await openSession(wiring, response, { id, link: query.link, location: indexPath(id) });
    return undefined;
  });
}

/** What is not named stays; a cell's spec comes as a whole. */
function changed(spec: store.StoredSpec, { cell, ...rest }: ChangeMegaCluster): store.StoredSpec {
  const kept = { ...spec, ...rest };
  return cell === undefined
    ? kept
    : { ...kept, cell: { ...cell, rayVersion: cell.rayVersion ?? spec.cell.rayVersion } };
}

const tell = (tx: Transaction, caller: Caller, row: store.MegaRow, reason: string, words: string): Promise<void> =>
  recordEvent(tx, {
    tenantId: row.tenant_id,
    subjectKind: 'cluster',
    subject: row.id,
    reason,
    message: `${caller.userId} ${words}`,
  });

/** Joins the parts of the domain and gives its loop to the wake-ups. */
import type { MegaCluster, MegaClusterId, TenantId } from '@iocloud/contracts';
import type { Cells } from '../clusters/ports.js';
import type { Config, Database, Http, Queryable, Signals, Signer, TopicHandler } from '../platform/index.js';
import { step } from './loop.js';
import { megaRoutes } from './routes.js';
import { findMega } from './store.js';
import { toMega } from './view.js';

export interface MegaWiring {
  config: Pick<Config, 'rayVersion' | 'publicUrl'>;
  database: Database;
  cells: Cells;
  signals: Pick<Signals, 'send'>;
  signer: Signer;
  random(n: number): Uint8Array;
  now(): Date;
}

export interface MegaDomain {
  routes(http: Http): void;
  /** Topic 'mega': brings one Mega-Ray cluster towards what it shall be. */
  mega: TopicHandler;
  /** A live one of the tenant, by id or name: what jobs may name instead of a cluster. */
  named(db: Queryable, tenantId: TenantId, reference: string): Promise<{ id: MegaClusterId; name: string } | null>;
  /** As the API shows it; null: the tenant has none of this id. */
  show(tenantId: TenantId, id: MegaClusterId): Promise<MegaCluster | null>;
}

/** What no change of a row tells of, such as a machine that has gone silent, is seen after so long. */
const allEveryMs = 5_000;

export function createMega(wiring: MegaWiring): MegaDomain {
  const { database, signals, cells, now } = wiring;
  let allReadAtMs = Number.NEGATIVE_INFINITY;
  return {
    routes: http => megaRoutes(http, wiring),
    mega: {
      handle: async key => {
        const tenantId = await database.transaction(tx => step(tx, wiring, key as MegaClusterId));
        if (tenantId) signals.send(`events:${tenantId}`);
      },
      sweep: async () => {
        const isDue = now().getTime() - allReadAtMs >= allEveryMs;
        if (isDue) allReadAtMs = now().getTime();
        const { rows } = await database.query<{ id: string }>(
          `SELECT id FROM mega_clusters WHERE phase <> 'deleted' AND (
             $2 OR phase <> 'ready' OR observed_generation < generation OR look_at <= $1
             OR EXISTS (SELECT 1 FROM mega_cells c WHERE c.mega_id = mega_clusters.id AND c.gone_at IS NULL
               AND c.leaving IS NOT NULL))`,
          [now(), isDue],
        );
        return rows.map(row => row.id);
      },
    },
    named: async (db, tenantId, reference) => {
      const row = await findMega(db, tenantId, reference);
      return row && row.phase !== 'deleted' ? { id: row.id, name: row.name } : null;
    },
    show: async (tenantId, id) => {
      const row = await findMega(database, tenantId, id);
      return row ? toMega(database, cells, row) : null;
    },
  };
}

/** Grafana dashboards as code. `npm run generate -w dashboards` writes them to `grafana/`, from where Grafana takes them. */
import { billing } from './billing.js';
import { type Board, dashboard } from './board.js';
import { capacity } from './capacity.js';
import { cluster } from './cluster.js';
import { clusters } from './clusters.js';
import { fleet } from './fleet.js';
import { gateway } from './gateway.js';
import { internals } from './internals.js';
import { jobs } from './jobs.js';
import { nodes } from './nodes.js';
import { operator } from './operator.js';
import { queue } from './queue.js';
import { slos } from './slos.js';
import { supplier } from './supplier.js';

export { filledIn, type PanelQuery, panelQueries, variableSelectors } from './queries.js';
export { readRules, rulesDirectory, shortened } from './rules.js';

export const boards: readonly Board[] = [
  fleet,
  clusters,
  cluster,
  jobs,
  queue,
  nodes,
  supplier,
  gateway,
  billing,
  capacity,
  slos,
  internals,
  operator,
];

export const boardFile = ({ uid }: Board): string => `${uid}.json`;

export const boardJson = (board: Board): string => `${JSON.stringify(dashboard(board), null, 2)}\n`;

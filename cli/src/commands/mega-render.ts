/** Mega-Ray clusters in words and tables. Pure. */
import type { MegaCluster } from '@iocloud/contracts';
import { usdInWords } from '@iocloud/contracts/amounts';
import { age, bytes, facts, table } from '../output.js';
import { resourcesInWords } from './quantities.js';

export function megaTable(clusters: readonly MegaCluster[], nowMs: number): string {
  if (clusters.length === 0) {
    return 'no Mega-Ray clusters yet. Make one:\n  iocloud mega-cluster create --name first --cells 2 --head-cpus 2 --wait';
  }
  return table(
    ['name', 'phase', 'cells', 'jobs', 'age', 'id'],
    clusters.map(mega => [
      mega.spec.name,
      mega.phase,
      `${mega.readyCells}/${mega.spec.cells}`,
      String(mega.cells.reduce((sum, { jobs }) => sum + jobs, 0)),
      age(mega.createdAt, nowMs),
      mega.id,
    ]),
  );
}

export function megaDetails(mega: MegaCluster, address: string, nowMs: number): string {
  const { spec } = mega;
  const { spread } = spec;
  const parts = [
    facts([
      ['name', spec.name],
      ['id', mega.id],
      ['phase', `${mega.phase}, wanted ${mega.desired}`],
      ['cells', `${mega.readyCells} of ${spec.cells} ready`],
      ['spread', spread === null ? 'over nothing' : `by ${spread.by} (${spread.mode})`],
      ['an update', `takes down ${spec.maxUnavailable} at once, each within ${spec.drainSeconds} s`],
      ['ray', spec.cell.rayVersion],
      ['head of a cell', resourcesInWords(spec.cell.head, bytes)],
      ...spec.cell.workerGroups.map(
        group => [`workers ${group.name}`, `${group.count} of ${resourcesInWords(group, bytes)}`] as const,
      ),
      ['costs', `$${usdInWords(mega.microUsdPerHour)} an hour, $${usdInWords(mega.spentMicroUsd)} so far`],
      ['made', `${age(mega.createdAt, nowMs)} ago`],
    ]),
  ];
  if (mega.cells.length > 0) {
    parts.push(
      table(
        ['cell', 'health', 'jobs', 'up to date', 'id', 'why'],
        mega.cells.map(cell => [
          cell.name,
          cell.leaving === null ? cell.health : 'leaving',
          String(cell.jobs),
          cell.upToDate ? 'yes' : 'no',
          cell.clusterId,
          cell.leaving ?? cell.message,
        ]),
      ),
    );
  }
  if (mega.conditions.length > 0) {
    parts.push(
      table(
        ['condition', 'status', 'since', 'why'],
        mega.conditions.map(({ type, status, reason, message, lastTransitionTime }) => [
          type,
          status,
          age(lastTransitionTime, nowMs),
          `${reason}: ${message}`,
        ]),
      ),
    );
  }
  parts.push(
    `run jobs on it:      RAY_API_SERVER_ADDRESS=${address}${mega.jobsPath} ray job submit --working-dir . -- python main.py\n` +
      `see its dashboards:  iocloud mega-cluster dashboard ${spec.name}`,
  );
  return parts.join('\n\n');
}

/** A month that is not closed yet: as its invoice would be now. */
import type { InvoiceKind, Issuer, LeaseId, TenantId } from '@iocloud/contracts';
import { beginOf, type Line, type Month, monthOf, totalsOf } from '../core/invoicing/index.js';
import { lastIdBefore } from '../ledger/index.js';
import { type Database, Failure, type Queryable, type Transaction } from '../platform/index.js';
import { costOf, type EntryReference, type InvoiceDocument, type PlacedLine } from './document.js';
import { gather, type Wanted } from './gather.js';
import type { InvoicePorts } from './ports.js';
import { firstOpenMonth } from './store.js';

export async function openDocument(
  database: Database,
  ports: InvoicePorts,
  issuer: Issuer,
  { tenantId, kind, month }: { tenantId: TenantId; kind: InvoiceKind; month: Month },
  now: Date,
): Promise<InvoiceDocument> {
  if (month > monthOf(now.getTime())) throw new Failure('not-found', `${month} has not begun`);
  const wanted = await wantedOf(database, tenantId, kind, month);
  if (wanted.firstOpen !== null && month < wanted.firstOpen) {
    throw new Failure('not-found', `no ${kind} for ${month}: the month was closed, and there was nothing to charge`);
  }
  const tenantName = await ports.tenantName(database, tenantId);
  const lines = await ofOneMoment(database, async tx =>
    placed(tx, ports, kind, await gather(tx, wanted, async () => undefined)),
  );
  return {
    head: {
      id: null,
      kind,
      number: null,
      tenantId,
      tenantName,
      month,
      closedAt: null,
      issuer,
      lines: lines.length,
      costMicroUsd: costOf(lines),
      totals: totalsOf(lines),
    },
    lines,
    entries: async line => {
      const references: EntryReference[] = [];
      await ofOneMoment(database, tx =>
        gather(tx, wanted, async entries => {
          references.push(...entries.filter(entry => entry.line === line));
        }),
      );
      return references;
    },
  };
}

const ofOneMoment = <T>(database: Database, work: (tx: Transaction) => Promise<T>): Promise<T> =>
  database.transaction(async tx => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    return work(tx);
  });

async function wantedOf(db: Queryable, tenantId: TenantId, kind: InvoiceKind, month: Month): Promise<Wanted> {
  const firstOpen = await firstOpenMonth(db);
  const afterId = firstOpen === null ? 0 : await lastIdBefore(db, new Date(beginOf(firstOpen)));
  return { tenantId, kind, month, firstOpen, afterId };
}

export async function placed(
  db: Queryable,
  ports: InvoicePorts,
  kind: InvoiceKind,
  lines: readonly Line[],
): Promise<PlacedLine[]> {
  const ids = new Set(lines.flatMap(({ leaseId }): LeaseId[] => (leaseId === null ? [] : [leaseId])));
  const leases = await ports.leases(db, [...ids]);
  return lines.map(line => {
    const lease = line.leaseId === null ? undefined : leases.get(line.leaseId);
    const isRenter = kind === 'invoice';
    return {
      ...line,
      clusterId: (isRenter ? lease?.clusterId : null) ?? null,
      clusterName: (isRenter ? lease?.clusterName : null) ?? null,
      nodeId: lease?.nodeId ?? null,
      // The names of machines are their owners'.
      nodeName: (isRenter ? null : lease?.nodeName) ?? null,
      model: lease?.model ?? null,
    };
  });
}

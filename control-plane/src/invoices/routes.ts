/** Invoices over HTTP: a tenant reads its own, an operator those of all. */

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { api, type InvoiceKind, type Issuer, type TenantId } from '@iocloud/contracts';
import { listTransactionsOf } from '../ledger/index.js';
import { type Caller, type Database, Failure, type Http } from '../platform/index.js';
import { checkInvoices } from './check.js';
import { csvOf } from './csv.js';
import { documentInWords, headInWords, type InvoiceDocument, lineInWords, numberInWords } from './document.js';
import { openDocument } from './open-document.js';
import { pdfOf } from './pdf.js';
import type { InvoicePorts } from './ports.js';
import { closedDocument, headById, headOfMonth, listHeads } from './store.js';
import { usageLineIdsOf } from './usage.js';
import { explain } from './why.js';

export interface InvoiceWiring {
  database: Database;
  ports: InvoicePorts;
  issuer: Issuer;
  now(): Date;
}

const seesAll = (caller: Caller) => caller.permissions.has('ledger:read');
const ofOthers = () =>
  new Failure('permission-denied', 'invoices of others take the permission ledger:read, which your key lacks');

export function invoiceRoutes(http: Http, wiring: InvoiceWiring): void {
  listingRoutes(http, wiring);
  documentRoutes(http, wiring);
  whyRoutes(http, wiring);
}

function listingRoutes(http: Http, { database }: InvoiceWiring): void {
  http.handle(api.listInvoices, async ({ caller, query }) => {
    const { tenantId = caller.tenantId, all, kind, after, limit } = query;
    if (!seesAll(caller) && (all || tenantId !== caller.tenantId)) throw ofOthers();
    if (all && query.tenantId !== undefined) throw new Failure('bad-request', 'query: either tenantId or all');
    const heads = await listHeads(database, all ? null : tenantId, { kind, after, limit });
    return { items: heads.map(headInWords), next: heads.length === limit ? (heads.at(-1)?.id ?? null) : null };
  });

  // Bound before what has an id in its place.
  http.handle(api.checkInvoices, async () => checkInvoices(database));
}

function documentRoutes(http: Http, wiring: InvoiceWiring): void {
  const read = reader(wiring);
  http.handle(api.getInvoice, async ({ caller, params, query }) =>
    documentInWords(await read(caller, params.invoiceId, query.tenantId)),
  );

  http.handle(api.listInvoiceLines, async ({ caller, params, query }) => {
    const { lines } = await read(caller, params.invoiceId, query.tenantId);
    const { limit, clusterId } = query;
    const wanted = lines.filter(
      line => line.n > Number(query.after ?? 0) && [undefined, line.clusterId].includes(clusterId),
    );
    const items = wanted.slice(0, limit).map(lineInWords);
    return { items, next: wanted.length > limit ? String(items.at(-1)?.n) : null };
  });

  http.handle(api.getInvoiceCsv, async ({ caller, params, query, response }) => {
    const document = await read(caller, params.invoiceId, query.tenantId);
    response
      .status(200)
      .type('text/csv; charset=utf-8; header=present')
      .attachment(`${fileName(document)}.csv`);
    await pipeline(Readable.from(csvOf(document)), response);
    return undefined;
  });

  http.handle(api.getInvoicePdf, async ({ caller, params, query, response }) => {
    const document = await read(caller, params.invoiceId, query.tenantId);
    const pdf = await pdfOf(document);
    response
      .status(200)
      .type('application/pdf')
      .attachment(`${fileName(document)}.pdf`);
    await pipeline(pdf, response);
    return undefined;
  });
}

const fileName = ({ head: { kind, number, tenantId, month } }: InvoiceDocument) =>
  `${kind}-${number === null ? month : numberInWords(tenantId, kind, number)}`;

/** By id, or by month: its invoice if there is one, else as it stands. Throws Failure 'not-found', also for one of others. */
function reader({ database, ports, issuer, now }: InvoiceWiring) {
  return async (caller: Caller, reference: string, wantedTenant: TenantId | undefined): Promise<InvoiceDocument> => {
    if (wantedTenant !== undefined && wantedTenant !== caller.tenantId && !seesAll(caller)) throw ofOthers();
    if (reference.startsWith('in_')) {
      const head = await headById(database, seesAll(caller) ? null : caller.tenantId, reference);
      if (!head) throw new Failure('not-found', `no invoice ${reference}`);
      return closedDocument(database, head);
    }
    const tenantId = wantedTenant ?? caller.tenantId;
    const [, kind, month = ''] = /^(\w+)-(\d{4}-\d\d)$/.exec(reference) ?? [];
    const wanted = { tenantId, kind: kind as InvoiceKind, month };
    const head = await headOfMonth(database, tenantId, wanted.kind, month);
    return head ? closedDocument(database, head) : openDocument(database, ports, issuer, wanted, now());
  };
}

function whyRoutes(http: Http, wiring: InvoiceWiring): void {
  const { database, ports, now } = wiring;
  const read = reader(wiring);
  http.handle(api.explainInvoiceLine, async ({ caller, params, query }) => {
    const document = await read(caller, params.invoiceId, query.tenantId);
    const line = document.lines.find(({ n }) => n === params.line);
    if (!line) throw new Failure('not-found', `no line ${params.line}`);
    const from = Number(query.after ?? 0);
    const entries = (await document.entries(line.n)).slice(from, from + query.limit);
    const usageLineIds = entries.flatMap(({ usageLineId }) => usageLineId ?? []);
    const transactionIds = entries.flatMap(({ transactionId }) => transactionId ?? []);
    const { kind, tenantId } = document.head;
    const asked = { viewer: tenantId, isRenter: kind === 'invoice', usageLineIds, transactionIds };
    const found = await explain(database, ports, asked, now());
    return {
      line: lineInWords(line),
      ...found,
      next: entries.length === query.limit ? String(from + query.limit) : null,
    };
  });

  http.handle(api.explainTransaction, async ({ caller, params, query }) => {
    const viewer = seesAll(caller) ? null : caller.tenantId;
    const [transaction] = await listTransactionsOf(database, viewer, [params.transactionId]);
    if (!transaction) throw new Failure('not-found', `no transaction ${params.transactionId}`);
    const ids = await usageLineIdsOf(database, transaction.reverses ?? transaction.id);
    const from = Number(query.after ?? 0);
    const usageLineIds = ids.slice(from, from + query.limit);
    const asked = { viewer, isRenter: true, usageLineIds, transactionIds: [transaction.id] };
    const found = await explain(database, ports, asked, now());
    return { ...found, next: usageLineIds.length === query.limit ? String(from + query.limit) : null };
  });
}

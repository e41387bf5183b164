/** The lines of an invoice as CSV, a record for each. */
import { csvRecord } from '../core/invoicing/index.js';
import { headInWords, type InvoiceDocument, lineInWords } from './document.js';

const columns = [
  ...['invoice', 'month', 'line', 'kind', 'day', 'cluster', 'clusterName', 'lease', 'machine', 'model'],
  ...['gpuSecondsHeld', 'gpuSecondsBilled', 'pricePerHourUsd', 'costUsd', 'asset', 'net', 'fees', 'total', 'note'],
];

/** Piece by piece: an invoice may have many lines. */
export function* csvOf({ head, lines }: InvoiceDocument): Generator<string> {
  const { number, reference, month } = headInWords(head);
  yield csvRecord(columns);
  for (const each of lines) {
    const line = lineInWords(each);
    yield csvRecord([
      number ?? reference,
      month,
      String(line.n),
      line.kind,
      line.day,
      line.clusterId ?? '',
      line.clusterName ?? '',
      line.leaseId ?? '',
      line.nodeId ?? '',
      line.model ?? '',
      line.gpuSecondsHeld,
      line.gpuSecondsBilled,
      line.pricePerHourUsd ?? '',
      line.costUsd,
      line.asset ?? '',
      line.net,
      line.fees,
      line.total,
      line.note,
    ]);
  }
}

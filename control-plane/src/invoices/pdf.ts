/** An invoice as PDF. The library is loaded when the first one is asked for; the same invoice gives the same bytes. */
import type { InvoiceLine, InvoiceWithSubtotals } from '@iocloud/contracts';
import { documentInWords, type InvoiceDocument, lineInWords } from './document.js';

/** Longer ones have sums by cluster or machine, and say that their lines are in the CSV. */
const mostLines = 2_000;
const margin = 40;
const lineHeight = 12;

/** The built-in fonts of PDF have the letters of Windows-1252; nothing has to be embedded. */
const printable = (text: string) => text.replace(/[^\x20-\x7e\xa0-\xff–…€]/g, '?');

type Pdf = PDFKit.PDFDocument;
interface Column {
  title: string;
  width: number;
  right?: boolean;
}

export async function pdfOf(document: InvoiceDocument): Promise<Pdf> {
  const { default: PDFDocument } = await import('pdfkit');
  const invoice = documentInWords(document);
  const name = `${invoice.kind} ${invoice.number ?? `${invoice.month} (not closed)`}`;
  const pdf = new PDFDocument({
    size: 'A4',
    layout: 'landscape',
    margin,
    info: {
      Title: printable(name),
      Author: printable(invoice.issuer.name),
      // Else the time of printing: two copies would differ.
      CreationDate: new Date(invoice.closedAt ?? invoice.from),
    },
  });
  head(pdf, invoice, name);
  sums(pdf, invoice);
  if (document.lines.length <= mostLines) details(pdf, invoice, document.lines.map(lineInWords));
  else text(pdf, `Its ${document.lines.length} lines are in the CSV of this ${invoice.kind}.`);
  if (invoice.issuer.note) text(pdf.moveDown(), invoice.issuer.note);
  pdf.end();
  return pdf;
}

const text = (pdf: Pdf, words: string) => pdf.fontSize(9).font('Helvetica').text(printable(words), margin);

function head(pdf: Pdf, invoice: InvoiceWithSubtotals, name: string): void {
  const { issuer } = invoice;
  pdf.font('Helvetica-Bold').fontSize(16).text(printable(name), margin);
  pdf.moveDown(0.5);
  for (const line of [issuer.name, ...issuer.address, issuer.taxId, issuer.contact]) if (line) text(pdf, line);
  pdf.moveDown(0.5);
  text(pdf, `${invoice.kind === 'invoice' ? 'To' : 'For'} ${invoice.tenantName} (${invoice.tenantId})`);
  text(pdf, `Period ${invoice.from} to ${invoice.until} (UTC)`);
  text(pdf, invoice.closedAt === null ? 'Not closed: as it stands now' : `Closed ${invoice.closedAt}`);
  pdf.moveDown();
}

function sums(pdf: Pdf, invoice: InvoiceWithSubtotals): void {
  const subject = invoice.kind === 'invoice' ? 'cluster' : 'machine';
  const columns: Column[] = [
    { title: subject, width: 260 },
    { title: 'GPU-seconds held', width: 100, right: true },
    { title: 'billed', width: 100, right: true },
    { title: 'cost USD', width: 90, right: true },
    { title: 'asset', width: 40 },
    { title: 'fees', width: 80, right: true },
    { title: 'total', width: 90, right: true },
  ];
  const rows = invoice.subtotals.map(each => [
    `${each.name} ${each.subject ?? ''}`.trim() || 'other',
    each.gpuSecondsHeld,
    each.gpuSecondsBilled,
    each.costUsd,
    each.asset,
    each.fees,
    each.total,
  ]);
  const totals = invoice.totals.map(each => ['total', '', '', '', each.asset, each.fees, each.total]);
  table(pdf, columns, rows);
  table(pdf, columns, totals, true);
}

function details(pdf: Pdf, { kind }: InvoiceWithSubtotals, lines: readonly InvoiceLine[]): void {
  const columns: Column[] = [
    { title: 'line', width: 30, right: true },
    { title: 'day', width: 55 },
    { title: 'kind', width: 50 },
    { title: kind === 'invoice' ? 'cluster, lease' : 'machine, lease', width: 220 },
    { title: 'GPU-s held', width: 75, right: true },
    { title: 'billed', width: 75, right: true },
    { title: 'USD/h', width: 65, right: true },
    { title: 'cost USD', width: 70, right: true },
    { title: 'fees', width: 55, right: true },
    { title: 'total', width: 67, right: true },
  ];
  const rows = lines.map(line => [
    String(line.n),
    line.day,
    line.kind,
    [kind === 'invoice' ? line.clusterName : line.nodeId, line.leaseId, line.model, line.note]
      .filter(Boolean)
      .join(', '),
    line.gpuSecondsHeld,
    line.gpuSecondsBilled,
    line.pricePerHourUsd ?? '',
    line.costUsd,
    line.fees,
    line.asset === null ? '' : `${line.total} ${line.asset}`,
  ]);
  table(pdf, columns, rows);
}

function table(pdf: Pdf, columns: readonly Column[], rows: readonly (readonly string[])[], isTotal = false): void {
  const row = (cells: readonly string[], bold: boolean) => {
    if (pdf.y + lineHeight > pdf.page.height - margin) pdf.addPage();
    const { y } = pdf;
    let x = margin;
    pdf.font(bold ? 'Helvetica-Bold' : 'Helvetica').fontSize(7);
    cells.forEach((cell, index) => {
      const { width = 0, right = false } = columns[index] ?? {};
      const options = { width: width - 4, height: lineHeight, ellipsis: true, lineBreak: false } as const;
      pdf.text(printable(cell), x, y, { ...options, align: right ? 'right' : 'left' });
      x += width;
    });
    pdf.x = margin;
    pdf.y = y + lineHeight;
  };
  if (!isTotal)
    row(
      columns.map(({ title }) => title),
      true,
    );
  for (const cells of rows) row(cells, isTotal);
  pdf.moveDown();
}

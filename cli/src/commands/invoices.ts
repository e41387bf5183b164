/** `iocloud invoice` of renters and `iocloud statement` of suppliers: the same, of what is paid and of what is earned. */
import { open } from 'node:fs/promises';
import type { InvoiceKind } from '@iocloud/contracts';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { CliError } from './exit.js';
import { invoiceCheckInWords, invoiceInWords, invoiceTable, lineWhyInWords } from './invoices-render.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import { findTenant } from './tenant.js';
import type { Terminal } from './terminal.js';

type Whose = CommonOptions & { tenant?: string };
type Format = 'pdf' | 'csv' | 'json';

const withTenant = (command: Command): Command =>
  command.option('--tenant <tenant>', 'of this tenant, by name or id (for operators)');

const tenantQuery = async (client: Client, { tenant }: Whose): Promise<{ tenantId?: string }> =>
  tenant === undefined ? {} : { tenantId: await findTenant(client, tenant) };

/** By month, id or number; none: the running month. */
async function findInvoice(client: Client, kind: InvoiceKind, text: string | undefined, options: Whose, nowMs: number) {
  const query = await tenantQuery(client, options);
  const month = text ?? new Date(nowMs).toISOString().slice(0, 7);
  if (/^\d{4}-\d\d$/.test(month)) return { params: { invoiceId: `${kind}-${month}` }, query };
  if (/^in_[0-9a-z]{20}$/.test(month)) return { params: { invoiceId: month }, query };
  for await (const { id, number } of client.list('listInvoices', { ...query, kind })) {
    if (id !== null && number === month.toUpperCase()) return { params: { invoiceId: id }, query };
  }
  throw new CliError('notFound', `no ${kind} is "${month}": give a month such as 2027-01, a number or an id`);
}

function parseFormat(text: string): Format {
  if (!['pdf', 'csv', 'json'].includes(text)) throw new CliError('usage', `"${text}" is not pdf, csv or json`);
  return text as Format;
}

export function invoiceCommands(program: Command, terminal: Terminal): void {
  const invoice = program.command('invoice').description('what you pay, month by month, and why');
  documentCommands(invoice, 'invoice', terminal);
  withCommonOptions(
    invoice.command('check').description('all closed ones against the postings of the ledger (for operators)'),
  ).action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const check = await client.call('checkInvoices');
      show(check, () => invoiceCheckInWords(check));
      if (!check.clean) terminal.setExitCode(1);
    }),
  );
  const statement = program.command('statement').description('what your machines earn, month by month, and why');
  documentCommands(statement, 'statement', terminal);
}

function documentCommands(group: Command, kind: InvoiceKind, terminal: Terminal): void {
  const leaf = (name: string, description: string) =>
    withTenant(withCommonOptions(group.command(name).description(description)));

  leaf('list', `closed ${kind}s, newest first`)
    .option('--all', 'of all tenants (for operators)')
    .option('--limit <n>', 'at most so many', argument(parseCount), 100)
    .action((options: Whose & { all?: boolean; limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        if (options.all && options.tenant !== undefined) throw new CliError('usage', 'either --tenant or --all');
        const query = { ...(await tenantQuery(client, options)), kind, ...(options.all ? { all: true } : {}) };
        const invoices = await collect(client.list('listInvoices', query, options.limit));
        show(invoices, () => invoiceTable(invoices));
      }),
    );

  leaf(
    'show [which]',
    'one with its lines: a month such as 2027-01, a number or an id; the running month where none is named',
  )
    .option('--cluster <id>', 'only the lines of this cluster')
    .action((which: string | undefined, options: Whose & { cluster?: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const found = await findInvoice(client, kind, which, options, terminal.now());
        const invoice = await client.call('getInvoice', found);
        const query = { ...found.query, clusterId: options.cluster };
        const lines = await collect(client.list('listInvoiceLines', query, Number.POSITIVE_INFINITY, found.params));
        show({ ...invoice, lines }, () => invoiceInWords(invoice, lines));
      }),
    );

  leaf('get <which>', 'as a file')
    .option('--format <format>', 'pdf, csv or json', argument(parseFormat), 'pdf')
    .option('--output <file>', 'where to; - is standard output, as is none for csv and json')
    .action((which: string, options: Whose & { format: Format; output?: string }) =>
      run(terminal, options, async ({ client, progress }) => {
        const found = await findInvoice(client, kind, which, options, terminal.now());
        const content = await contentOf(client, options.format, found, terminal.signal);
        const output = options.output ?? (options.format === 'pdf' ? `${kind}-${which}.pdf` : '-');
        await writeTo(output, content, terminal);
        if (output !== '-') progress(`written to ${output}`);
      }),
    );

  leaf('why <which> <line>', 'what a line stands on: windows, evidence, jobs, price, rate, postings').action(
    (which: string, line: string, options: Whose) =>
      run(terminal, options, async ({ client, show }) => {
        if (!/^[1-9]\d{0,8}$/.test(line)) throw new CliError('usage', `"${line}" is no number of a line`);
        const found = await findInvoice(client, kind, which, options, terminal.now());
        const params = { ...found.params, line };
        const why = await client.call('explainInvoiceLine', { params, query: { ...found.query, limit: 1000 } });
        show(why, () => lineWhyInWords(why));
      }),
  );
}

type Found = Awaited<ReturnType<typeof findInvoice>>;

async function contentOf(
  client: Client,
  format: Format,
  found: Found,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  if (format !== 'json') return client.stream(format === 'pdf' ? 'getInvoicePdf' : 'getInvoiceCsv', found, signal);
  const invoice = await client.call('getInvoice', found);
  const lines = await collect(client.list('listInvoiceLines', found.query, Number.POSITIVE_INFINITY, found.params));
  const text = `${JSON.stringify({ ...invoice, lines }, null, 2)}\n`;
  return (async function* () {
    yield Buffer.from(text);
  })();
}

/** A file that is there already is not written over. */
async function writeTo(output: string, content: AsyncIterable<Uint8Array>, terminal: Terminal): Promise<void> {
  if (output === '-') {
    for await (const chunk of content) await terminal.write(Buffer.from(chunk));
    return;
  }
  const file = await open(output, 'wx').catch((error: NodeJS.ErrnoException) => {
    throw new CliError(
      'callFailed',
      `cannot write ${output}: ${error.code === 'EEXIST' ? 'it is there already' : error.message}`,
    );
  });
  try {
    for await (const chunk of content) await file.write(chunk);
  } finally {
    await file.close();
  }
}

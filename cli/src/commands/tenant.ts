/** `iocloud tenant …`, for operators, and `iocloud queue`, for everybody. */
import type { Tenant, TenantId } from '@iocloud/contracts';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { age, table } from '../output.js';
import { newKeyWords } from './account.js';
import { CliError } from './exit.js';
import {
  changedQueueTerms,
  type QueueTermOptions,
  queueTermsInWords,
  tenantQueueInWords,
  withQueueTermOptions,
} from './queue-terms.js';
import { type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

/** By name or id. Throws CliError 'notFound'. */
export async function findTenant(client: Client, reference: string): Promise<TenantId> {
  if (/^tn_[0-9a-z]{20}$/.test(reference)) return reference as TenantId;
  for await (const tenant of client.list('listTenants')) if (tenant.name === reference) return tenant.id;
  throw new CliError('notFound', `no tenant is named ${reference}; \`iocloud tenant list\` shows those there are`);
}

export function tenantCommands(program: Command, terminal: Terminal): void {
  const tenant = program.command('tenant').description('tenants (for operators)');
  withCommonOptions(tenant.command('create <name>').description('create a tenant with its owner and a first key'))
    .option('--owner <name>', "its owner's name", 'owner')
    .action((name: string, options: CommonOptions & { owner: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const made = await client.call('createTenant', { body: { name, ownerName: options.owner } });
        show(
          made,
          () => `${made.tenant.name} (${made.tenant.id}), owner ${made.owner.name}\n${newKeyWords(made.apiKey)}`,
        );
      }),
    );
  withCommonOptions(tenant.command('list').description('all tenants')).action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const tenants: Tenant[] = await collect(client.list('listTenants'));
      show(tenants, () =>
        table(
          ['name', 'age', 'id'],
          tenants.map(({ name, createdAt, id }) => [name, age(createdAt, terminal.now()), id]),
        ),
      );
    }),
  );
  tenantQueueCommands(tenant, terminal);

  withCommonOptions(
    program.command('queue').description('by what terms your jobs are queued, what they hold and how many wait'),
  ).action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const queue = await client.call('getOwnQueueTerms');
      show(queue, () => tenantQueueInWords(queue));
    }),
  );
}

function tenantQueueCommands(tenant: Command, terminal: Terminal): void {
  const group = tenant.command('queue').description('the terms by which the work of a tenant is queued');
  const leaf = (name: string, description: string) => withCommonOptions(group.command(name).description(description));
  leaf('get <tenant>', 'share, quota and loans of a tenant (name or id)').action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const params = { tenantId: await findTenant(client, reference) };
        const terms = await client.call('getQueueTerms', { params });
        show(terms, () => queueTermsInWords(terms));
      }),
  );
  withQueueTermOptions(leaf('set <tenant>', 'set share, quota and loans of a tenant (name or id)')).action(
    (reference: string, options: CommonOptions & QueueTermOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const params = { tenantId: await findTenant(client, reference) };
        const before = await client.call('getQueueTerms', { params });
        const terms = await client.call('putQueueTerms', { params, body: changedQueueTerms(before, options) });
        show(terms, () => queueTermsInWords(terms));
      }),
  );
}

/** `iocloud webhook …`: events of the tenant, sent to addresses of its own. */
import type { Webhook, WebhookDelivery } from '@iocloud/contracts';
import type { Command } from 'commander';
import { collect } from '../client.js';
import { facts, table } from '../output.js';
import { parseCount, parseSeconds } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

type Leaf = (name: string, description: string) => Command;

export function webhookTable(webhooks: readonly Webhook[]): string {
  if (webhooks.length === 0) return 'there are none: `iocloud webhook add <url> --events job.JobFailed` makes one';
  return table(
    ['id', 'url', 'events', 'state', 'description'],
    webhooks.map(each => [each.id, each.url, each.events.join(','), stateOf(each), each.description]),
  );
}

function stateOf({ disabledReason, failingSince }: Webhook): string {
  if (disabledReason !== null) return `disabled: ${disabledReason}`;
  return failingSince === null ? 'on' : `failing since ${failingSince}`;
}

const secretInWords = (webhook: Webhook & { secret: string }) =>
  facts([
    ['webhook', webhook.id],
    ['url', webhook.url],
    ['events', webhook.events.join(',')],
    ['secret', `${webhook.secret} (shown this once)`],
    ...(webhook.previousSecretUntil
      ? [['secret before', `used too until ${webhook.previousSecretUntil}`] as const]
      : []),
  ]);

export function deliveryTable(deliveries: readonly WebhookDelivery[]): string {
  if (deliveries.length === 0) return 'nothing has been sent yet';
  return table(
    ['id', 'at', 'type', 'state', 'attempts', 'outcome', 'next'],
    deliveries.map(each => [
      each.id,
      each.createdAt,
      each.type,
      each.state,
      String(each.attempts),
      outcomeOf(each),
      each.nextAttemptAt ?? '',
    ]),
  );
}

const outcomeOf = ({ lastError, lastStatus, lastDurationMs }: WebhookDelivery) =>
  lastError ?? (lastStatus === null ? '' : `answered ${lastStatus} in ${lastDurationMs} ms`);

const parseKinds = (text: string) => text.split(',').map(part => part.trim());

export function webhookCommands(program: Command, terminal: Terminal): void {
  const group = program.command('webhook').description('have events sent to an address of yours');
  const leaf: Leaf = (name, description) => withCommonOptions(group.command(name).description(description));
  keepingCommands(leaf, terminal);
  deliveryCommands(leaf, terminal);
}

function keepingCommands(leaf: Leaf, terminal: Terminal): void {
  leaf('add <url>', 'send events there; the secret that signs them is shown once')
    .requiredOption('--events <kinds>', 'such as job.JobFailed,cluster.* or "*" (docs/webhooks.md)', parseKinds)
    .option('--description <text>', 'for yourself', '')
    .action((url: string, options: CommonOptions & { events: string[]; description: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const body = { url, events: options.events, description: options.description };
        const made = await client.call('createWebhook', { body });
        show(made, () => secretInWords(made));
      }),
    );

  leaf('list', 'those there are').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const webhooks = await collect(client.list('listWebhooks'));
      show(webhooks, () => webhookTable(webhooks));
    }),
  );

  for (const [name, enabled] of [
    ['enable', true],
    ['disable', false],
  ] as const) {
    leaf(`${name} <id>`, enabled ? 'send events there again, from now on' : 'send nothing there for now').action(
      (webhookId: string, options: CommonOptions) =>
        run(terminal, options, async ({ client, show }) => {
          const changed = await client.call('changeWebhook', { params: { webhookId }, body: { enabled } });
          show(changed, () => webhookTable([changed]));
        }),
    );
  }

  leaf('rotate <id>', 'a new secret; for a while messages are signed with the one before too')
    .option('--overlap <time>', 'for how long', argument(parseSeconds), 86_400)
    .action((webhookId: string, options: CommonOptions & { overlap: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const body = { overlapSeconds: options.overlap };
        const rotated = await client.call('rotateWebhook', { params: { webhookId }, body });
        show(rotated, () => secretInWords(rotated));
      }),
    );

  leaf('remove <id>', 'send nothing there any more, and forget what was sent').action(
    (webhookId: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const removed = await client.call('removeWebhook', { params: { webhookId } });
        show(removed, () => `${removed.id} is removed`);
      }),
  );
}

function deliveryCommands(leaf: Leaf, terminal: Terminal): void {
  leaf('test <id>', 'send a message now and say what came of it').action((webhookId: string, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const delivery = await client.call('testWebhook', { params: { webhookId } });
      show(delivery, () => deliveryTable([delivery]));
      if (delivery.state !== 'delivered') terminal.setExitCode(1);
    }),
  );

  leaf('deliveries <id>', 'what was sent there, newest first')
    .option('--limit <n>', 'at most so many', argument(parseCount), 50)
    .action((webhookId: string, options: CommonOptions & { limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const all = client.list('listWebhookDeliveries', { limit: Math.min(options.limit, 1_000) }, options.limit, {
          webhookId,
        });
        const deliveries = await collect(all);
        show(deliveries, () => deliveryTable(deliveries));
      }),
    );

  leaf('redeliver <id> <delivery>', 'send a message again, under its id').action(
    (webhookId: string, deliveryId: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const delivery = await client.call('redeliverWebhook', { params: { webhookId, deliveryId } });
        show(delivery, () => deliveryTable([delivery]));
      }),
  );
}

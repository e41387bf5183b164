/** `iocloud provider …`: Kubernetes clusters whose nodes are machines. */
import { defaultRayImage, kubernetesManifest, type Provider } from '@iocloud/contracts';
import type { Command } from 'commander';
import { collect } from '../client.js';
import { facts, table } from '../output.js';
import { CliError } from './exit.js';
import { readKubeconfig } from './kubeconfig.js';
import { parseDollars } from './quantities.js';
import { argument, type CommonOptions, fail, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

export function providerTable(providers: readonly Provider[]): string {
  if (providers.length === 0)
    return 'there are none: `iocloud provider add kubernetes --name NAME --kubeconfig FILE` adds one';
  return table(
    ['id', 'name', 'server', 'namespace', 'machines', 'state'],
    providers.map(each => [
      each.id,
      each.name,
      each.server ?? '(its own)',
      each.namespace,
      String(each.machines),
      each.message ? `${each.state}: ${each.message}` : each.state,
    ]),
  );
}

const inWords = (provider: Provider) =>
  facts([
    ['provider', `${provider.name} (${provider.id})`],
    ['server', provider.server ?? 'the cluster that the control plane runs in'],
    ['kubernetes', provider.kubernetesVersion],
    ['namespace', provider.namespace],
    ['image', provider.image],
    ...(provider.nodeSelector ? [['nodes', provider.nodeSelector] as const] : []),
    ['machines', String(provider.machines)],
    ['shared', provider.shared ? 'offered to other tenants where no proofs are required' : 'no'],
    ['state', provider.message ? `${provider.state}: ${provider.message}` : provider.state],
    ...provider.lacking.map(lack => ['lacks', lack] as const),
    ...provider.unproven.map(one => ['not proven', one] as const),
  ]);

interface AddOptions extends CommonOptions {
  name: string;
  kubeconfig?: string;
  context?: string;
  inCluster?: boolean;
  namespace?: string;
  image: string;
  nodeSelector: string;
  shared?: boolean;
  gpuHour: number;
  cpuHour: number;
}

export function providerCommands(program: Command, terminal: Terminal): void {
  const group = program.command('provider').description('Kubernetes clusters whose nodes are machines of yours');
  const leaf = (name: string, description: string) => withCommonOptions(group.command(name).description(description));

  leaf('add <kind>', 'make the nodes of a cluster machines of yours; the kind is kubernetes')
    .requiredOption('--name <name>', 'the beginning of the names of its machines')
    .option('--kubeconfig <file>', 'how the control plane reaches it (else KUBECONFIG, ~/.kube/config)')
    .option('--context <name>', "the kubeconfig's context (else its current one)")
    .option('--in-cluster', 'the cluster that the control plane itself runs in, by its own account; operators alone')
    .option('--namespace <name>', "where Ray clusters are made (else the context's, else default)")
    .option('--image <image>', 'of Ray pods; {version} stands for the Ray release', defaultRayImage)
    .option('--node-selector <labels>', 'offer nodes with these labels alone, as kubectl -l takes them', '')
    .option('--shared', 'offer the machines to other tenants too')
    .option('--gpu-hour <usd>', 'price of an accelerator for an hour', argument(parseDollars), 0)
    .option('--cpu-hour <usd>', 'price of a CPU for an hour', argument(parseDollars), 0)
    .action((kind: string, options: AddOptions) =>
      run(terminal, options, async ({ client, show }) => {
        demandKubernetes(kind);
        if (options.inCluster && (options.kubeconfig || options.context)) {
          throw new CliError('usage', '--in-cluster takes neither a kubeconfig nor a context');
        }
        const found = options.inCluster ? undefined : await readKubeconfig(options.kubeconfig, options.context);
        const body = {
          kind: 'kubernetes' as const,
          name: options.name,
          ...(found ? { access: found.access } : {}),
          namespace: options.namespace ?? found?.namespace ?? 'default',
          image: options.image,
          nodeSelector: options.nodeSelector,
          shared: options.shared ?? false,
          microUsdPerGpuHour: options.gpuHour,
          microUsdPerCpuHour: options.cpuHour,
        };
        const added = await client.call('addProvider', { body });
        show(added, () => inWords(added));
      }),
    );

  leaf('list', 'those there are').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const providers = await collect(client.list('listProviders'));
      show(providers, () => providerTable(providers));
    }),
  );

  leaf('show <id>', 'one of them, by id or name: its state, what it lacks, and what of it nothing proves').action(
    (id: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const found = await client.call('getProvider', { params: { providerId: await idOf(client, id) } });
        show(found, () => inWords(found));
      }),
  );

  leaf('remove <id>', 'one of them, by id or name, and its machines')
    .option(
      '--force',
      'even with leases there: you say that nothing of them runs any more, and their jobs start elsewhere',
    )
    .action((id: string, options: CommonOptions & { force?: boolean }) =>
      run(terminal, options, async ({ client, show }) => {
        const params = { providerId: await idOf(client, id) };
        const removed = await client.call('removeProvider', {
          params,
          query: { force: String(options.force ?? false) },
        });
        show(removed, () => `${removed.name} is removed, with ${removed.machines} machines`);
      }),
    );

  leaf('manifest <kind>', 'the account and the least rights that the control plane needs there, for kubectl apply')
    .option('--namespace <name>', 'where Ray clusters are made', 'default')
    .action((kind: string, options: CommonOptions & { namespace: string }) => {
      // No control plane need be there to print it.
      try {
        demandKubernetes(kind);
        const manifest = kubernetesManifest(options.namespace);
        terminal.out(options.json ? `${JSON.stringify({ manifest }, null, 2)}\n` : manifest);
      } catch (error) {
        fail(terminal, options.json ?? false, error);
      }
    });
}

function demandKubernetes(kind: string): void {
  if (kind !== 'kubernetes') throw new CliError('usage', `there is one kind of provider, kubernetes, and not ${kind}`);
}

async function idOf(client: Parameters<Parameters<typeof run>[2]>[0]['client'], text: string): Promise<string> {
  if (text.startsWith('pv_')) return text;
  const providers = await collect(client.list('listProviders'));
  const found = providers.find(({ name }) => name === text);
  if (!found) throw new CliError('usage', `no provider is named ${text}; \`iocloud provider list\` shows yours`);
  return found.id;
}

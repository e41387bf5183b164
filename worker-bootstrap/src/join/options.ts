/** What the program that lets a machine join is told. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export const usage = `usage: install.sh [options], or npx --yes CONTROL_PLANE/agent/iocloud-agent-X.tgz --control-plane URL [options]
  --dir DIR               where everything goes (root: /var/lib/iocloud-agent, else ~/.iocloud-agent)
  --foreground            install no service: run the agent here until Ctrl-C
  --detach                return once the agent is connected; without systemd or launchd it runs on until the machine ends,
                          with its log in DIR/agent.log
  --json                  say each step as a line of JSON on standard output, for programs
  --ray-environment DIR   a Python environment with Ray that is there already; nothing is installed then
  --container-image IMAGE  run leases in containers of podman on this image, where that works (docs/isolation.md)
  --isolation KIND        auto (the best that can be had), container, namespace, token-only
  --cpus N, --memory-bytes N   offer less than the whole machine`;

const isolations = ['auto', 'container', 'namespace', 'token-only'] as const;
type Isolation = (typeof isolations)[number];

export interface JoinOptions {
  controlPlane: string;
  directory: string;
  foreground: boolean;
  /** Return once it is connected, whatever keeps the agent running. */
  detach: boolean;
  json: boolean;
  rayEnvironment: string | null;
  isolation: Isolation;
  containerImage: string | null;
  cpus: number | null;
  memoryBytes: number | null;
}

/** Says in one line what is wrong, and what to do. */
export class JoinFault extends Error {}

/** Throws JoinFault. */
export function parseOptions(args: string[], { isRoot, home }: { isRoot: boolean; home: string }): JoinOptions {
  const { values } = parse(args);
  const address = values['control-plane'];
  if (!address || !URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol)) {
    throw new JoinFault(
      `--control-plane must be the control plane's address, such as https://iocloud.example\n${usage}`,
    );
  }
  if (values.foreground && values.detach) throw new JoinFault('--foreground and --detach: say one of them');
  const wished = values.isolation ?? 'auto';
  const isolation = isolations.find(kind => kind === wished);
  if (!isolation) throw new JoinFault(`--isolation: ${wished} is none of ${isolations.join(', ')}`);
  const containerImage = values['container-image'] ?? null;
  if (isolation === 'container' && !containerImage) {
    throw new JoinFault('--isolation container needs an image: add --container-image IMAGE');
  }
  return {
    controlPlane: address.replace(/\/+$/, ''),
    directory: resolve(values.dir ?? (isRoot ? '/var/lib/iocloud-agent' : `${home}/.iocloud-agent`)),
    foreground: values.foreground ?? false,
    detach: values.detach ?? false,
    json: values.json ?? false,
    rayEnvironment: values['ray-environment'] === undefined ? null : resolve(values['ray-environment']),
    isolation,
    containerImage,
    cpus: positive('--cpus', values.cpus),
    memoryBytes: positive('--memory-bytes', values['memory-bytes']),
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      // `npx … join` reads as a sentence.
      args: args[0] === 'join' ? args.slice(1) : args,
      options: {
        'control-plane': { type: 'string' },
        dir: { type: 'string' },
        foreground: { type: 'boolean' },
        detach: { type: 'boolean' },
        json: { type: 'boolean' },
        'ray-environment': { type: 'string' },
        isolation: { type: 'string' },
        'container-image': { type: 'string' },
        cpus: { type: 'string' },
        'memory-bytes': { type: 'string' },
      },
    });
  } catch (error) {
    throw new JoinFault(`${(error as Error).message}\n${usage}`);
  }
}

function positive(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new JoinFault(`${name}: ${text} is no positive number`);
  return value;
}

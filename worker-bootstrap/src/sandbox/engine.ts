/** What a container engine is told to run for a lease. Pure. */

export interface Engine {
  /** The program, as podman. */
  program: string;
  /** The OCI runtime where the engine's own choice does not work on this machine. */
  runtime: string | null;
  image: string;
  /** Of the renter on the machine, all leases together: the kernel counts by user. A lease is held to `pids`. */
  processes: number;
}

export interface Mount {
  source: string;
  target: string;
  writable: boolean;
}

export interface Box {
  name: string;
  /** Whose containers they are: the name of the agent's state. */
  owner: string;
  /** File of the network namespace. */
  network: string;
  cpus: number;
  memoryBytes: number;
  /** Threads count, too. */
  pids: number;
  openFiles: number;
  mounts: readonly Mount[];
  /** By their names in the Container Device Interface. */
  devices: readonly string[];
  command: readonly string[];
}

export const ownerLabel = 'iocloud.agent';

/**
 * Who renters are, in containers and on the machine: a user whom nobody else assigns (systemd's table of ranges leaves it
 * free), and always the same, so that what one lease keeps for the next stays readable. A container's root is our supervisor.
 */
export const renterId = 0x7000_0000 + 1_000;

/** The engine with its options, before a subcommand. */
export const engineCommand = ({ program, runtime }: Engine): string[] => [
  program,
  ...(runtime === null ? [] : ['--runtime', runtime]),
];

export function runCommand(engine: Engine, box: Box): string[] {
  return [
    ...engineCommand(engine),
    'run',
    '--detach',
    `--name=${box.name}`,
    `--label=${ownerLabel}=${box.owner}`,
    '--pull=never',
    '--read-only',
    '--read-only-tmpfs=false',
    '--log-driver=none',
    `--network=ns:${box.network}`,
    '--hostname=ray',
    '--ipc=private',
    '--pid=private',
    '--uts=private',
    // What the supervisor needs to start Ray as the renter and to end it. The renter has none, and gets none.
    '--cap-drop=all',
    '--cap-add=SETUID,SETGID,KILL',
    '--security-opt=no-new-privileges',
    `--cpus=${box.cpus}`,
    `--memory=${box.memoryBytes}`,
    // The same: no swap beside it.
    `--memory-swap=${box.memoryBytes}`,
    `--pids-limit=${box.pids}`,
    `--shm-size=${box.memoryBytes}`,
    `--ulimit=nofile=${box.openFiles}:${box.openFiles}`,
    `--ulimit=nproc=${engine.processes}:${engine.processes}`,
    '--ulimit=core=0:0',
    ...box.devices.map(device => `--device=${device}`),
    ...box.mounts.map(
      ({ source, target, writable }) =>
        `--mount=type=bind,source=${source},target=${target},${writable ? 'rw' : 'ro'},bind-propagation=rprivate`,
    ),
    '--workdir=/',
    engine.image,
    ...box.command,
  ];
}

/** A program beside those of a lease that runs, in all that keeps these in. */
export const execCommand = (
  engine: readonly string[],
  name: string,
  user: number,
  command: readonly string[],
): string[] => [...engine, 'exec', '--interactive', `--user=${user}:${user}`, '--workdir=/', name, ...command];

export const removeCommand = (engine: Engine, name: string): string[] => [
  ...engineCommand(engine),
  ...['rm', '--force', '--ignore', '--time=0', '--volumes', name],
];

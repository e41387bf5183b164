/**
 * What stands for a machine of its own: namespaces for network, processes and mounts, held by a first process. When that
 * ends, and it ends with the test process, the kernel ends whatever runs there, containers too, and undoes all mounts.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Orphans become its children, and bash takes leave of each that ends. */
const keep = 'echo ready; trap : TERM; while :; do sleep infinity & wait; done';

export class Machine {
  private constructor(
    private readonly holder: ChildProcess,
    /** The first process, as seen from here. */
    readonly pid: number,
  ) {}

  /** `prepare` is shell, run by the first process before anything else. */
  static async boot(prepare = ''): Promise<Machine> {
    const namespaces = ['--fork', '--kill-child', '--net', '--pid', '--mount', '--mount-proc'];
    const script = `set -e\nip link set lo up\n${prepare}\nset +e\n${keep}`;
    const args = ['--pdeathsig', 'KILL', '--', 'unshare', ...namespaces, 'bash', '-c', script];
    const holder = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    holder.stderr.on('data', chunk => {
      said += chunk;
    });
    await Promise.race([
      once(createInterface({ input: holder.stdout }), 'line'),
      once(holder, 'close').then(([code]) => Promise.reject(new Error(`no machine: exit code ${code}\n${said}`))),
    ]);
    const children = await readFile(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8');
    return new Machine(holder, Number(children.trim()));
  }

  /** Before a command that is to run there as on a machine of its own. */
  get inside(): string[] {
    return ['nsenter', `--target=${this.pid}`, '--net', '--pid', '--mount'];
  }

  /** Before a command that is to have its network and nothing else of it. */
  get network(): string[] {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`];
  }

  async run(...command: string[]): Promise<string> {
    const [program = '', ...args] = [...this.inside, ...command];
    return (await run(program, args)).stdout;
  }

  /** As when its power fails. */
  async crash(): Promise<void> {
    if (this.holder.exitCode !== null || this.holder.signalCode !== null) return;
    const gone = once(this.holder, 'close');
    process.kill(this.pid, 'SIGKILL');
    await gone;
  }
}

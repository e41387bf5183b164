/** The operator as it runs in a cluster: a process with a service account's token and the rights of its roles. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ControlPlane } from './control-plane.js';

/** From the sources as from what is built of them, which lies one deeper. */
export const operatorDirectory = ['../../ray-operator/', '../../../ray-operator/']
  .map(path => fileURLToPath(new URL(path, import.meta.url)))
  .find(path => existsSync(`${path}package.json`));
export const operatorNamespace = 'ray-system';

/** The CRDs and the roles, as an administrator would apply them. */
export async function installOperator(bed: ControlPlane): Promise<void> {
  await bed.kubectl('create', 'namespace', operatorNamespace);
  await bed.apply(`${operatorDirectory}config/rbac/role.yaml`);
  await bed.apply(`${operatorDirectory}config/crd`);
  await bed.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s');
}

interface LogLine {
  level: string;
  msg: string;
  [field: string]: unknown;
}

export class OperatorProcess {
  readonly lines: LogLine[] = [];
  readonly errors: string[] = [];
  metricsPort = 0;

  private constructor(private readonly child: ChildProcess) {}

  static async start(bed: ControlPlane, settings: Record<string, string> = {}): Promise<OperatorProcess> {
    const account = await bed.serviceAccount(operatorNamespace, 'ray-operator');
    const env = {
      PATH: process.env.PATH,
      ...account,
      RAY_OPERATOR_NAMESPACE: operatorNamespace,
      RAY_OPERATOR_METRICS_HOST: '127.0.0.1',
      RAY_OPERATOR_METRICS_PORT: '0',
      RAY_OPERATOR_LEASE_SECONDS: '3',
      ...settings,
    };
    const command = [process.execPath, `${operatorDirectory}bin/ray-operator.js`];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const operator = new OperatorProcess(child);
    createInterface({ input: child.stdout }).on('line', line => operator.lines.push(JSON.parse(line)));
    createInterface({ input: child.stderr }).on('line', line => operator.errors.push(line));
    await operator.said('started');
    operator.metricsPort = Number(operator.lines.find(({ msg }) => msg === 'started')?.metricsPort);
    return operator;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Resolves with the first line of this text, said already or still to come. */
  async said(message: string, timeoutMs = 30_000): Promise<LogLine> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const line = this.lines.find(({ msg }) => msg === message);
      if (line) return line;
      const over = this.child.exitCode !== null || Date.now() > deadline;
      if (over) throw new Error(`the operator did not say "${message}":\n${this.transcript()}`);
      await new Promise(resolve => setTimeout(resolve, 20));
    }
  }

  transcript(): string {
    return [...this.lines.map(line => JSON.stringify(line)), ...this.errors].slice(-30).join('\n');
  }

  async metrics(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.metricsPort}/metrics`);
    return response.text();
  }

  /** The sum over all label values that the text of the metric's labels contains. */
  async metric(name: string, labels = ''): Promise<number> {
    const rows = (await this.metrics()).split('\n').filter(row => row.startsWith(name) && row.includes(labels));
    return rows.reduce((sum, row) => sum + Number(row.slice(row.lastIndexOf(' ') + 1)), 0);
  }

  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const closed = once(this.child, 'close');
    this.child.kill(signal);
    await closed;
  }
}

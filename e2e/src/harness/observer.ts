/** `iocloud observe` beside a stack: a real Prometheus that scrapes it, and what is asked of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repository, type Stack } from './stack.js';

export interface Series {
  metric: Record<string, string>;
  value: [number, string];
  values: [number, string][];
}

export class Observer {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  /** Throws where IOCLOUD_TEST_PROMETHEUS is not set: ask before. `rules`: a glob; default: ours. */
  static async start(stack: Stack, { scrapeSeconds = 2, rules = '' } = {}): Promise<Observer> {
    const program = process.env.IOCLOUD_TEST_PROMETHEUS;
    if (!program) throw new Error('IOCLOUD_TEST_PROMETHEUS names no Prometheus: node scripts/setup.mjs --tests');
    const options = ['--json', '--port', '0', '--prometheus', program, '--scrape-seconds', String(scrapeSeconds)];
    const child = spawn(
      process.execPath,
      [join(repository, 'cli/bin/iocloud.js'), 'observe', ...options, ...(rules ? ['--rules', rules] : [])],
      {
        env: { ...process.env, NODE_OPTIONS: '', IOCLOUD_HOME: stack.home },
        stdio: ['ignore', 'pipe', 'inherit'],
        detached: true,
      },
    );
    const [line] = await Promise.race([
      once(createInterface({ input: child.stdout }), 'line'),
      once(child, 'exit').then(([code]) => {
        throw new Error(`iocloud observe ended with ${code}`);
      }),
    ]);
    return new Observer(child, JSON.parse(line).url);
  }

  /** `path`: `query` or `query_range`. Throws with Prometheus' words. */
  async query(path: 'query' | 'query_range', parameters: Record<string, string>): Promise<Series[]> {
    const response = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const { status, error, data } = (await response.json()) as {
      status: string;
      error?: string;
      data: { result: Series[] };
    };
    if (status !== 'success') throw new Error(`${parameters.query}: ${error}`);
    return data.result;
  }

  /** As by Ctrl-C; its exit code, null if it had ended before. */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null) return null;
    this.child.kill('SIGINT');
    const [code] = await once(this.child, 'exit');
    return code;
  }
}

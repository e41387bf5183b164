/** One machine: from the first ssh to its agent's connection. Whatever is there already is gone on with. */
import type { JoinReport, NodeId } from '@iocloud/contracts';
import type { Client } from '../client.js';
import { CliError } from '../commands/exit.js';
import { changedTerms } from '../commands/node-terms.js';
import { duration } from '../output.js';
import type { Target } from './inventory.js';
import { runRemote } from './remote.js';
import { joinCommand, reasonOf, type SshSettings, sshWords } from './ssh-line.js';

const onlineMs = 60_000;
/** Of long work a word comes so often. */
const sayAgainMs = 30_000;
/** A code is good for a quarter of an hour; whoever shows one after the other has nothing to be approved. */
const mostCodes = 2;

export interface Means {
  client: Client;
  script: string;
  ssh: SshSettings;
  sudo: boolean;
  /** How the machines reach the control plane, where that is not as the script has it. */
  controlPlane: string | null;
  environment: Record<string, string | undefined>;
  now(): number;
  pause(ms: number): Promise<void>;
}

/** Resolves with its node; throws CliError with the reason why it has not joined. `say`: how far it is. */
export async function enrolMachine(
  target: Target,
  means: Means,
  say: (words: string) => void,
  signal: AbortSignal,
): Promise<NodeId> {
  const giveUp = new AbortController();
  const command = joinCommand(target, means.sudo, means.controlPlane);
  const remote = runRemote(
    sshWords(target, means.ssh, command),
    means.script,
    means.environment,
    AbortSignal.any([signal, giveUp.signal]),
  );
  const heard = new Hearing(target, means, say);
  try {
    for await (const report of remote.reports) await heard.take(report);
  } catch (error) {
    giveUp.abort();
    await remote.ended;
    throw error;
  }
  const { code, stderr } = await remote.ended;
  signal.throwIfAborted();
  if (heard.joined === null) {
    throw new CliError('callFailed', heard.failure ?? reasonOf(target, code, stderr, means.ssh.knownHosts));
  }
  await online(heard.joined, means, signal);
  return heard.joined;
}

class Hearing {
  joined: NodeId | null = null;
  failure: string | null = null;
  #codes = 0;
  #termsSet = false;
  /** What was said last, and when. */
  #last: { words: string; sinceMs: number; saidMs: number };

  constructor(
    readonly target: Target,
    readonly means: Pick<Means, 'client' | 'now'>,
    readonly tell: (words: string) => void,
  ) {
    this.#last = { words: '', sinceMs: means.now(), saidMs: means.now() };
  }

  say(words: string): void {
    this.#last = { words, sinceMs: this.means.now(), saidMs: this.means.now() };
    this.tell(words);
  }

  #sayAgain(): void {
    const nowMs = this.means.now();
    if (nowMs - this.#last.saidMs < sayAgainMs) return;
    this.#last.saidMs = nowMs;
    this.tell(`${this.#last.words} (for ${duration(nowMs - this.#last.sinceMs)} now)`);
  }

  async take(report: JoinReport): Promise<void> {
    switch (report.event) {
      case 'alive':
        return this.#sayAgain();
      case 'code':
        return this.#approve(report.userCode, report.fingerprint);
      case 'approved':
        this.say(`approved as ${report.name} (${report.nodeId})`);
        // Before it is offered to anybody.
        return this.#setTerms(report.nodeId);
      case 'step':
        if (report.state !== 'failed') this.say(report.message);
        return;
      case 'failed':
        this.failure = report.message;
        return;
      case 'joined':
        await this.#setTerms(report.nodeId);
        this.say(report.words);
        this.joined = report.nodeId;
    }
  }

  /** The code came over a connection to a machine that its owner has named, whose host key is pinned. */
  async #approve(userCode: string, fingerprint: string): Promise<void> {
    this.#codes += 1;
    if (this.#codes > mostCodes) throw new CliError('callFailed', 'it shows one code after the other');
    const params = { userCode };
    const { client } = this.means;
    const seen = await client.call('getEnrolment', { params });
    if (seen.fingerprint !== fingerprint) {
      throw new CliError('callFailed', 'the code that it shows is that of another machine’s key');
    }
    const { name, shared } = this.target;
    await client.call('approveEnrolment', { params, body: { name, shared } });
  }

  async #setTerms(nodeId: NodeId): Promise<void> {
    if (this.#termsSet || Object.keys(this.target.terms).length === 0) return;
    const params = { nodeId };
    await this.means.client.call('changeNodeTerms', { params, body: changedTerms(this.target.terms) });
    this.#termsSet = true;
  }
}

async function online(nodeId: NodeId, { client, now, pause }: Means, signal: AbortSignal): Promise<void> {
  for (const deadline = now() + onlineMs; ; ) {
    const node = await client.call('getNode', { params: { nodeId } }).catch((error: unknown) => {
      if (!(error instanceof CliError) || error.exit !== 'notFound') throw error;
      throw new CliError(
        'callFailed',
        `it has joined as ${nodeId} before, which is no machine of yours: remove agent.json and enrolment.json from its directory (dir=, else /var/lib/iocloud-agent or ~/.iocloud-agent) and run this again`,
      );
    });
    if (node.state === 'online') return;
    if (now() > deadline) {
      throw new CliError(
        'timedOut',
        'its agent runs and is not connected: does it reach the control plane’s SSH port?',
      );
    }
    await pause(500);
    signal.throwIfAborted();
  }
}

/** One agent's SSH connection: its control channel, and streams that the control plane opens to it. */
import type { Duplex } from 'node:stream';
import {
  type AgentMessage,
  agentMessage,
  agentSubsystem,
  type ControlMessage,
  maxLineBytes,
  type NodeId,
  type StreamRequest,
  streamAnswer,
  streamForwardPath,
} from '@iocloud/contracts';
import { ChannelStream, firstLine, lines } from '@iocloud/contracts/wire';
import type { Connection, ServerChannel } from 'ssh2';
import type { Logger } from '../platform/index.js';
import { StreamRefused } from './ports.js';

/** An agent that has not answered a stream request by then is taken for stuck. Milliseconds. */
const streamAnswerTimeoutMs = 10_000;
const maxAnswerBytes = 8_192;

/** Each says all there is to say of its kind. */
type State = Extract<AgentMessage, { type: 'observed' | 'mesh' }>;

export class AgentConnection {
  #control: ServerChannel | undefined;
  #forwarding = false;
  /** As far as it has said, and as far as it has been told. */
  runsLeases = false;
  shallRunLeases = false;
  /** Of each kind one is taken in after the other; of those that wait, the newest says it all. */
  readonly #taking = new Set<State['type']>();
  readonly #newest = new Map<State['type'], State>();

  constructor(
    readonly nodeId: NodeId,
    readonly connection: Connection,
    readonly log: Logger,
    /**
     * Handles one message; a rejection ends the connection, and the agent says all of it again on the next. A heartbeat
     * waits for no other message: a machine is not silent because what it observes takes long to be recorded.
     */
    readonly onMessage: (message: AgentMessage, from: AgentConnection) => Promise<void>,
  ) {
    connection.on('session', accept => {
      const session = accept();
      session.on('subsystem', (acceptSubsystem, reject, info) => {
        if (info.name !== agentSubsystem || this.#control) return reject?.();
        this.#control = acceptSubsystem();
        this.#control.on('error', (error: Error) =>
          log.debug({ nodeId, error: error.message }, 'control channel broke'),
        );
        void this.#read(this.#control);
        return undefined;
      });
    });
    connection.on('request', (accept, reject, name, info) => {
      const wanted =
        (name as string) === 'streamlocal-forward@openssh.com' &&
        (info as unknown as { socketPath?: string }).socketPath === streamForwardPath;
      if (!wanted) return reject?.();
      this.#forwarding = true;
      accept?.();
      return undefined;
    });
  }

  async #read(channel: ServerChannel): Promise<void> {
    try {
      for await (const line of lines(channel, maxLineBytes)) {
        const message = agentMessage.parse(JSON.parse(line));
        if (message.type === 'hello') await this.onMessage(message, this);
        else if (message.type === 'observed' || message.type === 'mesh') this.#take(message);
        else this.onMessage(message, this).catch(error => this.#fail(error));
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.end();
    }
  }

  #take(message: State): void {
    this.#newest.set(message.type, message);
    if (this.#taking.has(message.type)) return;
    this.#takeAll(message.type).catch(error => this.#fail(error));
  }

  async #takeAll(type: State['type']): Promise<void> {
    this.#taking.add(type);
    try {
      for (let message = this.#newest.get(type); message; message = this.#newest.get(type)) {
        this.#newest.delete(type);
        await this.onMessage(message, this);
      }
    } finally {
      this.#taking.delete(type);
    }
  }

  #fail(error: unknown): void {
    this.log.warn({ nodeId: this.nodeId, err: error }, 'an agent connection is ended');
    this.end();
  }

  get isBusy(): boolean {
    return this.runsLeases || this.shallRunLeases;
  }

  send(message: ControlMessage): void {
    this.#control?.write(`${JSON.stringify(message)}\n`);
  }

  end(): void {
    this.connection.end();
  }

  /** Opens a stream on the machine. Throws StreamRefused. */
  async openStream(request: StreamRequest): Promise<Duplex> {
    if (!this.#forwarding) throw new StreamRefused('offline', 'the agent is connecting and carries no streams yet');
    const opened = await new Promise<ServerChannel>((resolve, reject) => {
      this.connection.openssh_forwardOutStreamLocal(streamForwardPath, (error, channel) => {
        if (error) reject(new StreamRefused('offline', `the agent opened no stream: ${error.message}`));
        else resolve(channel as ServerChannel);
      });
    });
    const stream = new ChannelStream(opened);
    // Whoever takes the stream hears of its errors by itself; before and after that nobody would.
    stream.on('error', (error: Error) =>
      this.log.debug({ nodeId: this.nodeId, error: error.message }, 'a stream broke'),
    );
    try {
      stream.write(`${JSON.stringify(request)}\n`);
      const answer = streamAnswer.parse(JSON.parse(await firstLine(stream, maxAnswerBytes, streamAnswerTimeoutMs)));
      if (!answer.ok) throw new StreamRefused(answer.code, answer.message);
      if (answer.bytes !== undefined) stream.expect(answer.bytes);
      return stream;
    } catch (error) {
      stream.destroy();
      if (error instanceof StreamRefused) throw error;
      throw new StreamRefused('offline', `the agent gave no answer to a stream request: ${String(error)}`);
    }
  }
}

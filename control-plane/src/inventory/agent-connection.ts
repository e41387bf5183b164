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

type Observed = Extract<AgentMessage, { type: 'observed' }>;

export class AgentConnection {
  #control: ServerChannel | undefined;
  #forwarding = false;
  /** What is observed is taken in one after the other; of what waits, the newest says it all. */
  #observing = false;
  #observed: Observed | undefined;

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
        else if (message.type === 'observed') this.#observe(message);
        else this.onMessage(message, this).catch(error => this.#fail(error));
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.end();
    }
  }

  #observe(message: Observed): void {
    this.#observed = message;
    if (this.#observing) return;
    this.#observeAll().catch(error => this.#fail(error));
  }

  async #observeAll(): Promise<void> {
    this.#observing = true;
    try {
      for (let message = this.#observed; message; message = this.#observed) {
        this.#observed = undefined;
        await this.onMessage(message, this);
      }
    } finally {
      this.#observing = false;
    }
  }

  #fail(error: unknown): void {
    this.log.warn({ nodeId: this.nodeId, err: error }, 'an agent connection is ended');
    this.end();
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

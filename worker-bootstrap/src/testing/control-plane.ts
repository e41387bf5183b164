/** A control plane of a few lines for tests: an SSH server that says what is desired and opens streams. */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type AgentMessage,
  agentMessage,
  agentSubsystem,
  type LeaseObservation,
  type LeaseSpec,
  maxLineBytes,
  type StreamRequest,
  streamAnswer,
  streamForwardPath,
} from '@iocloud/contracts';
import { firstLine, lines, newSshKeyPair } from '@iocloud/contracts/wire';
import ssh2, { type Connection, type ServerChannel } from 'ssh2';

export class TestControlPlane {
  readonly hostKey = newSshKeyPair();
  readonly heard: AgentMessage[] = [];
  userNames: string[] = [];
  connections = 0;
  /** Whether it says of what it hears of the machine that it is on record. */
  recordsTelemetry = true;
  /** Whether it answers heartbeats, with a fence that is too far off to matter. */
  answersHeartbeats = true;
  port = 0;
  #desired: LeaseSpec[] | undefined;
  #revision = 0;
  #connection: Connection | undefined;
  #control: ServerChannel | undefined;
  readonly #server = new ssh2.Server({ hostKeys: [this.hostKey.private] }, connection => this.#accept(connection));

  async listen(port = 0): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  #accept(connection: Connection): void {
    this.connections += 1;
    connection.on('error', () => undefined);
    connection.on('authentication', context => {
      this.userNames.push(context.username);
      if (context.method === 'publickey') context.accept();
      else context.reject(['publickey']);
    });
    connection.on('session', accept => {
      accept().on('subsystem', (acceptSubsystem, reject, info) => {
        if (info.name !== agentSubsystem) return reject();
        const control = acceptSubsystem();
        control.on('error', () => undefined);
        this.#control = control;
        void this.#read(control);
      });
    });
    connection.on('request', (accept, reject, _name, info) => {
      if ((info as { socketPath?: string }).socketPath !== streamForwardPath) return reject?.();
      this.#connection = connection;
      accept?.();
      this.#sayDesired();
    });
    connection.on('close', () => {
      if (this.#connection === connection) this.#connection = undefined;
    });
  }

  async #read(control: ServerChannel): Promise<void> {
    for await (const line of lines(control, maxLineBytes)) {
      const message = agentMessage.parse(JSON.parse(line));
      this.heard.push(message);
      if (message.type === 'heartbeat' && this.answersHeartbeats) {
        this.say(`${JSON.stringify({ type: 'heard', beat: message.beat, fenceAfterMs: 3_600_000 })}\n`);
      }
      const last = message.type === 'telemetry' && this.recordsTelemetry ? message.samples.at(-1) : undefined;
      if (last) this.say(`${JSON.stringify({ type: 'recorded', sequence: last.sequence })}\n`);
    }
  }

  desire(leases: LeaseSpec[]): void {
    this.#desired = leases;
    this.#revision += 1;
    this.#sayDesired();
  }

  /** Forgets what is desired: the next agent that connects is told nothing. */
  fallSilent(): void {
    this.#desired = undefined;
  }

  #sayDesired(): void {
    if (this.#desired && this.#control && this.#connection) {
      this.#control.write(`${JSON.stringify({ type: 'desired', revision: this.#revision, leases: this.#desired })}\n`);
    }
  }

  /** A raw line down the control channel. */
  say(line: string): void {
    this.#control?.write(line);
  }

  lease(leaseId: string): LeaseObservation | undefined {
    for (const message of [...this.heard].reverse()) {
      if (message.type === 'observed') return message.leases.find(lease => lease.leaseId === leaseId);
    }
    return undefined;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  cut(): void {
    this.#connection?.end();
  }

  async open(
    request: StreamRequest | string,
  ): Promise<{ stream: Duplex; answer: ReturnType<typeof streamAnswer.parse> }> {
    const stream = await new Promise<ServerChannel>((resolve, reject) => {
      if (!this.#connection) return reject(new Error('no agent is connected'));
      this.#connection.openssh_forwardOutStreamLocal(streamForwardPath, (error, channel) =>
        error ? reject(error) : resolve(channel as ServerChannel),
      );
    });
    stream.on('error', () => undefined);
    stream.write(typeof request === 'string' ? request : `${JSON.stringify(request)}\n`);
    return { stream, answer: streamAnswer.parse(JSON.parse(await firstLine(stream, 8192, 15_000))) };
  }

  /** One HTTP call to a head's dashboard. */
  async call(
    leaseId: LeaseSpec['leaseId'],
    path: string,
    options: { token?: string; method?: string; body?: unknown } = {},
  ): Promise<{ status: number; text: string }> {
    const { stream, answer } = await this.open({ kind: 'dashboard', leaseId });
    if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
    const call = httpRequest({
      createConnection: () => stream as never,
      path,
      method: options.method ?? 'GET',
      headers: {
        host: 'ray',
        connection: 'close',
        'content-type': 'application/json',
        ...(options.token ? { authorization: `Bearer ${options.token}` } : {}),
      },
    });
    call.end(options.body === undefined ? undefined : JSON.stringify(options.body));
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response) text += chunk;
    stream.destroy();
    return { status: response.statusCode ?? 0, text };
  }

  async close(): Promise<void> {
    this.#connection?.end();
    await new Promise<void>(resolve => this.#server.close(() => resolve()));
  }
}

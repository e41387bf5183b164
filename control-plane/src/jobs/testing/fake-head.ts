/** A head without Ray, for tests of what becomes of jobs when its answers do not come: it never loses a job. */
import { randomInt } from 'node:crypto';
import { Agent, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { RayHead } from './ray-head.js';

interface HeldJob {
  metadata: Record<string, string>;
  status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'STOPPED';
  variables: Record<string, string>;
}

interface TakenSubmission {
  submission_id: string;
  metadata: Record<string, string>;
  runtime_env: { env_vars: Record<string, string> };
}

type Trouble = 'reset' | 'hang' | 'error' | 'nonsense' | 'half';
const troubles: Trouble[] = ['reset', 'error', 'nonsense', 'half'];

export class FakeHead {
  readonly jobs = new Map<string, HeldJob>();
  /** Submissions taken in, by the attempt's own id of the job. */
  readonly taken: string[] = [];
  /** Of a hundred calls so many go wrong; of those that do, one in `hangOneIn` is never answered. */
  troublePercent = 0;
  hangOneIn = 200;
  injected = 0;
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  readonly #hanging = new Set<ServerResponse>();

  async start(): Promise<Pick<RayHead, 'host' | 'port' | 'token' | 'agent' | 'jobLog'>> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve));
    const { port } = this.#server.address() as AddressInfo;
    class Pinned extends Agent {}
    const agent = new Pinned({ keepAlive: true, maxSockets: 64 });
    const connect = agent.createConnection.bind(agent);
    agent.createConnection = (options, callback) => connect({ ...options, host: '127.0.0.1', port }, callback);
    const empty = async (_id: string, _fromByte: number, follow: boolean) =>
      follow ? new Readable({ read: () => undefined }) : Readable.from([]);
    return { host: '127.0.0.1', port, token: 'fake', agent, jobLog: empty };
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Lets go of what hangs, as a head that was overloaded for a while. */
  release(): void {
    for (const response of this.#hanging) response.destroy();
    this.#hanging.clear();
  }

  finishAll(): void {
    for (const job of this.jobs.values()) job.status = 'SUCCEEDED';
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const [status, answer] = this.#serve(request, body);
    // A call that goes wrong has been served all the same, as it may be on a real head.
    if (randomInt(100) >= this.troublePercent) return this.#send(response, status, answer);
    this.injected += 1;
    return this.#spoil(response, status, answer);
  }

  #serve(request: IncomingMessage, body: string): [number, string] {
    const [, id = '', action] = /^\/api\/jobs\/([^/]*)\/?(.*)$/.exec(request.url ?? '') ?? [];
    if (request.method === 'POST' && id === '') return this.#take(JSON.parse(body));
    if (id === '') return [200, JSON.stringify([...this.jobs.keys()].map(each => this.#details(each)))];
    const job = this.jobs.get(decodeURIComponent(id));
    if (!job) return [404, `Job ${id} does not exist`];
    if (action === 'stop') job.status = 'STOPPED';
    return [200, JSON.stringify(this.#details(decodeURIComponent(id)))];
  }

  #details(id: string) {
    const { status, metadata } = this.jobs.get(id) ?? {};
    return { submission_id: id, message: '', error_type: null, status, metadata };
  }

  #take({ submission_id: id, metadata, runtime_env: { env_vars: variables } }: TakenSubmission): [number, string] {
    if (this.jobs.has(id)) return [500, `ValueError: Job with submission_id ${id} already exists.`];
    this.jobs.set(id, { metadata, status: 'RUNNING', variables });
    this.taken.push(id);
    return [200, JSON.stringify({ submission_id: id })];
  }

  #send(response: ServerResponse, status: number, answer: string): void {
    response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(answer) });
    response.end(answer);
  }

  #spoil(response: ServerResponse, status: number, answer: string): void {
    const trouble = randomInt(this.hangOneIn) === 0 ? 'hang' : troubles[randomInt(troubles.length)];
    if (trouble === 'hang') this.#hanging.add(response);
    else if (trouble === 'reset') response.destroy();
    else if (trouble === 'error') this.#send(response, 503, 'Traceback: the GCS is unavailable');
    else if (trouble === 'nonsense') this.#send(response, 200, '<html>a proxy between us</html>');
    else {
      response.writeHead(status, { 'Content-Length': Buffer.byteLength(answer) });
      response.write(answer.slice(0, answer.length / 2));
      response.destroy();
    }
  }
}

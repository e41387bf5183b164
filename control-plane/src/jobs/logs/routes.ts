/** The log endpoints of Ray's API: the whole log as JSON, and the tail as a WebSocket. */
import { once } from 'node:events';
import type { JobId, TenantId } from '@iocloud/contracts';
import { WebSocket, WebSocketServer } from 'ws';
import { type Database, Failure, type Http, type Logger, type Signals } from '../../platform/index.js';
import { ArrayLogReader } from '../arrays/log.js';
import { type EntranceRoutes, entrances, type FindMega, refuseForeign } from '../entrances.js';
import { findJobId, isArray, loadJob } from '../store.js';
import { JobLogReader, type Piece } from './reader.js';

/** A signal can be lost: a follower looks by itself so often. */
const lookIntervalMs = 1_000;
/** Keeps proxies from closing the connection of a job that says nothing. */
const pingIntervalMs = 30_000;
const maxReadFailures = 60;
const normalClosure = 1000;
const internalError = 1011;

interface LogReader {
  next(): Promise<Piece>;
}

export class LogTails {
  readonly #server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 64 * 2 ** 10 });

  readonly database: Database;
  readonly signals: Signals;
  readonly log: Logger;

  constructor(readonly wiring: { database: Database; signals: Signals; log: Logger; megaNamed: FindMega }) {
    this.database = wiring.database;
    this.signals = wiring.signals;
    this.log = wiring.log;
  }

  bind(http: Http): void {
    for (const routes of entrances) this.#bind(http, routes);
  }

  #bind(http: Http, routes: EntranceRoutes): void {
    http.handle(routes.logs, async ({ caller, params, response }) => {
      const reader = await this.#reader(await this.#jobId(caller.tenantId, params));
      response.writeHead(200, { 'Content-Type': 'application/json; charset=utf-8' });
      let room = response.write('{"logs": "');
      for (;;) {
        const piece = await reader.next();
        // A client that has gone is no reason to read on.
        if (piece === 'idle' || piece === 'end' || response.destroyed) break;
        for (const text of piece.text) room = response.write(JSON.stringify(text).slice(1, -1));
        if (!room) await Promise.race([once(response, 'drain'), once(response, 'close')]);
      }
      response.end('"}');
      return undefined as never;
    });

    http.handle(routes.tail, async ({ caller, params }) => {
      await this.#jobId(caller.tenantId, params);
      throw new Failure('bad-request', 'this is a WebSocket: it needs "Connection: Upgrade" and "Upgrade: websocket"');
    });
    http.handleUpgrade(routes.tail, async ({ caller, params, request, socket, head }) => {
      const jobId = await this.#jobId(caller.tenantId, params);
      this.#server.handleUpgrade(request, socket, head, ws => void this.#tail(ws, jobId));
    });
  }

  async #tail(ws: WebSocket, jobId: JobId): Promise<void> {
    const waiter = this.signals.waiter(`log:${jobId}`);
    const ping = setInterval(() => ws.ping(), pingIntervalMs);
    ws.on('close', () => waiter.close());
    ws.on('error', error => this.log.debug({ error: error.message }, 'a log follower broke off'));
    try {
      const reader = await this.#reader(jobId);
      while (ws.readyState === WebSocket.OPEN) {
        const piece = await this.#read(ws, reader);
        if (piece === 'end') {
          ws.close(normalClosure);
          return;
        }
        if (piece === 'idle') await waiter.next(lookIntervalMs);
        // One frame at a time: the next is read when the follower's connection has taken this one.
        else for (const text of piece.text) if (text !== '') await sent(ws, text);
      }
    } catch (error) {
      this.log.warn({ job: jobId, err: error }, 'a log could not be followed');
      ws.close(internalError, 'the log cannot be read');
    } finally {
      clearInterval(ping);
      waiter.close();
    }
  }

  /** A database that is being restarted ends no follower: the reader stands where it stood, and tries again. */
  async #read(ws: WebSocket, reader: LogReader): Promise<Piece> {
    for (let failures = 1; ; failures += 1) {
      try {
        return await reader.next();
      } catch (error) {
        if (failures >= maxReadFailures || ws.readyState !== WebSocket.OPEN) throw error;
        await new Promise(resolve => setTimeout(resolve, lookIntervalMs));
      }
    }
  }

  async #reader(jobId: JobId): Promise<LogReader> {
    const job = await loadJob(this.database, jobId);
    return job && isArray(job) ? new ArrayLogReader(this.database, jobId) : new JobLogReader(this.database, jobId);
  }

  async #jobId(tenantId: TenantId, params: { submissionId: string }): Promise<JobId> {
    await refuseForeign(this.database, this.wiring.megaNamed, tenantId, params);
    const jobId = await findJobId(this.database, tenantId, params.submissionId);
    if (!jobId) throw new Failure('not-found', `Job ${params.submissionId} does not exist`);
    return jobId;
  }

  /** Cuts the followers off without a close frame: a clean close would tell them that the job has ended. */
  stop(): void {
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }
}

/** Resolves when the frame has left this process, or cannot any more. */
function sent(ws: WebSocket, text: string): Promise<void> {
  return new Promise(resolve => ws.send(text, () => resolve()));
}

/** Serves one stream that the control plane opened: reads what it wants, answers, and carries bytes. */
import { connect, type NetConnectOpts } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  type LeaseId,
  type ReleaseOffer,
  type StreamAnswer,
  type StreamRequest,
  streamRequest,
} from '@iocloud/contracts';
import { firstLine } from '@iocloud/contracts/wire';
import type { Logger } from '../log.js';
import { serveMeasurement } from './measuring.js';

export class StreamFault extends Error {
  constructor(
    readonly code: Extract<StreamAnswer, { ok: false }>['code'],
    message: string,
  ) {
    super(message);
  }
}

export interface StreamSources {
  /** Where a port of a lease's head listens. Throws StreamFault. */
  headPort(leaseId: string, port: 'dashboard' | 'gcs'): NetConnectOpts;
  /** A job's log and, unless it is followed, how many bytes that is; ends when `signal` aborts. Throws StreamFault. */
  jobLog(
    request: Extract<StreamRequest, { kind: 'job-log' }>,
    signal: AbortSignal,
  ): Promise<{ stream: Readable; bytes?: number }>;
  /** Carries datagrams of a cluster's network; resolves when the stream is over. Throws StreamFault. */
  mesh(clusterId: string, stream: Duplex): Promise<void>;
  /** Throws StreamFault where the lease is not up; what it returns carries the shell until its end. */
  shell(request: Extract<StreamRequest, { kind: 'shell' }>): (stream: Duplex) => Promise<void>;
  /** Carries a connection into a lease, its answer included. Throws StreamFault while nothing has been answered. */
  connect(stream: Duplex, request: Extract<StreamRequest, { kind: 'connect' | 'connect-socket' }>): Promise<void>;
  /** Carries a connection to where a Ray node tells its metrics, its answer included. Throws StreamFault. */
  metrics(stream: Duplex, leaseId: LeaseId): Promise<void>;
  /** Proves what a device is; takes the stream over. */
  prove(stream: Duplex): Promise<void>;
  /** Takes in a release of the agent; `agree` asks for the archive. Throws StreamFault where it may not run here. */
  release(stream: Duplex, offer: ReleaseOffer, agree: () => void): Promise<void>;
}

/** A command may be long. */
const maxRequestBytes = 2 ** 20;
const requestTimeoutMs = 10_000;

export async function serveStream(stream: Duplex, sources: StreamSources, log: Logger): Promise<void> {
  try {
    const request = parseRequest(await firstLine(stream, maxRequestBytes, requestTimeoutMs));
    if (request.kind === 'job-log') await carryJobLog(stream, request, sources);
    else if (request.kind === 'measure') {
      answer(stream, { ok: true });
      await serveMeasurement(stream);
    } else if (request.kind === 'prove') {
      answer(stream, { ok: true });
      await sources.prove(stream);
    } else if (request.kind === 'release') {
      await sources.release(stream, request, () => answer(stream, { ok: true }));
    } else if (request.kind === 'shell') {
      const carry = sources.shell(request);
      answer(stream, { ok: true });
      await carry(stream);
    } else if (request.kind === 'connect' || request.kind === 'connect-socket') await sources.connect(stream, request);
    else if (request.kind === 'metrics') await sources.metrics(stream, request.leaseId);
    else if (request.kind === 'mesh') await carryMesh(stream, request.clusterId, sources);
    else await carryPort(stream, request.kind, sources.headPort(request.leaseId, request.kind));
  } catch (error) {
    if (!(error instanceof StreamFault)) log.debug({ error: String(error) }, 'a stream ended early');
    if (error instanceof StreamFault && stream.writable) {
      answer(stream, { ok: false, code: error.code, message: error.message });
      stream.end();
    } else {
      stream.destroy();
    }
  }
}

function answer(stream: Duplex, line: StreamAnswer): void {
  stream.write(`${JSON.stringify(line)}\n`);
}

function parseRequest(line: string): StreamRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new StreamFault('bad-request', 'the stream request is not JSON');
  }
  const parsed = streamRequest.safeParse(value);
  if (!parsed.success) throw new StreamFault('bad-request', `not a stream request: ${parsed.error.message}`);
  return parsed.data;
}

export async function carryPort(stream: Duplex, name: string, target: NetConnectOpts): Promise<void> {
  const socket = connect({ ...target, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', error =>
      reject(new StreamFault('not-ready', `the ${name} port does not answer: ${error.message}`)),
    );
  });
  socket.on('error', () => stream.destroy());
  answer(stream, { ok: true });
  // Each direction ends by itself; when one breaks, both are gone.
  await Promise.all([pipeline(stream, socket), pipeline(socket, stream)]);
}

/** The answer goes first: what the network sends at once comes after it. */
async function carryMesh(stream: Duplex, clusterId: string, sources: StreamSources): Promise<void> {
  const carried = sources.mesh(clusterId, stream);
  answer(stream, { ok: true });
  await carried;
}

async function carryJobLog(
  stream: Duplex,
  request: Extract<StreamRequest, { kind: 'job-log' }>,
  sources: StreamSources,
): Promise<void> {
  const gone = new AbortController();
  const abort = () => gone.abort();
  stream.once('close', abort);
  stream.resume(); // nothing more is expected from the other side, but its close must be heard
  const log = await sources.jobLog(request, gone.signal);
  answer(stream, { ok: true, ...(log.bytes === undefined ? {} : { bytes: log.bytes }) });
  await pipeline(log.stream, stream);
}

/** One unary gRPC call over a stream that is open already (gRPC over HTTP/2, without TLS, as Ray's GCS speaks it). */
import { type ClientHttp2Stream, connect, type IncomingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';

interface Call {
  /** `/package.Service/Method` */
  path: string;
  request: Buffer;
  headers: Record<string, string>;
  timeoutMs: number;
  maxAnswerBytes: number;
}

const prefixBytes = 5;

/** The answer's message. Ends the stream. Rejects when the call fails, is refused, or takes too long. */
export async function callOnce(stream: Duplex, call: Call): Promise<Buffer> {
  const session = connect('http://gcs', { createConnection: () => stream });
  const timeout = new Error(`no answer within ${call.timeoutMs} ms`);
  const timer = setTimeout(() => session.destroy(timeout), call.timeoutMs);
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      stream.on('error', reject);
      session.on('error', reject);
      session.on('close', () => reject(new Error('the connection closed before the answer')));
      const request = session.request({
        ':method': 'POST',
        ':path': call.path,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...call.headers,
      });
      collect(request, call.maxAnswerBytes).then(resolve, reject);
      request.end(framed(call.request));
    });
  } finally {
    clearTimeout(timer);
    session.destroy();
    stream.destroy();
  }
}

function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function collect(request: ClientHttp2Stream, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let end: IncomingHttpHeaders = {};
    // A call that is refused has no trailers: its status is in the headers.
    request.on('response', headers => {
      end = { ...end, ...headers };
    });
    request.on('trailers', trailers => {
      end = { ...end, ...trailers };
    });
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) request.destroy(new Error(`the answer is longer than ${maxBytes} bytes`));
      else chunks.push(chunk);
    });
    request.on('error', reject);
    request.on('end', () => {
      const status = end['grpc-status'] ?? `HTTP ${String(end[':status'])}`;
      if (status !== '0') return reject(new Error(`refused with status ${status}: ${end['grpc-message'] ?? ''}`));
      const answer = Buffer.concat(chunks);
      if (answer.length < prefixBytes || answer.readUInt8(0) !== 0 || answer.readUInt32BE(1) !== bytes - prefixBytes) {
        return reject(new Error('the answer is not one whole message'));
      }
      resolve(answer.subarray(prefixBytes));
    });
  });
}

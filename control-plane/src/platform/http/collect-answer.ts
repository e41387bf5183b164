import type { ClientRequest } from 'node:http';

export interface Answer {
  status: number;
  text: string;
}

/** The whole answer to a request that the caller sends. Rejects when the request breaks, or the answer is longer. */
export function collectAnswer(call: ClientRequest, maxBytes: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    call.on('error', reject);
    call.on('response', response => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > maxBytes) call.destroy(new Error(`the answer is longer than ${maxBytes} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      );
    });
  });
}

/** Lines of a byte stream from a peer that is not trusted: none may be longer than `maxBytes`. */
import type { Readable } from 'node:stream';

const newline = 10;

/** Yields each line without its newline. Throws RangeError at a line over the limit. */
export async function* lines(stream: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      parts.push(chunk.subarray(start, end));
      if (length + end - start > maxBytes) throw new RangeError(`a line is longer than ${maxBytes} bytes`);
      yield Buffer.concat(parts).toString('utf8');
      parts = [];
      length = 0;
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > maxBytes) throw new RangeError(`a line is longer than ${maxBytes} bytes`);
  }
}

/**
 * Reads the first line and leaves the stream paused right after it, ready to be piped on. Rejects when the stream ends,
 * breaks, stays silent for `timeoutMs`, or sends no newline within `maxBytes`.
 */
export function firstLine(stream: Readable, maxBytes: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let buffered = Buffer.alloc(0);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      stream.off('readable', onReadable);
      stream.off('end', onEnd);
      stream.off('close', onEnd);
      stream.off('error', onError);
      act();
    };
    const onReadable = () => {
      for (let chunk = stream.read() as Buffer | null; chunk !== null; chunk = stream.read() as Buffer | null) {
        const end = chunk.indexOf(newline);
        buffered = Buffer.concat([buffered, end === -1 ? chunk : chunk.subarray(0, end)]);
        if (buffered.length > maxBytes) return settle(() => reject(new RangeError('the first line is too long')));
        if (end !== -1) {
          const rest = chunk.subarray(end + 1);
          return settle(() => {
            if (rest.length > 0) stream.unshift(rest);
            resolve(buffered.toString('utf8'));
          });
        }
      }
    };
    const onEnd = () => settle(() => reject(new Error('the stream ended before its first line')));
    const onError = (error: Error) => settle(() => reject(error));
    const timer = setTimeout(() => settle(() => reject(new Error(`no answer within ${timeoutMs} ms`))), timeoutMs);
    stream.on('readable', onReadable);
    stream.on('end', onEnd);
    stream.on('close', onEnd);
    stream.on('error', onError);
    onReadable();
  });
}

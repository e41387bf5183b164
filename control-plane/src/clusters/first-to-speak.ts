/** Of several streams of which one will have something to say, that one: the others are let go of when it begins. */
import { PassThrough, type Readable } from 'node:stream';

/**
 * Errors that come before any has spoken only take that stream out; when none is left, the last error is the answer's. The
 * answer ends as the one does that spoke first, or when all have ended without a word.
 */
export function firstToSpeak(streams: readonly Readable[]): Readable {
  const [only] = streams;
  if (only && streams.length === 1) return only;
  const answer = new PassThrough();
  const waiting = new Set(streams);
  let failure: Error | null = null;
  const isOut = (stream: Readable) => {
    if (!waiting.delete(stream) || waiting.size > 0) return;
    if (failure) answer.destroy(failure);
    else answer.end();
  };
  for (const stream of streams) {
    stream.once('readable', () => {
      if (!waiting.has(stream) || stream.readableLength === 0) return;
      waiting.clear();
      for (const other of streams) if (other !== stream) other.destroy();
      stream.on('error', error => answer.destroy(error));
      stream.pipe(answer);
    });
    stream.on('error', error => {
      failure = error;
      isOut(stream);
    });
    stream.on('close', () => isOut(stream));
    stream.on('end', () => isOut(stream));
  }
  answer.on('close', () => {
    for (const stream of streams) stream.destroy();
  });
  return answer;
}

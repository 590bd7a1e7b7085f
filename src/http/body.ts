import { type IncomingMessage } from 'node:http';
import { GkvError } from '../core/errors.ts';

/**
 * The whole body of a request. Errors: `too_large` beyond the limit, `malformed` when the client went away in the midst of it.
 * How long it may take is the server's: see listen.ts.
 */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > limitBytes) return Promise.reject(tooLarge(limitBytes));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= limitBytes) chunks.push(chunk);
      else reject(tooLarge(limitBytes));
    });
    request.once('end', () => {
      const [only] = chunks;
      resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks));
    });
    request.once('close', () => {
      reject(new GkvError('malformed', 'the connection ended in the midst of the body'));
    });
    request.once('error', (cause) => {
      reject(new GkvError('malformed', 'the connection broke in the midst of the body', { cause }));
    });
  });
}

function tooLarge(limitBytes: number): GkvError {
  return new GkvError('too_large', `body has more than the ${limitBytes} bytes that are allowed`);
}

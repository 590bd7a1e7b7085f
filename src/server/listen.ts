import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { type Duplex } from 'node:stream';
import { GkvError } from '../core/errors.ts';
import { type HostPort } from './config.ts';

/** Time for a whole request to come in; slower ones are answered 408 `slow_body`. */
export const requestMsMax = 10_000;
const keepAliveMs = 60_000;
const connectionsMax = 4_096;
/** Requests under way get this long when the server stops. */
const drainMsMax = 8_000;

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

export interface Listener extends AsyncDisposable {
  /** The address in the form HOST:PORT, with the port that was taken. */
  readonly address: string;
}

/** Serves HTTP until disposed of: then takes no more, and waits for what is under way. Error: `port_in_use`. */
export async function listen(handler: RequestHandler, { host, port }: HostPort, slowMsMax = requestMsMax): Promise<Listener> {
  const server = createServer({
    requestTimeout: slowMsMax,
    headersTimeout: slowMsMax,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: Math.min(1_000, slowMsMax),
  });
  server.maxConnections = connectionsMax;
  server.on('request', handler);
  server.on('clientError', answerClientError);
  await started(server, host, port);
  const taken = (server.address() as AddressInfo).port; // it listens on TCP: the address is no string
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${taken}`,
    [Symbol.asyncDispose]: () => stopped(server),
  };
}

function started(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'EADDRINUSE') reject(new GkvError('port_in_use', `something listens on ${host}:${port} already; choose another port, or 0 for a free one`, { cause }));
      else reject(new GkvError('bad_config', `cannot listen on ${host}:${port}: ${cause.message}`, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

function stopped(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const hurry = setTimeout(() => {
      server.closeAllConnections();
    }, drainMsMax);
    server.close(() => {
      clearTimeout(hurry);
      resolve();
    });
    server.closeIdleConnections();
  });
}

/** Bytes that are no HTTP request, or one that did not come in time: node calls no handler for these. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const slow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const large = error.code === 'HPE_HEADER_OVERFLOW';
  const status = slow ? '408 Request Timeout' : large ? '431 Request Header Fields Too Large' : '400 Bad Request';
  const code = slow ? 'slow_body' : large ? 'too_large' : 'malformed';
  const message = slow ? `the request did not come within ${requestMsMax} ms` : large ? 'the headers are too large' : 'this is no HTTP request';
  const body = JSON.stringify({ error: { code, message } });
  socket.end(`HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
}

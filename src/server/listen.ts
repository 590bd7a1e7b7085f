import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Server as HttpsServer } from 'node:https';
import { type AddressInfo, type Socket } from 'node:net';
import { type Duplex } from 'node:stream';
import { GkvError } from '../core/errors.ts';
import { hostPortText, type HostPort } from '../core/hostPort.ts';
import { Turns, type ConnectionTimes } from './connections.ts';
import { secureServer, type ListenTls } from './listenTls.ts';

/** Time for the headers of a request to come in, and again for its body; slower ones are answered 408 `slow_body`. */
export const requestMsMax = 10_000;
const keepAliveMs = 60_000;
const connectionTimes: ConnectionTimes = { stalledMsMax: 120_000, lingerMs: 2_000 };
const connectionsMax = 4_096;
const lastMs = 300;

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

export interface ListenTimes extends Partial<ConnectionTimes> {
  readonly requestMsMax: number;
  /** Requests under way get this long when the server stops. */
  readonly drainMsMax: number;
  /** Connections with nothing under way end so long after the server stops to take others: what comes until then is answered. Default: 300. */
  readonly lastMs?: number;
}

export interface Listener extends AsyncDisposable {
  /** The address in the form HOST:PORT, with the port that was taken. */
  readonly address: string;
  readonly port: number;
}

/** Serves HTTP, or HTTPS, until disposed of: then takes no more, and waits for what is under way. Errors: `port_in_use`, `bad_config`. */
export async function listen(
  handler: RequestHandler,
  { host, port }: HostPort,
  times: ListenTimes = { requestMsMax, drainMsMax: 8_000 },
  tls?: ListenTls,
): Promise<Listener> {
  const options = {
    headersTimeout: times.requestMsMax,
    requestTimeout: 2 * times.requestMsMax, // the body reader gives up before this, and answers better
    keepAliveTimeout: keepAliveMs,
    requireHostHeader: false, // the gate refuses it, and says so
    connectionsCheckingInterval: Math.min(1_000, times.requestMsMax / 2),
  };
  const secure = tls === undefined ? undefined : secureServer(options, tls, times.requestMsMax);
  const server = secure?.server ?? createServer(options);
  server.maxConnections = connectionsMax;
  // A client may close its half after the request and is answered all the same; node has no option for it.
  Object.assign(server, { httpAllowHalfOpen: true });
  // When it closes, node takes a connection for idle whose answer is made but not all sent, and cuts it; `serve` knows which are.
  server.closeIdleConnections = () => undefined;
  const turns = new Turns(server, { ...connectionTimes, ...times });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (turns.isAnswering(socket)) socket.destroy();
    else if (secure?.isHandshakeError(error, socket) !== true) answerClientError(error, socket, times.requestMsMax);
  });
  const stop = serve(server, turns, handler, { lastMs, ...times }, (socket) => secure?.isOutdated(socket) === true);
  await started(server, host, port);
  const taken = (server.address() as AddressInfo).port; // it listens on TCP: the address is no string
  return { address: hostPortText({ host, port: taken }), port: taken, [Symbol.asyncDispose]: stop };
}

function started(server: Server | HttpsServer, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'EADDRINUSE') {
        const message = `something listens on ${host}:${port} already; choose another port, or 0 for a free one`;
        reject(new GkvError('port_in_use', message, { cause }));
      } else reject(new GkvError('bad_config', `cannot listen on ${host}:${port}: ${cause.message}`, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

/**
 * Hands requests over, and knows which connections have one under way: node counts a connection that never sent anything
 * as busy, and leaves one that becomes idle while stopping open. Outdated connections end with the answer to their next
 * request. Returns what stops the server.
 */
function serve(
  server: Server | HttpsServer,
  turns: Turns,
  handler: RequestHandler,
  times: { readonly drainMsMax: number; readonly lastMs: number },
  isOutdated: (socket: Socket) => boolean,
): () => Promise<void> {
  const sockets = new Map<Socket, string>();
  const busy = new Map<ServerResponse, string>();
  let stopping = false;
  server.on('connection', (socket: Socket) => {
    sockets.set(socket, nameOf(socket));
    socket.once('close', () => sockets.delete(socket));
  });
  const work: RequestHandler = (request, response) => {
    busy.set(response, nameOf(request.socket));
    response.once('close', () => {
      busy.delete(response);
      if (stopping) request.socket.destroySoon();
    });
    const isLast = stopping || isOutdated(request.socket) || request.headers.host === undefined;
    if (isLast) response.setHeader('Connection', 'close');
    void handler(request, response);
  };
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    turns.take(request, response, work);
  };
  server.on('request', handle);
  server.on('checkContinue', handle); // who reads the body says to go on
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    turns.take(request, response, answerExpectation);
  });
  const endIdle = (): void => {
    const working = new Set(busy.values());
    for (const [socket, name] of sockets) if (!working.has(name)) socket.destroy();
  };
  return () =>
    new Promise((resolve) => {
      stopping = true;
      const hurry = setTimeout(() => {
        server.closeAllConnections();
      }, times.drainMsMax);
      // A client that has not seen yet that we stop may send on any connection: one that is cut with a request on its way tells it nothing of the outcome.
      const last = setTimeout(() => setImmediate(endIdle), times.lastMs); // behind what has come in by then
      server.close(() => {
        clearTimeout(hurry);
        clearTimeout(last);
        resolve();
      });
      for (const response of busy.keys()) if (!response.headersSent) response.setHeader('Connection', 'close');
    });
}

/** A connection's ends. With TLS the socket of a request is another than the connection's, and nothing else tells which belong together. */
function nameOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? 0} ${localAddress ?? ''}`;
}

/** Of what a request may expect there is `100-continue` alone. */
function answerExpectation(request: IncomingMessage, response: ServerResponse): void {
  const message = `Expect: ${JSON.stringify(request.headers.expect?.slice(0, 100))} is not known here, 100-continue is`;
  const body = JSON.stringify({ error: { code: 'malformed', message } });
  response.writeHead(417, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), Connection: 'close' }).end(body);
}

/** Bytes that are no HTTP request, or one that did not come in time: node calls no handler for these. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex, withinMs: number): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const { status, code, message } = clientErrors(error.code, withinMs);
  const body = JSON.stringify({ error: { code, message } });
  socket.end(`HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
}

function clientErrors(cause: string | undefined, withinMs: number): { status: string; code: string; message: string } {
  if (cause === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return { status: '408 Request Timeout', code: 'slow_body', message: `the request did not come within ${withinMs} ms` };
  }
  if (cause === 'HPE_HEADER_OVERFLOW') {
    return { status: '431 Request Header Fields Too Large', code: 'too_large', message: 'the headers are too large' };
  }
  return { status: '400 Bad Request', code: 'malformed', message: 'this is no HTTP request' };
}

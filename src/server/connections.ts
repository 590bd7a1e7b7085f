/** What a connection may cost: it is served one request after the other, and ends when nobody takes what it was sent, or closes it behind us. */
import { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Server as HttpsServer } from 'node:https';
import { type Socket } from 'node:net';

/** Requests that a connection may send ahead of the one that is answered. */
const aheadMax = 64;

export interface ConnectionTimes {
  /** An answer of which nothing is taken for so long ends its connection. */
  readonly stalledMsMax: number;
  /** Once our side has ended, the other may read so long what is on its way, and then close. */
  readonly lingerMs: number;
}

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

/** Returns what to hand requests to: they go to `handle`, one at a time for each connection. */
export function limitConnections(server: Server | HttpsServer, { stalledMsMax, lingerMs }: ConnectionTimes, handle: Handle): Handle {
  /** Of connections with a request under way: what begins those behind it. */
  const turns = new WeakMap<Socket, (() => void)[]>();
  const linger = (socket: Socket): void => {
    socket.once('finish', () => {
      const timer = setTimeout(() => socket.destroy(), lingerMs);
      socket.once('close', () => {
        clearTimeout(timer);
      });
    });
  };
  server.on('connection', linger);
  server.on('secureConnection', linger);
  server.timeout = stalledMsMax; // of a connection on which nothing moves; where we listen for it, node leaves it to us
  server.on('timeout', (socket: Socket) => {
    if (socket.writableLength > 0 || !turns.has(socket)) socket.destroy();
  });
  return (request, response) => {
    const { socket } = request;
    const begin = (): void => {
      response.once('close', () => {
        const next = turns.get(socket)?.shift();
        if (next === undefined || socket.writableEnded || socket.destroyed) turns.delete(socket);
        else next();
      });
      handle(request, response);
    };
    const waiting = turns.get(socket);
    if (waiting === undefined) {
      turns.set(socket, []);
      begin();
    } else if (waiting.length < aheadMax) waiting.push(begin);
    else socket.destroy();
  };
}

/** What a connection may cost: it is served one request after the other, and ends when nobody takes what it was sent, or closes it behind us. */
import { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Server as HttpsServer } from 'node:https';
import { type Socket } from 'node:net';
import { type Duplex } from 'node:stream';

/** Requests that a connection may send ahead of the one that is answered. */
const aheadMax = 64;

export interface ConnectionTimes {
  /** An answer of which nothing is taken for so long ends its connection, after twice as long at the most. Linux tells of what a peer takes by a third of its buffer, a MiB or so. */
  readonly stalledMsMax: number;
  /** Once our side has ended, the other may read so long what is on its way, and then close. */
  readonly lingerMs: number;
}

type Handle = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** A connection with a request under way. */
interface Turn {
  readonly response: ServerResponse;
  /** Begin those that it has sent ahead. */
  readonly waiting: (() => void)[];
}

/** Requests of each connection in turns. */
export class Turns {
  readonly #times: ConnectionTimes;
  readonly #turns = new WeakMap<Duplex, Turn>();

  constructor(server: Server | HttpsServer, times: ConnectionTimes) {
    this.#times = times;
    const linger = (socket: Socket): void => {
      lingerAfter(socket, times.lingerMs);
    };
    server.on('connection', linger);
    server.on('secureConnection', linger);
  }

  /** Hands a request over as soon as those before it on its connection are answered. */
  take(request: IncomingMessage, response: ServerResponse, handle: Handle): void {
    const { socket } = request;
    const turn = this.#turns.get(socket);
    if (turn === undefined) this.#begin(request, response, handle, []);
    else if (turn.waiting.length >= aheadMax) socket.destroy();
    else {
      turn.waiting.push(() => {
        this.#begin(request, response, handle, turn.waiting);
      });
    }
  }

  /** True where nothing else may be written, as an answer is under way. */
  isAnswering(socket: Duplex): boolean {
    return this.#turns.get(socket)?.response.headersSent ?? false;
  }

  #begin(request: IncomingMessage, response: ServerResponse, handle: Handle, waiting: (() => void)[]): void {
    const { socket } = request;
    this.#turns.set(socket, { response, waiting });
    const looking = whileTaken(socket, this.#times.stalledMsMax);
    void handle(request, response);
    // Behind what the handler does at the close: where it ends the connection nothing else begins.
    response.once('close', () => {
      clearInterval(looking);
      // What is answered at once, and taken at once, would otherwise all be served before anybody else has a turn.
      if (waiting.length === 0) this.#turns.delete(socket);
      else
        setImmediate(() => {
          this.#next(socket, waiting);
        });
    });
  }

  #next(socket: Socket, waiting: (() => void)[]): void {
    const next = waiting.shift();
    if (next === undefined || socket.writableEnded || socket.destroyed) this.#turns.delete(socket);
    else next();
  }
}

function lingerAfter(socket: Socket, lingerMs: number): void {
  socket.once('finish', () => {
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.once('close', () => {
      clearTimeout(timer);
    });
  });
}

/** What libuv has not given to the system yet. Not in node's types, so nothing but a reader that is slow depends on it. */
interface WithHandle {
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

/** Ends the connection where there is something to be taken, and nothing was from one look to the next. */
function whileTaken(socket: Socket, everyMs: number): NodeJS.Timeout {
  const look = (): readonly [number, number] => [
    socket.bytesWritten - socket.writableLength,
    (socket as unknown as WithHandle)._handle?.writeQueueSize ?? 0, // the cast names what node has and does not declare
  ];
  let [written, queued] = look();
  return setInterval(() => {
    const [writtenNow, queuedNow] = look();
    if (socket.writableLength > 0 && writtenNow === written && queuedNow === queued) socket.destroy();
    [written, queued] = [writtenNow, queuedNow];
  }, everyMs);
}

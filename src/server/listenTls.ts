import { type ServerOptions } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type Socket } from 'node:net';
import { type Duplex } from 'node:stream';
import { TLSSocket, type TlsOptions } from 'node:tls';

/** What a port needs to speak TLS. */
export interface ListenTls {
  /** For connections from now on. */
  readonly options: TlsOptions;
  /** Calls whenever `options` has become another. */
  onChange(listener: () => void): void;
  /** A handshake failed; `from` is the address at the other end, if it is still known. */
  refused(error: NodeJS.ErrnoException, from: string | undefined): void;
}

export interface SecureServer {
  readonly server: Server;
  /** True for an error of a handshake, which it has dealt with: there is nobody to answer. */
  isHandshakeError(error: NodeJS.ErrnoException, socket: Duplex): boolean;
  /** True for connections from before the last change: what they have proven may hold no more. */
  isOutdated(socket: Socket): boolean;
}

/** An HTTPS server whose certificate, key and CAs may change while it runs. */
export function secureServer(options: ServerOptions, tls: ListenTls, handshakeMsMax: number): SecureServer {
  const server = createServer({ ...options, ...tls.options, handshakeTimeout: handshakeMsMax, allowHalfOpen: true });
  let generation = 0;
  const generations = new WeakMap<Duplex, number>();
  server.on('secureConnection', (socket) => {
    generations.set(socket, generation);
  });
  tls.onChange(() => {
    generation += 1;
    server.setSecureContext(tls.options);
  });
  return {
    server,
    isHandshakeError: (error, socket) => {
      if (!(socket instanceof TLSSocket) || generations.has(socket)) return false;
      tls.refused(error, socket.remoteAddress);
      socket.destroy();
      return true;
    },
    isOutdated: (socket) => generations.get(socket) !== generation,
  };
}

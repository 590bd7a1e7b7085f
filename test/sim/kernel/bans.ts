/**
 * What must not be used within a run: the machine's time, its timers, its chance and its network. Each throws, so that a use
 * is found where it stands and not as a difference between two runs.
 */
import crypto from 'node:crypto';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import timers from 'node:timers';

type Restore = () => void;

/** Runs `work` with all of it banned. Runs must not overlap. */
export async function withBans<T>(work: () => Promise<T>): Promise<T> {
  const restores: Restore[] = [
    ban(Date, 'Date.now', 'now'),
    ban(performance, 'performance.now', 'now'),
    ban(process, 'process.hrtime', 'hrtime'),
    ban(Math, 'Math.random', 'random'),
    ...['setTimeout', 'setInterval', 'setImmediate', 'fetch'].map((name) => ban(globalThis, name, name)),
    ...['setTimeout', 'setInterval', 'setImmediate'].map((name) => ban(timers, `timers.${name}`, name)),
    ...['randomBytes', 'randomUUID', 'randomInt', 'randomFillSync', 'randomFill', 'generateKeyPairSync'].map((name) =>
      ban(crypto, `crypto.${name}`, name),
    ),
    ...['getRandomValues', 'randomUUID'].map((name) => ban(globalThis.crypto, `webcrypto.${name}`, name)),
    ban(net.Socket.prototype, 'Socket.connect', 'connect'),
    ban(net.Server.prototype, 'Server.listen', 'listen'),
    ban(dns, 'dns.lookup', 'lookup'),
  ];
  syncBuiltinESMExports();
  try {
    return await work();
  } finally {
    for (const restore of restores) restore();
    syncBuiltinESMExports();
  }
}

function ban(owner: object, what: string, name: string): Restore {
  const before = Object.getOwnPropertyDescriptor(owner, name);
  const value = (): never => {
    throw new Error(`${what} was used within a simulation: take it from Clock, Random or the network that is handed in`);
  };
  Object.defineProperty(owner, name, { value, configurable: true, writable: true, enumerable: before?.enumerable ?? false });
  return () => {
    if (before === undefined) Reflect.deleteProperty(owner, name);
    else Object.defineProperty(owner, name, before);
  };
}

import { Agent } from 'undici';
import { frameBytesMax } from '../aae/frame.ts';
import { envelopeBytes } from './session.ts';

const connectMsMax = 5_000;

/** Mutual TLS with peers, in PEM: what we show, and the CAs of whom we talk to. */
export interface PeerTls {
  readonly cert: string;
  readonly key: string;
  readonly ca: readonly string[];
}

/** An agent, and how many requests it has under way: once closed it forgets its connections, and could not be made to end any more. */
interface Pool {
  readonly agent: Agent;
  underWay: number;
}

/** Connections to peers, kept alive between requests, all with the same TLS or without; it may be renewed. */
export class Connections implements AsyncDisposable {
  readonly #answerMsMax: number;
  /** Those before the current one, until what they have under way is done. */
  readonly #retired = new Set<Pool>();
  #current: Pool;

  constructor(answerMsMax: number, tls: PeerTls | undefined) {
    this.#answerMsMax = answerMsMax;
    this.#current = createPool(answerMsMax, tls);
  }

  /** `work` is done with the agent once it settles. */
  async use<T>(work: (agent: Agent) => Promise<T>): Promise<T> {
    const pool = this.#current;
    pool.underWay += 1;
    try {
      return await work(pool.agent);
    } finally {
      pool.underWay -= 1;
      if (pool.underWay === 0 && this.#retired.delete(pool)) void pool.agent.destroy();
    }
  }

  /** From now on connections are made anew, with this; those that there are end with what they have under way. */
  renew(tls: PeerTls): void {
    const old = this.#current;
    this.#current = createPool(this.#answerMsMax, tls);
    if (old.underWay > 0) this.#retired.add(old);
    else void old.agent.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#current, ...this.#retired].map(({ agent }) => agent.destroy()));
  }
}

function createPool(answerMsMax: number, tls: PeerTls | undefined): Pool {
  // No sessions are resumed: each connection checks the other's certificate, its name and its end.
  const secure = tls === undefined ? {} : { ...tls, ca: [...tls.ca], minVersion: 'TLSv1.3' as const, maxCachedSessions: 0 };
  const agent = new Agent({
    connect: { timeout: connectMsMax, ...secure },
    headersTimeout: answerMsMax,
    bodyTimeout: answerMsMax,
    connections: 4,
    pipelining: 1,
    maxResponseSize: frameBytesMax + envelopeBytes,
  });
  return { agent, underWay: 0 };
}

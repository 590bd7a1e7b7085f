import assert from 'node:assert/strict';
import { setAnswer } from '../../src/http/schema.ts';
import { until } from '../support.ts';
import { b64, type RunningServer } from './server.ts';

export const writers = 64;
/** Each writer goes round so many keys of its own, and adds a new one now and then. */
const keysPerWriter = 5;

/** What one key may hold: what was acknowledged last, or what was tried after it. Undefined: absent. */
interface Expected {
  acknowledged: string | undefined;
  version: string;
  tried: (string | undefined)[];
}

interface WritersOptions {
  readonly count?: number;
  /** What all their keys begin with: nobody else's do. */
  readonly prefix?: string;
}

/** 64 writers, or fewer, each with its keys; remembers every attempt and every acknowledgement. */
export class Writers {
  readonly expected = new Map<string, Expected>();
  acknowledgements = 0;
  readonly #refusals: 'forbidden' | 'allowed';
  readonly #count: number;
  readonly #prefix: string;
  #attempts = 0;

  /** Refusals with 503 are forbidden where nothing but the process fails. */
  constructor(refusals: 'forbidden' | 'allowed', { count = writers, prefix = '' }: WritersOptions = {}) {
    this.#refusals = refusals;
    this.#count = count;
    this.#prefix = prefix;
  }

  /** Writes to the servers, each writer to one of them, until that is gone or the signal aborts. */
  async writeAll(servers: readonly RunningServer[], round: number, signal?: AbortSignal): Promise<void> {
    await Promise.all(
      Array.from({ length: this.#count }, async (_, writer) => {
        const server = servers[writer % servers.length];
        if (server !== undefined) await this.#writeUntilGone(server, round, writer, signal);
      }),
    );
  }

  async #writeUntilGone(server: RunningServer, round: number, writer: number, signal: AbortSignal | undefined): Promise<void> {
    for (let i = 0; signal?.aborted !== true; i += 1) {
      const own = `${this.#prefix}w${writer}`;
      const key = i % 4 === 3 ? `${own}/new/${round}/${i}` : `${own}/${i % keysPerWriter}`;
      this.#attempts += 1;
      const value = i % 7 === 6 ? undefined : `${round} ${this.#attempts} ${'x'.repeat((this.#attempts * 37) % 3_000)}`;
      const expected = this.expected.get(key) ?? { acknowledged: undefined, version: '', tried: [] };
      this.expected.set(key, expected);
      expected.tried.push(value);
      const answer = await server
        .post('/data/set', { key: b64(key), ...(value === undefined ? { delete: true } : { value: b64(value) }) })
        .catch(() => undefined);
      if (answer === undefined) return;
      if (answer.status === 503 && this.#refusals === 'allowed') continue; // it may have been written, or not
      assert.equal(answer.status, 200, answer.text);
      const { version } = setAnswer.parse(answer.json);
      assert.ok(version > expected.version, 'versions of one key rise, also over crashes');
      this.expected.set(key, { acknowledged: value, version, tried: [] });
      this.acknowledgements += 1;
    }
  }

  /** Waits for so many more acknowledgements. */
  async more(count: number): Promise<void> {
    const enough = this.acknowledgements + count;
    await until(() => this.acknowledgements >= enough);
  }

  /** Compares with all that the server holds beside the mesh's own, and takes what it holds for what was acknowledged. */
  async check(server: RunningServer): Promise<void> {
    const held = await everything(server, this.#prefix);
    for (const [key, { acknowledged, version, tried }] of this.expected) {
      const found = held.get(key);
      assert.ok(
        [acknowledged, ...tried].includes(found?.value),
        `${key}: ${String(found?.value)} is not ${String(acknowledged)} nor a later attempt`,
      );
      assert.ok(found === undefined || found.version >= version, `${key} went back`);
      this.expected.set(key, { acknowledged: found?.value, version: found?.version ?? version, tried: [] });
      held.delete(key);
    }
    assert.deepEqual([...held.keys()], [], 'nothing is there that nobody wrote');
  }
}

/** Of keys that begin so. */
async function everything(server: RunningServer, prefix: string): Promise<Map<string, { value: string; version: string }>> {
  const held = new Map<string, { value: string; version: string }>();
  const end = prefix === '' ? '' : b64(`${prefix}\xff`);
  let start: string | null = b64(prefix);
  while (start !== null) {
    const { entries, next } = await server.list({ start, end, limit: 1_000 });
    for (const { key, value, version } of entries) {
      const name = Buffer.from(key, 'base64').toString();
      if (name.startsWith('@system/')) continue;
      held.set(name, { value: Buffer.from(value, 'base64').toString(), version });
    }
    start = next;
  }
  return held;
}

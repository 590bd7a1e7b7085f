import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it } from 'mocha';
import { silentLog } from '../../src/core/ports.ts';
import { MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { setAnswer } from '../../src/http/schema.ts';
import { openLmdbStore } from '../../src/store/lmdb/store.ts';
import { assertTree } from '../aae/oracle.ts';
import { realClock } from '../../src/server/real.ts';
import { seededRandom } from '../support.ts';
import { b64, Scene, type RunningServer } from './server.ts';

const writers = 64;
const crashes = 20;
/** Each writer goes round so many keys of its own, and adds a new one now and then. */
const keysPerWriter = 5;

/** What one key may hold: what was acknowledged last, or what was tried after it. Undefined: absent. */
interface Expected {
  acknowledged: string | undefined;
  version: string;
  tried: (string | undefined)[];
}

/** 64 writers, each with its keys; remembers every attempt and every acknowledgement. */
class Writers {
  readonly expected = new Map<string, Expected>();
  acknowledgements = 0;
  #attempts = 0;

  /** Writes until the server is gone. */
  async writeAll(server: RunningServer, round: number): Promise<void> {
    await Promise.all(Array.from({ length: writers }, (_, writer) => this.#writeUntilGone(server, round, writer)));
  }

  async #writeUntilGone(server: RunningServer, round: number, writer: number): Promise<void> {
    for (let i = 0; ; i += 1) {
      const key = i % 4 === 3 ? `w${writer}/new/${round}/${i}` : `w${writer}/${i % keysPerWriter}`;
      this.#attempts += 1;
      const value = i % 7 === 6 ? undefined : `${round} ${this.#attempts} ${'x'.repeat((this.#attempts * 37) % 3_000)}`;
      const expected = this.expected.get(key) ?? { acknowledged: undefined, version: '', tried: [] };
      this.expected.set(key, expected);
      expected.tried.push(value);
      const answer = await server
        .post('/data/set', { key: b64(key), ...(value === undefined ? { delete: true } : { value: b64(value) }) })
        .catch(() => undefined);
      if (answer === undefined) return;
      assert.equal(answer.status, 200, answer.text);
      const { version } = setAnswer.parse(answer.json);
      assert.ok(version > expected.version, 'versions of one key rise, also over crashes');
      this.expected.set(key, { acknowledged: value, version, tried: [] });
      this.acknowledgements += 1;
    }
  }

  /** Compares with all that the server holds, and takes what it holds for what was acknowledged. */
  async check(server: RunningServer): Promise<void> {
    const held = await everything(server);
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

async function everything(server: RunningServer): Promise<Map<string, { value: string; version: string }>> {
  const held = new Map<string, { value: string; version: string }>();
  let start: string | null = '';
  while (start !== null) {
    const { entries, next } = await server.list({ start, limit: 1_000 });
    for (const { key, value, version } of entries) {
      held.set(Buffer.from(key, 'base64').toString(), { value: Buffer.from(value, 'base64').toString(), version });
    }
    start = next;
  }
  return held;
}

describe('kill -9', () => {
  const scene = new Scene();
  after(() => scene.close());

  it(`I1, I5: amid ${writers} writers, ${crashes} times: no acknowledged write is missing, and the tree is the rebuilt tree`, async function () {
    this.timeout(180_000);
    const data = join(scene.dir(), 'data');
    const random = seededRandom(7);
    const all = new Writers();
    for (let round = 0; round < crashes; round += 1) {
      const server = await scene.server(data);
      await all.check(server);
      const writing = all.writeAll(server, round);
      const enough = all.acknowledgements + writers + Math.floor(random.fraction() * 400);
      while (all.acknowledgements < enough) await new Promise((resolve) => setImmediate(resolve));
      await server.crash();
      await writing;
    }
    const last = await scene.server(data);
    await all.check(last);
    await last.crash();
    assert.ok(all.acknowledgements > crashes * writers);
    await using store = await openLmdbStore({ dir: data, clock: realClock, random, log: silentLog });
    await assertTree(store, new MeshDigests(openMesh));
  });
});

/** The same writes, grants and revocations, in other orders: what is left is the same, and is what the rules say, told without the code. */
import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { type Random } from '../../src/core/ports.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { type AnyRecord } from '../../src/grant/anyRecord.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { isFinal } from '../../src/grant/known.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { assertTree } from '../aae/oracle.ts';
import { DenseDigests, key, openInstance, type Instance } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';
import { FakeClock, seededRandom } from '../support.ts';

const seeds = Number(process.env['GKVMESH_TEST_ORDERS'] ?? 40);
const always = { notBeforeMs: 0, expiresMs: 2 ** 48 };
const peerInstance = parseInstance(new Uint8Array(8).fill(0xee));
const nowMs = new FakeClock().now();

interface Writer {
  readonly name: string;
  readonly grant: Grant;
  /** From the root's on. */
  readonly chain: readonly Grant[];
  /** Keys that it may write: those that begin so. */
  readonly prefix: string;
}

interface History {
  readonly mesh: Mesh;
  readonly digests: DenseDigests;
  readonly records: readonly AnyRecord[];
  readonly writes: readonly ReceivedWrite[];
  /** Ids of the candidates of each key, in hex, rising. */
  readonly expected: ReadonlyMap<string, readonly string[]>;
}

const below = (random: Random, end: number): number => Math.floor(random.fraction() * end);

function oneOf<T>(random: Random, from: readonly T[]): T {
  const chosen = from[below(random, from.length)];
  if (chosen === undefined) throw new Error('nothing to choose from');
  return chosen;
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: random.fraction() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function writersOf(mesh: Mesh, random: Random): Writer[] {
  const first = mesh.grant('w0', always);
  const writers: Writer[] = [{ name: 'w0', grant: first, chain: [first], prefix: '/' }];
  for (let i = 1; i < 6; i += 1) {
    const parent = oneOf(
      random,
      writers.filter(({ grant }) => grant.body.depth > 0),
    );
    const prefix = parent.prefix === '/' ? oneOf(random, ['/', '/x/']) : parent.prefix;
    const grant = mesh.given(parent.grant, parent.name, `w${i}`, { patterns: patternsOf(`${prefix}**`) });
    writers.push({ name: `w${i}`, grant, chain: [...parent.chain, grant], prefix });
  }
  return writers;
}

function historyOf(seed: number): History {
  const random = seededRandom(seed);
  const mesh = new Mesh();
  const digests = new DenseDigests(4, mesh.id);
  const writers = writersOf(mesh, random);
  const ended = shuffled(random, writers.slice(1)).slice(0, below(random, 3));
  const revocations = ended.map(({ grant, chain }) => {
    const by = oneOf(random, chain);
    return mesh.revocation(grant, writers.find((each) => each.grant === by)?.name ?? 'w0');
  });
  const names = ['/x/1', '/x/2', '/y/1', '/y/2'];
  const made = Array.from({ length: 30 }, (_, i) => {
    const writer = oneOf(random, writers);
    const name = oneOf(random, names);
    const isForged = random.fraction() < 0.1;
    const tombstone = random.fraction() < 0.2;
    const value = Buffer.from(tombstone ? '' : 'v'.repeat(below(random, 2) * 300 + i));
    const version = makeStamp(nowMs - below(random, 20), i, peerInstance);
    const statement = { key: key(name), version, tombstone, expiresAt: 0, leaf: parseGrantId(writer.grant.id), value };
    const id = digests.writeId(bodyOf(statement));
    const [signature = new Uint8Array(0)] = signWrites(mesh.id, [id], person(isForged ? 'nobody' : writer.name));
    const stands = !isForged && name.startsWith(writer.prefix) && !writer.chain.some((link) => ended.some(({ grant }) => grant === link));
    return { received: { write: { ...statement, signature }, id, accepted: version }, writer, name, stands };
  });
  const expected = new Map<string, readonly string[]>();
  for (const name of names) {
    const greatest = new Map<Writer, ReceivedWrite>();
    for (const { received, writer, name: of, stands } of made) {
      if (of !== name || !stands) continue;
      const before = greatest.get(writer);
      if (before === undefined || Buffer.compare(before.write.version, received.write.version) < 0) greatest.set(writer, received);
    }
    expected.set(name, [...greatest.values()].map(({ id }) => toHex(id)).sort());
  }
  const records = [mesh.root, ...writers.map(({ grant }) => grant), ...revocations].map(anyOf);
  return { mesh, digests, records, writes: made.map(({ received }) => received), expected };
}

/** Gives a store all of a history, piece by piece, some of it twice. */
async function live({ mesh, records, writes }: History, seed: number): Promise<Instance> {
  const random = seededRandom(seed);
  const granted = { meshId: mesh.id, records: [], signer: person('w0') };
  const region = await openInstance({ granted, seed, feedPartitions: 1 });
  const { replica, ledger } = region;
  const signal = new AbortController().signal;
  let recordsLeft = shuffled(random, records);
  let writesLeft = shuffled(random, [...writes, ...writes.slice(0, 5)]);
  while (recordsLeft.length + writesLeft.length > 0) {
    const step = below(random, 5);
    if (step < 2) {
      const count = 1 + below(random, 4);
      const refused = (await ledger?.takeAll(recordsLeft.slice(0, count))) ?? [];
      assert.ok(refused.every(({ refusal }) => !isFinal(refusal)));
      recordsLeft = [...recordsLeft.slice(count), ...refused.map(({ any }) => any)]; // they wait for others, and come again
    } else if (step < 4) {
      const count = 1 + below(random, 6);
      await replica.receive(writesLeft.slice(0, count), `peer ${below(random, 2)}`);
      writesLeft = writesLeft.slice(count);
    } else await replica.settleAuthority(signal);
  }
  await replica.settleAuthority(signal);
  return region;
}

describe('orders of writes and their authority', () => {
  it(`I2: I4: R25: R26: R28: ${seeds} histories, each in three orders, leave what stands and nothing else`, async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const history = historyOf(seed);
      for (const order of [1, 2, 3]) {
        const region = await live(history, seed * 10 + order);
        for (const [name, expected] of history.expected) {
          const found = (await region.replica.candidates(key(name))).map(({ id }) => toHex(id)).sort();
          assert.deepEqual(found, expected, `seed ${seed}, order ${order}, ${name}`);
        }
        assert.equal((await region.replica.parkedCount()).writes, 0, `seed ${seed}, order ${order}: nothing waits`);
        await assertTree(region.store, region.digests);
      }
    }
  });
});

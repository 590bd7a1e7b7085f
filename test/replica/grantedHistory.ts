/** Histories of writes under chains of grants, and of their end, for tests of what is left of them in any order. */
import { toHex } from '../../src/core/bytes.ts';
import { type Random } from '../../src/core/ports.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { parseGrantId, type Write } from '../../src/core/write.ts';
import { type AnyRecord } from '../../src/grant/anyRecord.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { type MeshDigests } from '../../src/crypto/mesh.ts';
import { DenseDigests, key } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';
import { FakeClock, seededRandom } from '../support.ts';

export const always = { notBeforeMs: 0, expiresMs: 2 ** 48 };
const peerInstance = parseInstance(new Uint8Array(8).fill(0xee));
export const nowMs = new FakeClock().now();

interface Writer {
  readonly name: string;
  readonly grant: Grant;
  /** From the root's on. */
  readonly chain: readonly Grant[];
  /** Keys that it may write: those that begin so. */
  readonly prefix: string;
}

export interface MadeWrite {
  readonly received: ReceivedWrite;
  readonly writer: Writer;
  /** Of its key. */
  readonly name: string;
  /** Whether its writer might make it, before anything was revoked. */
  readonly wasAllowed: boolean;
  readonly stands: boolean;
}

export interface History {
  readonly mesh: Mesh;
  readonly digests: DenseDigests;
  /** The root's document and all grants. */
  readonly grants: readonly AnyRecord[];
  readonly revocations: readonly AnyRecord[];
  readonly writes: readonly MadeWrite[];
  /** Ids of the candidates of each key, in hex, rising. */
  readonly expected: ReadonlyMap<string, readonly string[]>;
}

export const below = (random: Random, end: number): number => Math.floor(random.fraction() * end);

export function oneOf<T>(random: Random, from: readonly T[]): T {
  const chosen = from[below(random, from.length)];
  if (chosen === undefined) throw new Error('nothing to choose from');
  return chosen;
}

export function shuffled<T>(random: Random, items: readonly T[]): T[] {
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

/** As a peer sends it. */
export function signedBy(name: string, statement: Omit<Write, 'signature'>, digests: MeshDigests): ReceivedWrite {
  const id = digests.writeId(bodyOf(statement));
  const [signature = new Uint8Array(0)] = signWrites(digests.meshId, [id], person(name));
  return { write: { ...statement, signature }, id, accepted: statement.version };
}

export function historyOf(seed: number): History {
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
    const expiresAt = !tombstone && random.fraction() < 0.15 ? nowMs - below(random, 20) : 0;
    const value = Buffer.from(tombstone ? '' : 'v'.repeat(below(random, 2) * 300 + i));
    const version = makeStamp(nowMs - below(random, 20), i, peerInstance);
    const statement = { key: key(name), version, tombstone, expiresAt, leaf: parseGrantId(writer.grant.id), value };
    const wasAllowed = !isForged && name.startsWith(writer.prefix);
    const stands = wasAllowed && !writer.chain.some((link) => ended.some(({ grant }) => grant === link));
    return { received: signedBy(isForged ? 'nobody' : writer.name, statement, digests), writer, name, wasAllowed, stands };
  });
  const expected = new Map<string, readonly string[]>();
  for (const name of names) {
    const standing = made.filter(({ name: of, stands }) => of === name && stands);
    const candidates = standing.filter(
      (each) => !standing.some((other) => isGreater(other, each) && each.writer.chain.includes(other.writer.grant)),
    );
    expected.set(name, candidates.map(({ received }) => toHex(received.id)).sort());
  }
  const grants = [mesh.root, ...writers.map(({ grant }) => grant)].map(anyOf);
  return { mesh, digests, grants, revocations: revocations.map(anyOf), writes: made, expected };
}

/** By version: no two of one history are equal. */
export function isGreater(a: MadeWrite, b: MadeWrite): boolean {
  return Buffer.compare(a.received.write.version, b.received.write.version) > 0;
}

import fc from 'fast-check';
import { inlineRecordBytesMax, type Entry, type Head } from '../../src/core/entry.ts';
import { parseKey, type Key } from '../../src/core/key.ts';
import { makeStamp, parseInstance, type Stamp } from '../../src/core/stamp.ts';
import {
  compareWrites,
  grantZero,
  parseGrantId,
  parseWriteId,
  signatureEmpty,
  type GrantId,
  type WriteBody,
} from '../../src/core/write.ts';
import { type MeshDigests } from '../../src/crypto/mesh.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

const keys: fc.Arbitrary<Key> = fc
  .oneof({ weight: 8, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 20 }) }, { weight: 1, arbitrary: bytes(1_024) })
  .map((key) => parseKey(key));

export const stamps: fc.Arbitrary<Stamp> = fc
  .record({ ms: fc.integer({ min: 0, max: 0xffff_ffff_ffff }), logical: fc.integer({ min: 0, max: 0xffff }), instance: bytes(8) })
  .map(({ ms, logical, instance }) => makeStamp(ms, logical, parseInstance(instance)));

/** Few different ones, so that writes meet. */
export const fewStamps: fc.Arbitrary<Stamp> = fc
  .record({ ms: fc.integer({ min: 1, max: 3 }), logical: fc.constantFrom(0, 1, 0xffff), instance: fc.constantFrom(1, 2) })
  .map(({ ms, logical, instance }) => makeStamp(ms, logical, parseInstance(new Uint8Array(8).fill(instance))));

const leaves: fc.Arbitrary<GrantId> = fc.oneof(
  fc.constant(grantZero),
  bytes(32).map((id) => parseGrantId(id)),
);

/** 1 to 2^53 − 1 ms, or 0 for never. */
const expiries = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }));

export const bodies: fc.Arbitrary<WriteBody & { value: Uint8Array }> = fc
  .record({
    key: keys,
    version: stamps,
    tombstone: fc.boolean(),
    expiresAt: expiries,
    leaf: leaves,
    value: fc.uint8Array({ maxLength: 50 }),
  })
  .map((body) => (body.tombstone ? { ...body, expiresAt: 0, value: new Uint8Array(0) } : body))
  .map((body) => ({ ...body, valueLength: body.value.length, valueDigest: sha256(body.value) }));

export function receivedWrites(digests: MeshDigests): fc.Arbitrary<ReceivedWrite> {
  return fc.tuple(bodies, fc.option(stamps, { nil: undefined })).map(([granted, accepted]) => {
    const { value, ...body } = { ...granted, leaf: grantZero };
    const write = { ...body, value, signature: signatureEmpty };
    return { write, id: digests.writeId(body), accepted: accepted ?? body.version };
  });
}

/** Heads that are placed already. */
const heads: fc.Arbitrary<Head> = fc
  .record({
    version: stamps,
    id: bytes(32).map((id) => parseWriteId(id)),
    tombstone: fc.boolean(),
    expiresAt: expiries,
    leaf: leaves,
    length: fc.integer({ min: 1, max: 1_049_600 }),
    accepted: stamps,
    position: fc.record({ commit: bytes(10), place: fc.integer({ min: 0, max: 0xffff }) }),
    record: fc.option(fc.oneof(fc.uint8Array({ minLength: 2, maxLength: 20 }), bytes(inlineRecordBytesMax)), { nil: undefined }),
  })
  .map((head) => (head.tombstone ? { ...head, expiresAt: 0 } : head));

export const entries: fc.Arbitrary<Entry> = fc
  .uniqueArray(heads, { minLength: 1, maxLength: 4, selector: ({ leaf }) => Buffer.from(leaf).toString('hex') })
  .map((all) => all.sort((a, b) => compareWrites(b, a)));

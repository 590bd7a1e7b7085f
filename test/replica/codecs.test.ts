import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseStamp, physicalMsOf, successorStamp, parseInstance, type Stamp } from '../../src/core/stamp.ts';
import { MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { batchStatuses, decodeSlot, encodeSlot, type SlotRecord } from '../../src/replica/slot.ts';
import { decodeWrites, encodeWrites, wireLength } from '../../src/replica/wire.ts';
import { receivedWrites, stamps } from '../core/arbitraries.ts';
import { assertNothingElse, assertStrict, refuses } from '../core/strict.ts';

const digests = new MeshDigests(openMesh);
const decode = (bytes: Uint8Array): unknown => decodeWrites(bytes, digests);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const follower = (stamp: Stamp): Stamp => successorStamp(stamp, parseInstance(stamp.subarray(8)));

/** Stamps in runs, as a batch mints them; none so great that it has no successor. */
const runs = fc
  .array(
    fc.tuple(
      stamps.filter((stamp) => physicalMsOf(stamp) < 2 ** 48 - 1),
      fc.integer({ min: 1, max: 4 }),
    ),
    { maxLength: 4 },
  )
  .map((list) =>
    list.flatMap(([first, length]) =>
      Array.from({ length }).reduce<Stamp[]>((run) => [...run, run.length === 0 ? first : follower(run.at(-1) ?? first)], []),
    ),
  );

const slots: fc.Arbitrary<SlotRecord> = fc
  .record({ lease: fc.maxSafeNat(), closed: stamps, batch: fc.maxSafeNat(), stamps: runs, status: fc.constantFrom(...batchStatuses) })
  .map(({ stamps: all, status, ...record }) => ({
    ...record,
    results: all.map((stamp, i) => ({ status: i % 2 === 0 ? 'applied' : status, stamp })),
  }));

describe('codecs of the replica', () => {
  it('R1: a slot record comes back as it went', () => {
    fc.assert(
      fc.property(slots, (record) => {
        const decoded = decodeSlot(encodeSlot(record));
        assert.deepEqual([decoded.lease, decoded.batch, hex(decoded.closed)], [record.lease, record.batch, hex(record.closed)]);
        const show = ({ results }: SlotRecord): string[] => results.map(({ status, stamp }) => `${status} ${hex(stamp)}`);
        assert.deepEqual(show(decoded), show(record));
      }),
    );
  });

  it('R1: a slot record refuses every truncation and every extra byte', () => {
    fc.assert(
      fc.property(slots, (record) => {
        assertStrict(decodeSlot, encodeSlot(record));
      }),
      { numRuns: 30 },
    );
    assertNothingElse(decodeSlot);
  });

  it('R1: a run of minted stamps takes a byte each', () => {
    const first = parseStamp(Buffer.from('018bcfe5687b00000102030405060708', 'hex'));
    const results = Array.from({ length: 500 }).reduce<Stamp[]>(
      (run) => [...run, run.length === 0 ? first : follower(run.at(-1) ?? first)],
      [],
    );
    const record = { lease: 1, closed: first, batch: 1, results: results.map((stamp) => ({ status: 'applied' as const, stamp })) };
    assert.equal(encodeSlot(record).length, 1 + 8 + 16 + 8 + 2 + 16 + 500);
  });

  it('R2: writes come back as they went, with their ids', () => {
    fc.assert(
      fc.property(fc.array(receivedWrites(digests), { maxLength: 5 }), (writes) => {
        const bytes = encodeWrites(writes);
        const decoded = decodeWrites(bytes, digests);
        const told = ({ write, id, accepted }: ReceivedWrite): unknown[] => [
          hex(write.key),
          hex(write.value),
          hex(write.version),
          write.tombstone,
          write.expiresAt,
          hex(write.leaf),
          hex(id),
          hex(accepted),
        ];
        assert.deepEqual(decoded.map(told), writes.map(told));
        assert.ok(bytes.length <= writes.reduce((room, { write }) => room + wireLength(write.key.length, write.value.length), 0));
      }),
    );
  });

  it('R2: a write refuses every truncation and every extra byte', () => {
    fc.assert(
      fc.property(receivedWrites(digests), (write) => {
        assertStrict(decode, encodeWrites([write]), 1);
      }),
      { numRuns: 30 },
    );
    assertNothingElse(decode);
  });

  it('R2: a write has one encoding on the wire', () => {
    fc.assert(
      fc.property(receivedWrites(digests), fc.nat(), fc.integer({ min: 1, max: 255 }), (write, at, flip) => {
        const bytes = Buffer.from(encodeWrites([write]));
        const index = at % bytes.length;
        bytes[index] = (bytes[index] ?? 0) ^ flip;
        if (!refuses(decode, bytes)) assert.equal(hex(encodeWrites(decodeWrites(bytes, digests))), hex(bytes));
      }),
      { numRuns: 1_000 },
    );
  });
});

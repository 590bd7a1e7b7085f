import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../src/core/errors.ts';
import { decodeEntry, encodeEntry, inlineRecordBytesMax, type Entry, type Head } from '../../src/core/entry.ts';
import { stampBytes } from '../../src/core/stamp.ts';
import { decodeBody, encodeBody, parseGrantId, parseWriteId } from '../../src/core/write.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { bodies, entries } from './arbitraries.ts';
import { assertNothingElse, assertStrict, refuses, shown } from './strict.ts';

const unplaced = (): number => {
  throw new Error('every head has its place');
};

describe('codecs of core', () => {
  it('C1: a write body comes back as it went', () => {
    fc.assert(
      fc.property(bodies, (body) => {
        assert.deepEqual(shown({ ...decodeBody(encodeBody(body)), value: body.value }), shown(body));
      }),
    );
  });

  it('C1: a write body refuses every truncation and every extra byte', () => {
    fc.assert(
      fc.property(bodies, (body) => {
        assertStrict(decodeBody, encodeBody(body));
      }),
      { numRuns: 30 },
    );
    assertNothingElse(decodeBody);
  });

  it('C1: a write body has one encoding: whatever is decoded encodes to the same bytes', () => {
    fc.assert(
      fc.property(bodies, fc.nat(), fc.integer({ min: 1, max: 255 }), (body, at, flip) => {
        const bytes = Buffer.from(encodeBody(body));
        const index = at % bytes.length;
        bytes[index] = (bytes[index] ?? 0) ^ flip;
        if (!refuses(decodeBody, bytes)) assert.deepEqual(Buffer.from(encodeBody(decodeBody(bytes))), bytes);
      }),
      { numRuns: 1_000 },
    );
  });

  it('C1: a write body of another format, with unknown flags, or a tombstone with a value or an expiry is malformed', () => {
    fc.assert(
      fc.property(bodies, fc.integer({ min: 2, max: 255 }), (body, other) => {
        const bytes = Buffer.from(encodeBody(body));
        for (const index of [0, 1]) {
          const changed = Buffer.from(bytes);
          changed[index] = other;
          assert.throws(
            () => decodeBody(changed),
            (error) => hasCode(error, 'malformed'),
          );
        }
        const broken = { ...body, tombstone: true, expiresAt: 5 };
        assert.throws(
          () => decodeBody(encodeBody(broken)),
          (error) => hasCode(error, 'malformed'),
        );
        const huge = { ...body, tombstone: false, valueLength: 1_048_577 };
        assert.throws(
          () => decodeBody(encodeBody(huge)),
          (error) => hasCode(error, 'too_large'),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('C1: a value has at most 1,048,576 bytes; an empty one has one digest, and a tombstone none other', () => {
    const [sample] = fc.sample(bodies, 1);
    assert.ok(sample !== undefined);
    const body = { ...sample, tombstone: false, expiresAt: 0 };
    assert.equal(decodeBody(encodeBody({ ...body, valueLength: 1_048_576 })).valueLength, 1_048_576);
    for (const wrong of [
      { valueLength: 0, valueDigest: sha256(Buffer.of(1)) },
      { tombstone: true, valueLength: 1 },
    ])
      assert.throws(
        () => decodeBody(encodeBody({ ...body, ...wrong })),
        (error) => hasCode(error, 'malformed'),
        JSON.stringify(wrong),
      );
  });

  it('C1: the ids of writes and grants have 32 bytes', () => {
    for (const parse of [parseWriteId, parseGrantId]) {
      assert.equal(parse(new Uint8Array(32)).length, 32);
      for (const length of [0, 31, 33]) assert.ok(refuses(parse, new Uint8Array(length)), `${length} bytes`);
    }
  });

  it('C8: an entry comes back as it went', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        assert.deepEqual(shown(decodeEntry(encodeEntry(entry, unplaced))), shown(entry));
      }),
    );
  });

  it('C8: a head without a place takes the place of its commit', () => {
    fc.assert(
      fc.property(entries, fc.uint8Array({ minLength: 10, maxLength: 10 }), (entry, commit) => {
        const fresh = entry.map((head, i): Head => (i === 0 ? { ...head, position: undefined } : head));
        const bytes = Buffer.from(encodeEntry(fresh, () => 77));
        bytes.set(commit, 1);
        assert.deepEqual(
          shown(decodeEntry(bytes)),
          shown(entry.map((head, i) => (i === 0 ? { ...head, position: { commit, place: 77 } } : head))),
        );
      }),
    );
  });

  it('C8: an entry refuses every truncation and every extra byte', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        assertStrict(decodeEntry, encodeEntry(entry, unplaced));
      }),
      { numRuns: 30 },
    );
    assertNothingElse(decodeEntry);
  });

  it('C8: an entry of another format, of unknown flags, or with a record outside 2 to 256 bytes is corrupt', () => {
    const headAt = 12;
    fc.assert(
      fc.property(entries, fc.integer({ min: 64, max: 255 }), (entry, other) => {
        const bytes = Buffer.from(encodeEntry(entry, unplaced));
        for (const [at, value] of [
          [0, 1],
          [0, other],
          [headAt, other],
        ] as const) {
          const changed = Buffer.from(bytes);
          changed[at] = value;
          assert.throws(
            () => decodeEntry(changed),
            (error) => hasCode(error, 'corrupt'),
            `byte ${at} is ${value}`,
          );
        }
        const [first] = entry;
        assert.ok(first !== undefined);
        const bare = encodeEntry([{ ...first, record: undefined }], unplaced);
        const withRecord = (length: number): Buffer => {
          const changed = Buffer.concat([bare, Buffer.of(length >> 8, length & 0xff), Buffer.alloc(length)]);
          changed[headAt] = (changed[headAt] ?? 0) | 32;
          return changed;
        };
        for (const length of [2, inlineRecordBytesMax]) assert.equal(decodeEntry(withRecord(length))[0]?.record?.length, length);
        for (const length of [0, 1, inlineRecordBytesMax + 1, 0xffff])
          assert.ok(refuses(decodeEntry, withRecord(length)), `${length} bytes`);
      }),
      { numRuns: 30 },
    );
  });

  it('C8: heads that do not fall, two of one leaf grant, none, a field that its flag says is there and is not, and a tombstone that expires are corrupt', () => {
    const given = { tombstone: false, expiresAt: 5, leaf: parseGrantId(new Uint8Array(32).fill(3)), record: undefined };
    const isWhole = (entry: Entry): boolean =>
      entry.length > 1 && entry.every(({ accepted, version }) => !accepted.every((byte, i) => byte === version[i]));
    fc.assert(
      fc.property(entries.filter(isWhole), (entry) => {
        const [first, second] = entry;
        assert.ok(first !== undefined && second !== undefined);
        const isCorrupt = (bytes: Uint8Array, what: string): void => {
          assert.throws(
            () => decodeEntry(bytes),
            (error) => hasCode(error, 'corrupt'),
            what,
          );
        };
        isCorrupt(encodeEntry([second, first], unplaced), 'the lesser first');
        isCorrupt(encodeEntry([first, first], unplaced), 'a head twice');
        isCorrupt(encodeEntry([first, { ...second, leaf: first.leaf }], unplaced), 'two of one leaf');
        const bytes = Buffer.from(encodeEntry([{ ...first, ...given }], unplaced));
        assert.equal(decodeEntry(bytes).length, 1);
        const changed = (at: number, put: Uint8Array): Uint8Array =>
          Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + put.length)]);
        // After the record's 12 bytes: flags, place, version, id, length, accepted, expiry, leaf.
        const acceptedAt = 12 + 1 + 2 + stampBytes + 32 + 4;
        isCorrupt(changed(11, Buffer.of(0)).subarray(0, 12), 'no head');
        isCorrupt(changed(acceptedAt, first.version), 'accepted is the version');
        isCorrupt(changed(acceptedAt + stampBytes, Buffer.alloc(8)), 'never expires');
        isCorrupt(changed(acceptedAt + stampBytes + 8, Buffer.alloc(32)), 'no leaf');
        isCorrupt(changed(12, Buffer.of((bytes[12] ?? 0) | 1)), 'a tombstone that expires');
      }),
      { numRuns: 30 },
    );
  });

  it('C8: the record of a head is a view of the entry that was decoded', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const bytes = encodeEntry(entry, unplaced);
        for (const { record } of decodeEntry(bytes)) assert.ok(record === undefined || record.buffer === bytes.buffer);
      }),
      { numRuns: 30 },
    );
  });
});

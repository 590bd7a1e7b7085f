import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../src/core/errors.ts';
import { decodeEntry, encodeEntry, inlineRecordBytesMax, type Head } from '../../src/core/entry.ts';
import { decodeBody, encodeBody } from '../../src/core/write.ts';
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

/** What mutated inputs are made by. */
import fc from 'fast-check';

/** One change of some bytes, wherever it falls: flipped, cut out, put in, repeated. */
export const edits = fc.record({
  kind: fc.constantFrom('set', 'flip', 'cut', 'insert', 'repeat', 'length'),
  at: fc.nat(4_095),
  length: fc.integer({ min: 1, max: 70 }),
  value: fc.oneof(fc.constantFrom(0, 1, 2, 0x2a, 0x2f, 0x7f, 0x80, 0xff), fc.nat(255)),
});

type Edit = typeof edits extends fc.Arbitrary<infer T> ? T : never;

/** With that change. */
export function edited(bytes: Buffer, { kind, at, length, value }: Edit): Buffer {
  const from = bytes.length === 0 ? 0 : at % bytes.length;
  const [before, after] = [bytes.subarray(0, from), bytes.subarray(from)];
  switch (kind) {
    case 'set':
      return Buffer.concat([before, Buffer.of(value), after.subarray(1)]);
    case 'flip':
      return Buffer.concat([before, Buffer.of((after[0] ?? 0) ^ (1 << (value & 7))), after.subarray(1)]);
    case 'cut':
      return Buffer.concat([before, after.subarray(length)]);
    case 'insert':
      return Buffer.concat([before, Buffer.alloc(length, value), after]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, length), after]);
    case 'length':
      return Buffer.concat([before, Buffer.of(0xff, 0xff, 0xff, 0xff), after.subarray(4)]);
  }
}

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../src/core/errors.ts';

/** True when the decoder refuses the bytes, with an error of ours; anything else that it throws fails the test. */
export function refuses(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): boolean {
  try {
    decode(bytes);
    return false;
  } catch (error) {
    if (hasCode(error, 'malformed', 'too_large', 'peer_protocol', 'mesh_mismatch', 'corrupt')) return true;
    throw error;
  }
}

/** Every truncation is refused (down to `least` bytes), and so is each extra byte at the end. */
export function assertStrict(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array, least = 0): void {
  const lengths = bytes.length <= 600 ? [...bytes.keys()] : [...bytes.keys()].filter((n) => n < 300 || n > bytes.length - 300);
  for (const length of lengths) {
    if (length >= least) assert.ok(refuses(decode, bytes.subarray(0, length)), `cut to ${length} of ${bytes.length} bytes`);
  }
  for (const extra of [0, 1, 255]) assert.ok(refuses(decode, Buffer.concat([bytes, Buffer.of(extra)])), `a byte ${extra} behind the end`);
}

/** Random bytes are refused or decoded, but nothing else happens. */
export function assertNothingElse(decode: (bytes: Uint8Array) => unknown): void {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      refuses(decode, bytes);
    }),
    { numRuns: 500 },
  );
}

/** The same, with every byte string as hex, so that Buffers and arrays of bytes compare equal. */
export function shown(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, shown(part)]));
}

import { asBuffer } from '../core/bytes.ts';
import { inlineValueBytesMax, type Head } from '../core/entry.ts';
import { GkvError } from '../core/errors.ts';
import { type Key } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { type Write } from '../core/write.ts';
import { type Snapshot } from '../store/store.ts';
import { valueKey } from './change.ts';

/** What is stored of a write besides its head's fields: signature block ‖ value. */
export function valueRecord({ signature, value }: Write): Uint8Array {
  const record = Buffer.allocUnsafe(signature.length + value.length);
  record.set(signature);
  record.set(value, signature.length);
  return record;
}

/**
 * The record where its value is small enough to be part of the head, and not many `others` are in the entry; undefined where it gets a row of its own. Who
 * writes a key writes all its heads anew: many with values in them would be too large for a commit of many keys.
 */
export function inlineRecord(write: Write, others: number): Uint8Array | undefined {
  if (others > limits.inlineCandidatesMax) return undefined;
  return write.value.length <= inlineValueBytesMax ? valueRecord(write) : undefined;
}

/** The value and signature block of a candidate, as views. Error: `corrupt` where the store has lost or damaged them. */
export async function readRecord(snapshot: Snapshot, key: Key, head: Head): Promise<{ signature: Uint8Array; value: Uint8Array }> {
  const record = head.record ?? (await snapshot.get(valueKey(key, head.leaf)));
  if (record === undefined) throw new GkvError('corrupt', `a stored value of ${head.length - key.length} bytes is gone`);
  return splitRecord(record);
}

/** The signature block begins with its length, not counting the two bytes of the length. */
export function splitRecord(record: Uint8Array): { signature: Uint8Array; value: Uint8Array } {
  const at = record.length < 2 ? 2 : 2 + asBuffer(record).readUInt16BE(0);
  if (at > record.length) throw new GkvError('corrupt', `a stored value of ${record.length} bytes is shorter than its signature block`);
  return { signature: record.subarray(0, at), value: record.subarray(at) };
}

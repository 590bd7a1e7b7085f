import { type ByteReader } from '../core/bytes.ts';
import { type ByteWriter } from '../core/byteWriter.ts';
import { digestBytes } from '../core/write.ts';
import { grantLimits } from './limits.ts';
import { readDigests, readFormat, type Layout, type Signed } from './record.ts';

/** Who is the root of all authority: the first one's id is the mesh id, each later one replaces the one before. */
export interface RootBody {
  /** 1 for the first, then one more each. */
  readonly version: number;
  /** Id of the one before; zero for the first. */
  readonly previous: Uint8Array;
  /** 16 random bytes: the same keys may be the root of two meshes. */
  readonly nonce: Uint8Array;
  /** How many of the keys must sign. */
  readonly threshold: number;
  /** Rising, 32 bytes each. */
  readonly keys: readonly Uint8Array[];
  /** Ids of grants of earlier versions that still stand, rising. */
  readonly carried: readonly Uint8Array[];
}

export type RootDocument = Signed<RootBody>;

export const nonceBytes = 16;

/**
 * format u8=1 | version u32 | previous 32 | nonce 16 | threshold u8 | count u8 1..16 | keys 32 each, rising | count u16 ≤ 1,024 | ids of
 * carried grants 32 each, rising.
 */
export const rootLayout: Layout<RootBody> = {
  what: 'root document',
  idLabel: 'gkvmesh/root/v1\0',
  signLabel: 'gkvmesh/root/sign/v1\0',
  idScope: 'none',
  writeBody,
  readBody,
};

function writeBody(writer: ByteWriter, body: RootBody): void {
  writer.u8(1);
  writer.u32(body.version);
  writer.bytes(body.previous);
  writer.bytes(body.nonce);
  writer.u8(body.threshold);
  writer.u8(body.keys.length);
  for (const key of body.keys) writer.bytes(key);
  writer.u16(body.carried.length);
  for (const id of body.carried) writer.bytes(id);
}

function readBody(reader: ByteReader): RootBody {
  readFormat(reader);
  const version = reader.u32();
  const previous = reader.bytes(digestBytes);
  const nonce = reader.bytes(nonceBytes);
  const threshold = reader.u8();
  const keys = readDigests(reader, { min: 1, max: grantLimits.rootKeysMax, count: reader.u8(), what: 'keys' });
  const carried = readDigests(reader, { min: 0, max: grantLimits.carriedMax, count: reader.u16(), what: 'carried grants' });
  const isFirst = previous.every((byte) => byte === 0);
  if (version === 0) throw reader.fail('version 0, the first is 1');
  if (isFirst !== (version === 1)) throw reader.fail(`version ${version} ${isFirst ? 'without' : 'with'} one before it`);
  if (isFirst && carried.length > 0) throw reader.fail('grants carried over into the first version');
  if (threshold < 1 || threshold > keys.length) throw reader.fail(`threshold ${threshold} of ${keys.length} keys`);
  return { version, previous, nonce, threshold, keys, carried };
}

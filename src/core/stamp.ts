import { asBuffer } from './bytes.ts';
import { GkvError } from './errors.ts';

declare const stampBrand: unique symbol;
declare const instanceBrand: unique symbol;

/** A hybrid logical clock reading, 16 bytes: physical ms u48 | logical u16 | instance u64, big-endian; byte order is time order. */
export type Stamp = Uint8Array & { readonly [stampBrand]: true };

/** 8 bytes: the cluster's 48-bit id | slot u16, or the first 8 bytes of a client key's SHA-256. */
export type InstanceId = Uint8Array & { readonly [instanceBrand]: true };

export const stampBytes = 16;
export const instanceBytes = 8;
export const logicalMax = 0xffff;
/** The greatest physical part: 2^48 − 1 ms, in the year 10889. */
export const physicalMsMax = 0xffff_ffff_ffff;

export function parseInstance(bytes: Uint8Array): InstanceId {
  if (bytes.length !== instanceBytes) throw new GkvError('malformed', `instance has ${bytes.length} bytes, must have 8`);
  return bytes as InstanceId; // minted here alone
}

/** Of stamps that nobody gave: marks and bounds. */
export const noInstance: InstanceId = parseInstance(new Uint8Array(instanceBytes));

/** Takes 16 bytes over as a stamp: every value is one. */
export function parseStamp(bytes: Uint8Array): Stamp {
  if (bytes.length !== stampBytes) throw new GkvError('malformed', `stamp has ${bytes.length} bytes, must have 16`);
  return bytes as Stamp; // minted here and in makeStamp alone
}

export function makeStamp(physicalMs: number, logical: number, instance: InstanceId): Stamp {
  const stamp = Buffer.allocUnsafe(stampBytes);
  stamp.writeUIntBE(physicalMs, 0, 6);
  stamp.writeUInt16BE(logical, 6);
  stamp.set(instance, 8);
  return stamp as Uint8Array as Stamp;
}

export const stampZero: Stamp = makeStamp(0, 0, noInstance);

export function physicalMsOf(stamp: Stamp): number {
  return asBuffer(stamp).readUIntBE(0, 6);
}

export function logicalOf(stamp: Stamp): number {
  return asBuffer(stamp).readUInt16BE(6);
}

export function compareStamps(a: Stamp, b: Stamp): number {
  return Buffer.compare(a, b);
}

/** The least stamp of `instance` whose clock part is greater than that of `stamp`. Carries from logical into ms. */
export function successorStamp(stamp: Stamp, instance: InstanceId): Stamp {
  const physicalMs = physicalMsOf(stamp);
  const logical = logicalOf(stamp);
  if (logical < logicalMax) return makeStamp(physicalMs, logical + 1, instance);
  if (physicalMs === physicalMsMax) throw new GkvError('internal', 'stamps are used up: physical part is 2^48 - 1');
  return makeStamp(physicalMs + 1, 0, instance);
}

/** 32 lower-case hex digits, as in the HTTP API. */
export function stampToHex(stamp: Stamp): string {
  return asBuffer(stamp).toString('hex');
}

export function stampFromHex(text: string): Stamp {
  if (!/^[0-9a-f]{32}$/.test(text)) {
    throw new GkvError('malformed', `stamp ${JSON.stringify(text.slice(0, 40))} is not 32 lower-case hex digits`);
  }
  return parseStamp(Buffer.from(text, 'hex'));
}

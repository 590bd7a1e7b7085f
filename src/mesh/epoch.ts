import { sha256 } from '../crypto/digest.ts';
import { type Members } from './peers.ts';

export const epochBytes = 8;
/** Of a cluster that has not read its members. */
export const epochNone = new Uint8Array(epochBytes);

const domain = Buffer.from('gkvmesh/epoch/v1\0');

/**
 * Names who is a member and who was removed by which removal: the first 8 bytes of SHA-256 over the domain and, in the order of cluster ids, cluster id
 * 16 | u8 0, or cluster id 16 | u8 1 | SHA-256 of the removal's name 32. Addresses are no part of it, and neither is whether a removal is settled.
 */
export function epochOf({ records, unreadable, removed }: Members): Uint8Array {
  const members = [...records.map(({ clusterId }) => clusterId), ...unreadable.map((name) => Buffer.from(name, 'hex'))];
  const parts = [
    ...members.map((clusterId) => Buffer.concat([clusterId, Buffer.of(0)])),
    ...removed.map(({ clusterId, removal }) => Buffer.concat([clusterId, Buffer.of(1), sha256(Buffer.from(removal))])),
  ];
  return sha256(Buffer.concat([domain, ...parts.sort((a, b) => Buffer.compare(a, b))])).subarray(0, epochBytes);
}

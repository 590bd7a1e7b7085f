import { asBuffer } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { instanceBytes, parseInstance, type InstanceId, type Stamp } from '../core/stamp.ts';
import { elementSum, type Sum } from '../core/sum.ts';
import { bodyLength, digestBytes, encodeBody, parseWriteId, writeBodyTo, type WriteBody, type WriteId } from '../core/write.ts';
import { hmacSha256, sha256, sha256Text } from './digest.ts';

const writeLabel = Buffer.from('gkvmesh/write/v1\0');
const elementLabel = Buffer.from('gkvmesh/el/v1\0');
const boundLabel = Buffer.from('gkvmesh/br/v1\0');
const clusterLabel = Buffer.from('gkvmesh/cluster/v1\0');

export const meshKeyBytes = 32;
export const meshIdBytes = 32;
/** Zero bits of its digest that let a key bound level 1, and each further level. */
const leafBits = 8;
const levelBits = 5;
/** No key bounds more levels than fit 64 bits: 8 + 11 · 5 = 63. */
export const boundLevelMax = 12;

/** A mesh that anybody may join: both values are public, and nothing is secret. */
export const openMesh = {
  id: sha256(Buffer.from('gkvmesh/open/id/v1\0')),
  key: sha256(Buffer.from('gkvmesh/open/key/v1\0')),
} as const;

/** The id of a write, for who has no mesh key: SHA-256("gkvmesh/write/v1\0" ‖ meshId ‖ body). */
export function writeIdOf(meshId: Uint8Array, body: WriteBody): WriteId {
  return parseWriteId(sha256(Buffer.concat([writeLabel, meshId, encodeBody(body)])));
}

/** Whether writes carry authority: nobody needs any in an open mesh, and no write is without in a granted one. */
export type MeshKind = 'open' | 'granted';

/** The digests that depend on the mesh. One object a process; not safe to share between threads. */
export class MeshDigests {
  readonly meshId: Uint8Array;
  readonly kind: MeshKind;
  readonly #meshKey: Uint8Array;
  readonly #writePrefix: Buffer;
  readonly #elementInput: Buffer;
  readonly #elementAt: number;
  readonly #boundPrefix: Buffer;
  #scratch = Buffer.allocUnsafe(2_048);

  /** `kind` left out: open. */
  constructor(mesh: { id: Uint8Array; key: Uint8Array; kind?: MeshKind }) {
    if (mesh.id.length !== meshIdBytes) throw new GkvError('bad_config', `mesh id has ${mesh.id.length} bytes, must have 32`);
    if (mesh.key.length !== meshKeyBytes) throw new GkvError('bad_config', `mesh key has ${mesh.key.length} bytes, must have 32`);
    this.meshId = mesh.id;
    this.kind = mesh.kind ?? 'open';
    this.#meshKey = mesh.key;
    this.#writePrefix = Buffer.concat([writeLabel, mesh.id]);
    this.#elementAt = meshKeyBytes + elementLabel.length;
    this.#elementInput = Buffer.concat([mesh.key, elementLabel, new Uint8Array(16 + digestBytes)]);
    this.#boundPrefix = Buffer.concat([mesh.key, boundLabel]);
  }

  /** SHA-256("gkvmesh/write/v1\0" ‖ meshId ‖ body). */
  writeId(body: WriteBody): WriteId {
    const length = this.#writePrefix.length + bodyLength(body.key.length);
    const input = this.#scratchOf(length);
    input.set(this.#writePrefix);
    writeBodyTo(input, this.#writePrefix.length, body);
    return parseWriteId(sha256(input));
  }

  /**
   * φ = 1 + len·2^64 + h·2^128 with h = SHA-256(meshKey ‖ "gkvmesh/el/v1\0" ‖ version ‖ writeId), little-endian; len in
   * bytes of key and value.
   */
  element(write: { version: Stamp; id: WriteId; length: number }): Sum {
    this.#elementInput.set(write.version, this.#elementAt);
    this.#elementInput.set(write.id, this.#elementAt + 16);
    return elementSum(write.length, sha256Text(this.#elementInput));
  }

  /**
   * The highest level at which the key bounds a branch, 0 for most: the first 8 bytes (big-endian) of SHA-256(meshKey ‖
   * "gkvmesh/br/v1\0" ‖ key) are 0 modulo 256 · 32^(level − 1).
   */
  boundLevel(key: Uint8Array): number {
    const input = this.#scratchOf(this.#boundPrefix.length + key.length);
    input.set(this.#boundPrefix);
    input.set(key, this.#boundPrefix.length);
    const digest = sha256Text(input);
    const low = wordAt(digest, 4);
    const bits = low === 0 ? 32 + trailingZeros(wordAt(digest, 0)) : trailingZeros(low);
    if (bits < leafBits) return 0;
    return Math.min(boundLevelMax, 1 + Math.floor((bits - leafBits) / levelBits));
  }

  /** HMAC under the mesh key. */
  mac(...parts: readonly Uint8Array[]): Uint8Array {
    return hmacSha256(this.#meshKey, ...parts);
  }

  /** SHA-256 over the mesh key and the parts: a keyed digest for inputs of fixed lengths. */
  keyed(part: Uint8Array, other: Uint8Array): Uint8Array {
    const input = this.#scratchOf(meshKeyBytes + part.length + other.length);
    input.set(this.#meshKey);
    input.set(part, meshKeyBytes);
    input.set(other, meshKeyBytes + part.length);
    return sha256(input);
  }

  #scratchOf(length: number): Buffer {
    if (length > this.#scratch.length) this.#scratch = Buffer.allocUnsafe(length * 2);
    return this.#scratch.subarray(0, length);
  }
}

/** 32 bits, big-endian, from one char a byte. */
function wordAt(text: string, at: number): number {
  return (text.charCodeAt(at) << 24) | (text.charCodeAt(at + 1) << 16) | (text.charCodeAt(at + 2) << 8) | text.charCodeAt(at + 3);
}

function trailingZeros(word: number): number {
  return word === 0 ? 32 : 31 - Math.clz32(word & -word);
}

/**
 * The instance part of a slot's stamps: the first 6 bytes of SHA-256("gkvmesh/cluster/v1\0" ‖ clusterId ‖ incarnation u32), then
 * slot u16. `clusterId` is the UUID's 16 bytes.
 */
export function instanceOf(clusterId: Uint8Array, incarnation: number, slot: number): InstanceId {
  const tail = Buffer.alloc(4);
  tail.writeUInt32BE(incarnation);
  const digest = asBuffer(sha256(Buffer.concat([clusterLabel, clusterId, tail])));
  const instance = Buffer.alloc(8);
  instance.set(digest.subarray(0, 6));
  instance.writeUInt16BE(slot, 6);
  return parseInstance(instance);
}

/** The instance part of the versions that the holder of a key mints: the first 8 bytes of its SHA-256. */
export function clientInstance(publicKey: Uint8Array): InstanceId {
  return parseInstance(sha256(publicKey).subarray(0, instanceBytes));
}

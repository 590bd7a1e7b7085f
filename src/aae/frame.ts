import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type MeshDigests } from '../crypto/mesh.ts';

/** Version of this protocol; another one is refused. */
export const protocolVersion = 1;
/** A frame aims at 1 MiB and may exceed it by what the greatest write needs beside its value. */
export const frameBytesAim = 1_048_576;
export const frameBytesMax = 1_114_112;
export const nonceBytes = 16;

const macBytes = 16;
const requestLabel = Buffer.from('gkvmesh/exchange/request/v1\0');
const answerLabel = Buffer.from('gkvmesh/exchange/answer/v1\0');

/** What stands in front of every request. `floor` is zero until floors are served. */
export interface RequestHeader {
  readonly clusterId: Uint8Array;
  readonly nonce: Uint8Array;
  readonly floor: Uint8Array;
}

export interface Request {
  readonly header: RequestHeader;
  readonly body: Uint8Array;
  /** Of the frame; the answer is bound to it. */
  readonly mac: Uint8Array;
}

/** mac 16 | CBOR [version, mesh id 32, cluster id 16, nonce 16, floor 16, body]. The mac is an HMAC under the mesh key. */
export function encodeRequest(header: RequestHeader, body: Uint8Array, digests: MeshDigests): Uint8Array {
  const { clusterId, nonce, floor } = header;
  const payload = encode([protocolVersion, digests.meshId, clusterId, nonce, floor, body], rfc8949EncodeOptions);
  return Buffer.concat([digests.mac(requestLabel, payload).subarray(0, macBytes), payload]);
}

/**
 * Errors: `too_large`; `peer_protocol` for another version or bytes that are no frame; `mesh_mismatch` for another mesh id or
 * mesh key.
 */
export function decodeRequest(frame: Uint8Array, digests: MeshDigests): Request {
  const { mac, payload } = splitFrame(frame);
  const [version, meshId, clusterId, nonce, floor, body] = decodeArray(payload, 6);
  if (version !== protocolVersion) throw protocolError(`frame of protocol version ${String(version)}, this instance speaks ${protocolVersion}`);
  const theirMesh = bytesField(meshId, 'mesh id', 32);
  if (!equalBytes(theirMesh, digests.meshId)) {
    throw new GkvError('mesh_mismatch', `the peer is of mesh ${toHex(theirMesh)}, this instance is of ${toHex(digests.meshId)}`);
  }
  if (!equalBytes(mac, digests.mac(requestLabel, payload).subarray(0, macBytes))) throw keyMismatch();
  const header = {
    clusterId: bytesField(clusterId, 'cluster id', 16),
    nonce: bytesField(nonce, 'nonce', nonceBytes),
    floor: bytesField(floor, 'floor', 16),
  };
  return { header, body: bytesField(body, 'body'), mac };
}

export interface Answer {
  readonly clusterId: Uint8Array;
  readonly body: Uint8Array;
}

/** mac 16, over the request's too | CBOR [version, cluster id 16, body]. */
export function encodeAnswer(answer: Answer, request: Request, digests: MeshDigests): Uint8Array {
  const payload = encode([protocolVersion, answer.clusterId, answer.body], rfc8949EncodeOptions);
  return Buffer.concat([digests.mac(answerLabel, request.mac, payload).subarray(0, macBytes), payload]);
}

/** `request` is the frame that was sent. Errors: as for a request. */
export function decodeAnswer(frame: Uint8Array, request: Uint8Array, digests: MeshDigests): Answer {
  const { mac, payload } = splitFrame(frame);
  const [version, clusterId, body] = decodeArray(payload, 3);
  if (version !== protocolVersion) throw protocolError(`answer of protocol version ${String(version)}, this instance speaks ${protocolVersion}`);
  const expected = digests.mac(answerLabel, request.subarray(0, macBytes), payload).subarray(0, macBytes);
  if (!equalBytes(mac, expected)) throw keyMismatch();
  return { clusterId: bytesField(clusterId, 'cluster id', 16), body: bytesField(body, 'body') };
}

function splitFrame(frame: Uint8Array): { mac: Uint8Array; payload: Uint8Array } {
  if (frame.length > frameBytesMax) throw new GkvError('too_large', `frame has ${frame.length} bytes: at most ${frameBytesMax} are allowed`);
  if (frame.length <= macBytes) throw protocolError(`frame has ${frame.length} bytes, its mac alone has ${macBytes}`);
  return { mac: frame.subarray(0, macBytes), payload: frame.subarray(macBytes) };
}

function decodeArray(payload: Uint8Array, length: number): unknown[] {
  let value: unknown;
  try {
    value = decode(payload, { strict: true, allowIndefinite: false, allowUndefined: false, allowNaN: false, allowInfinity: false });
  } catch (cause) {
    throw protocolError('frame is not CBOR', cause);
  }
  if (!Array.isArray(value) || (value.length !== length && value[0] === protocolVersion)) throw protocolError(`frame is no array of ${length}`);
  return value;
}

function bytesField(value: unknown, what: string, length?: number): Uint8Array {
  if (!(value instanceof Uint8Array)) throw protocolError(`${what} is not bytes`);
  if (length !== undefined && value.length !== length) throw protocolError(`${what} has ${value.length} bytes, must have ${length}`);
  return value;
}

function keyMismatch(): GkvError {
  return new GkvError('mesh_mismatch', 'the frame is not authentic: the peer has another mesh key, or the frame was changed');
}

/** The peer, or who claims to be it, broke the protocol. */
export function protocolError(message: string, cause?: unknown): GkvError {
  return new GkvError('peer_protocol', message, { cause });
}

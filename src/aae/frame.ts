import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { uuidText } from '../core/uuid.ts';
import { isSameSecret } from '../crypto/digest.ts';
import { type MeshDigests } from '../crypto/mesh.ts';

/** Version of this protocol; another one is refused. */
const protocolVersion = 1;
/** A frame aims at 1 MiB and may exceed it by what the greatest write needs beside its value. */
export const frameBytesAim = 1_048_576;
export const frameBytesMax = 1_114_112;
export const nonceBytes = 16;

const macBytes = 16;
/** What a frame is for: one of another service is not authentic. */
export type FrameService = 'exchange' | 'feed' | 'identity' | 'session';

const requestLabels = labels('request');
const answerLabels = labels('answer');

/** What stands in front of every request. `floor`: that of the asking cluster, from before it read the writes that go along; zero in feeds, whose statements tell it. */
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
export function encodeRequest(
  header: RequestHeader,
  body: Uint8Array,
  digests: MeshDigests,
  service: FrameService = 'exchange',
): Uint8Array {
  const { clusterId, nonce, floor } = header;
  const payload = encode([protocolVersion, digests.meshId, clusterId, nonce, floor, body], rfc8949EncodeOptions);
  return Buffer.concat([digests.mac(requestLabels[service], payload).subarray(0, macBytes), payload]);
}

/**
 * Errors: `too_large`; `peer_protocol` for another version or bytes that are no frame; `mesh_mismatch` for another mesh id or
 * mesh key.
 */
export function decodeRequest(frame: Uint8Array, digests: MeshDigests, service: FrameService = 'exchange'): Request {
  const { mac, payload } = splitFrame(frame);
  checkStart(payload, digests);
  if (!isSameSecret(mac, digests.mac(requestLabels[service], payload).subarray(0, macBytes))) throw keyMismatch();
  const [, , clusterId, nonce, floor, body] = decodeArray(payload, 6);
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
export function encodeAnswer(answer: Answer, request: Request, digests: MeshDigests, service: FrameService = 'exchange'): Uint8Array {
  const payload = encode([protocolVersion, answer.clusterId, answer.body], rfc8949EncodeOptions);
  return Buffer.concat([digests.mac(answerLabels[service], request.mac, payload).subarray(0, macBytes), payload]);
}

/** `request` is the frame that was sent. Errors: as for a request. */
export function decodeAnswer(frame: Uint8Array, request: Uint8Array, digests: MeshDigests, service: FrameService = 'exchange'): Answer {
  const { mac, payload } = splitFrame(frame);
  checkVersion(payload, 3);
  const expected = digests.mac(answerLabels[service], request.subarray(0, macBytes), payload).subarray(0, macBytes);
  if (!isSameSecret(mac, expected)) throw keyMismatch();
  const [, clusterId, body] = decodeArray(payload, 3);
  return { clusterId: bytesField(clusterId, 'cluster id', 16), body: bytesField(body, 'body') };
}

/** Who asks with a frame, or nobody where that does not stand at its place: `decodeRequest` refuses such a frame. Nothing is checked here. */
export function askerOf(frame: Uint8Array): Uint8Array | undefined {
  return clusterIdAt(frame, 36);
}

/** Who answers with a frame, as `askerOf`. */
export function answererOf(frame: Uint8Array): Uint8Array | undefined {
  return clusterIdAt(frame, 2);
}

/** Nobody asks us in our own name but we ourselves, over an address that leads back here, or who poses as us: nothing of that is heard. Error: `wrong_peer`. */
export function assertAnother(asker: Uint8Array, own: Uint8Array): void {
  if (!equalBytes(asker, own)) return;
  throw new GkvError('wrong_peer', `asked in the name of ${uuidText(own)}, which is this cluster itself: another one must ask`);
}

/** Whether the bytes begin as a request of this mesh does. */
export function isRequest(bytes: Uint8Array, { meshId }: MeshDigests): boolean {
  return equalBytes(bytes.subarray(macBytes + 4, macBytes + 36), meshId);
}

/** `at`: in the payload, of CBOR's first byte of 16 bytes. */
function clusterIdAt(frame: Uint8Array, at: number): Uint8Array | undefined {
  const start = macBytes + at;
  return frame[start] === 0x50 && frame.length > start + 16 ? frame.subarray(start + 1, start + 17) : undefined;
}

function labels(direction: 'request' | 'answer'): Readonly<Record<FrameService, Uint8Array>> {
  const label = (service: FrameService): Uint8Array => Buffer.from(`gkvmesh/${service}/${direction}/v1\0`);
  return { exchange: label('exchange'), feed: label('feed'), identity: label('identity'), session: label('session') };
}

/** CBOR's first byte of an array of so many. */
const arrayOf = 0x80;

/** Version and mesh id stand at fixed places, so that nothing more is decoded for those who are not of this mesh. */
function checkStart(payload: Uint8Array, digests: MeshDigests): void {
  checkVersion(payload, 6);
  const meshId = payload.subarray(4, 36);
  if (payload[2] !== 0x58 || payload[3] !== 32 || meshId.length !== 32) throw protocolError('frame has no mesh id where one must stand');
  if (equalBytes(meshId, digests.meshId)) return;
  throw new GkvError('mesh_mismatch', `the peer is of mesh ${toHex(meshId)}, this instance is of ${toHex(digests.meshId)}`);
}

function checkVersion(payload: Uint8Array, fields: number): void {
  const [array = 0, version = 0] = payload;
  const isFrame = array > arrayOf && array < arrayOf + 24 && version < 24;
  if (!isFrame) throw protocolError('these bytes are no frame');
  if (version !== protocolVersion) throw protocolError(`frame of protocol version ${version}, this instance speaks ${protocolVersion}`);
  if (array !== arrayOf + fields) throw protocolError(`frame is no array of ${fields}`);
}

function splitFrame(frame: Uint8Array): { mac: Uint8Array; payload: Uint8Array } {
  if (frame.length > frameBytesMax)
    throw new GkvError('too_large', `frame has ${frame.length} bytes: at most ${frameBytesMax} are allowed`);
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
  if (!Array.isArray(value) || value.length !== length) throw protocolError(`frame is no array of ${length}`);
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

/** Decodes what a peer sent: what is wrong with its bytes is `peer_protocol`. */
export function fromPeer<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (hasCode(error, 'malformed', 'too_large')) throw protocolError(`the answer is wrong: ${error.message}`, error);
    throw error;
  }
}

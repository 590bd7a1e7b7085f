import { type FrameService, isRequest, protocolError } from '../aae/frame.ts';
import { ByteReader, toHex } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { type Scopes } from '../core/scope.ts';
import { hmacSha256, isSameSecret, sha256 } from '../crypto/digest.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Credentials, type Party, sessionIdBytes } from './handshake.ts';
import { ReplayWindow } from './replayWindow.ts';
import { sealField, stopCodes, unsealed } from './stopCodes.ts';

/** What the two sides of a session know, each of the other and of itself. */
export interface SessionTerms {
  readonly id: Uint8Array;
  readonly peer: Party & Omit<Credentials, 'agreement'>;
  /** Of who asks: made for this session alone. */
  readonly agreement: Uint8Array;
  /** Id of our own grant in it. */
  readonly ownLeaf: Uint8Array;
  /** Which keys either side may hold by its grant; left out: everything. */
  readonly scopes?: Scopes | undefined;
  readonly keys: SessionKeys;
  /** By the monotonic clock. */
  readonly beganMs: number;
}

/** One for each way, 32 bytes: nothing that one side says can be sent back to it. */
export interface SessionKeys {
  readonly request: Uint8Array;
  readonly answer: Uint8Array;
}

const keysLabel = Buffer.from('gkvmesh/session/keys/v1\0');

/** HKDF-SHA-256 (RFC 5869) of what was agreed on, salted with the mesh key, for what the answering side has signed: 32 bytes for each way. */
export function sessionKeys(digests: MeshDigests, agreed: Uint8Array, acceptance: Uint8Array): SessionKeys {
  const key = digests.mac(agreed);
  const info = Buffer.concat([keysLabel, sha256(acceptance)]);
  const request = hmacSha256(key, info, Buffer.of(1));
  return { request, answer: hmacSha256(key, request, info, Buffer.of(2)) };
}

/** A session ends so long after it began, in use or not; the asking side begins another one a little earlier. */
export const sessionMsMax = { asking: 3_000_000, answering: 3_600_000 } as const;

const format = 1;
const macBytes = 16;
const counterBytes = 8;
const headBytes = 1 + sessionIdBytes + counterBytes;

/** What a frame under a session has more than without: a request, and fewer an answer. */
export const envelopeBytes = headBytes + macBytes;

/** What comes under a session, once it is known which. */
export interface Envelope {
  readonly sessionId: Uint8Array;
  readonly counter: number;
  readonly head: Uint8Array;
  readonly mac: Uint8Array;
  readonly frame: Uint8Array;
}

/** A request: format u8=1 | session id 16 | counter u64 | mac 16 | frame. Errors: `malformed`; `peer_unproven` for a frame that comes without. */
export function decodeEnvelope(bytes: Uint8Array, digests: MeshDigests): Envelope {
  if (isRequest(bytes, digests))
    throw new GkvError(
      'peer_unproven',
      'in a granted mesh peers prove their cluster’s key and that it may replicate: this frame came without',
    );
  const reader = new ByteReader(bytes, 'session frame');
  const version = reader.u8();
  if (version !== format) throw reader.fail(`format ${version} is unknown, ${format} is known`);
  const sessionId = reader.bytes(sessionIdBytes);
  const counter = reader.u64();
  const mac = reader.bytes(macBytes);
  return { sessionId, counter, head: bytes.subarray(0, headBytes), mac, frame: reader.bytes(reader.left) };
}

/** One side of what two clusters have proved to each other. Each request has a counter of its own and is taken once; each answer fits one request. */
export class Session {
  readonly terms: SessionTerms;
  readonly #taken = new ReplayWindow();
  #sent = 0;

  /** Keeps copies: what was read is a part of a frame, which would stay as long as the session does. */
  constructor(terms: SessionTerms) {
    const { id, peer, agreement } = terms;
    const { clusterId, key, leaf } = peer;
    const own = { ...peer, clusterId: Uint8Array.from(clusterId), key: Uint8Array.from(key), leaf: Uint8Array.from(leaf) };
    this.terms = { ...terms, id: Uint8Array.from(id), peer: own, agreement: Uint8Array.from(agreement) };
  }

  /** True once a request was taken: who opened it has its keys. */
  get isUsed(): boolean {
    return this.#taken.greatest > 0;
  }

  /** A request, and its counter. */
  seal(service: FrameService, frame: Uint8Array): { readonly bytes: Uint8Array; readonly counter: number } {
    this.#sent += 1;
    const out = new ByteWriter(envelopeBytes + frame.length);
    out.u8(format);
    out.bytes(this.terms.id);
    out.u64(this.#sent);
    out.bytes(this.#requestMac(service, out.done(), frame));
    out.bytes(frame);
    return { bytes: out.done(), counter: this.#sent };
  }

  /** Takes a request, once. Error: `peer_unproven`. */
  take(service: FrameService, { counter, head, mac, frame }: Envelope): void {
    if (!isSameSecret(mac, this.#requestMac(service, head, frame))) throw notAuthentic();
    if (!this.#taken.take(counter))
      throw new GkvError('peer_unproven', `request ${counter} of the session was there before, or is too old`);
  }

  /** mac 16 | frame. */
  sealAnswer(service: FrameService, counter: number, frame: Uint8Array): Uint8Array {
    return Buffer.concat([this.#answerMac(service, counter, frame), frame]);
  }

  /** The frame that answers a request. Errors: `peer_protocol`, `peer_unproven`. */
  openAnswer(service: FrameService, counter: number, bytes: Uint8Array): Uint8Array {
    if (bytes.length < macBytes) throw protocolError(`a session answer of ${bytes.length} bytes, its mac alone has ${macBytes}`);
    const frame = bytes.subarray(macBytes);
    if (!isSameSecret(bytes.subarray(0, macBytes), this.#answerMac(service, counter, frame))) throw notAuthentic();
    return frame;
  }

  /** What a request is refused with: an error that would stop its sender is sealed, so that nobody else can say it. */
  sealError(service: FrameService, counter: number, error: unknown): unknown {
    if (!hasCode(error, ...stopCodes)) return error;
    const details = { ...error.details, [sealField]: this.#errorSeal(service, counter, error) };
    return new GkvError(error.code, error.message, { cause: error, details });
  }

  /** What a request failed with, as far as the peer has said it: `peer_protocol` in place of an error that would stop us and is not sealed. */
  openError(service: FrameService, counter: number, error: unknown): unknown {
    if (!hasCode(error, ...stopCodes)) return error;
    const shown = Buffer.from(String(error.details[sealField]));
    return isSameSecret(shown, Buffer.from(this.#errorSeal(service, counter, error))) ? error : unsealed(error);
  }

  /** Over the way, "POST /feed error\0", the request's counter, and the code; in hex. */
  #errorSeal(service: FrameService, counter: number, { code }: GkvError): string {
    return toHex(macOf(this.terms.keys.answer, `/${service} error`, counterOf(counter), Buffer.from(code)));
  }

  /** Over the way that it takes, "POST /feed\0", what stands before it, and the frame. */
  #requestMac(service: FrameService, head: Uint8Array, frame: Uint8Array): Uint8Array {
    return macOf(this.terms.keys.request, `/${service}`, head, frame);
  }

  /** As of the request that it answers, the counter in place of what stands before it. */
  #answerMac(service: FrameService, counter: number, frame: Uint8Array): Uint8Array {
    return macOf(this.terms.keys.answer, `/${service}`, counterOf(counter), frame);
  }
}

function macOf(key: Uint8Array, way: string, head: Uint8Array, bytes: Uint8Array): Uint8Array {
  return hmacSha256(key, Buffer.from(`POST ${way}\0`), head, bytes).subarray(0, macBytes);
}

function counterOf(counter: number): Uint8Array {
  const out = new ByteWriter(counterBytes);
  out.u64(counter);
  return out.done();
}

function notAuthentic(): GkvError {
  return new GkvError('peer_unproven', 'not authentic: it was not made by the peer of this session, or it was changed');
}

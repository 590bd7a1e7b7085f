import { ByteReader, compareBytes } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { digestBytes } from '../core/write.ts';
import { sha256 } from '../crypto/digest.ts';
import { type SigningKey } from '../crypto/ed25519.ts';
import { grantLimits } from './limits.ts';

/** One key's signature of a record. */
export interface Signature {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** A statement with its signatures, which are no part of its id. */
export interface Signed<Body> {
  /** 32 bytes: a digest of the body. */
  readonly id: Uint8Array;
  readonly body: Body;
  /** By rising keys, at least one. */
  readonly signatures: readonly Signature[];
}

/** How one kind of statement is laid out. */
export interface Layout<Body> {
  /** For messages, for example "grant". */
  readonly what: string;
  /** What its id is made from, with a zero byte at the end. */
  readonly idLabel: string;
  /** What a signature is over, with a zero byte at the end. */
  readonly signLabel: string;
  /** Whether the mesh id is part of its id. It is not where the id of the first one is the mesh id. */
  readonly idScope: 'mesh' | 'none';
  writeBody(writer: ByteWriter, body: Body): void;
  /** Error: `malformed` for everything that is not the one encoding of a body. */
  readBody(reader: ByteReader): Body;
  /** What is wrong with these keys as those that sign such a body. */
  faultOfSigners?(body: Body, keys: readonly Uint8Array[]): string | undefined;
}

export const keyBytes = 32;
const signatureBytes = 64;

function encodeBody<Body>(layout: Layout<Body>, body: Body): Uint8Array {
  const writer = new ByteWriter();
  layout.writeBody(writer, body);
  return writer.done();
}

function idOf<Body>(layout: Layout<Body>, meshId: Uint8Array, body: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([Buffer.from(layout.idLabel), layout.idScope === 'mesh' ? meshId : Buffer.alloc(0), body]));
}

/** 32 bytes: SHA-256 over the label, the mesh id where it counts, and the body. */
export function statementId<Body>(layout: Layout<Body>, meshId: Uint8Array, body: Body): Uint8Array {
  return idOf(layout, meshId, encodeBody(layout, body));
}

/** What is signed: the label, the mesh id, the statement's id. */
export function signedMessage<Body>(layout: Layout<Body>, meshId: Uint8Array, id: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(layout.signLabel), meshId, id]);
}

/** Signs with each of the keys. */
export function signStatement<Body>(layout: Layout<Body>, meshId: Uint8Array, body: Body, keys: readonly SigningKey[]): Signed<Body> {
  const id = statementId(layout, meshId, body);
  const message = signedMessage(layout, meshId, id);
  const signatures = keys.map((key) => ({ key: key.publicKey, signature: key.sign(message) }));
  return { id, body, signatures: signatures.sort((a, b) => compareBytes(a.key, b.key)) };
}

/** Body | count of signatures u8, 1..32 | each: key 32, signature 64, by rising keys. */
export function encodeRecord<Body>(layout: Layout<Body>, { body, signatures }: Signed<Body>): Uint8Array {
  const writer = new ByteWriter();
  layout.writeBody(writer, body);
  writer.u8(signatures.length);
  for (const { key, signature } of signatures) {
    writer.bytes(key);
    writer.bytes(signature);
  }
  return writer.done();
}

/** Errors: `malformed` for everything that is not exactly one record of this layout, `too_large` for a pattern beyond its caps. */
export function decodeRecord<Body>(layout: Layout<Body>, meshId: Uint8Array, bytes: Uint8Array): Signed<Body> {
  const reader = new ByteReader(bytes, layout.what);
  const body = layout.readBody(reader);
  const bodyLength = bytes.length - reader.left;
  const signatures = readRising(reader, { min: 1, max: grantLimits.signaturesMax, count: reader.u8(), what: 'signatures' }, () => ({
    key: reader.bytes(keyBytes),
    signature: reader.bytes(signatureBytes),
  }));
  reader.end();
  const fault = layout.faultOfSigners?.(
    body,
    signatures.map(({ key }) => key),
  );
  if (fault !== undefined) throw reader.fail(fault);
  return { id: idOf(layout, meshId, bytes.subarray(0, bodyLength)), body, signatures };
}

/** A row of parts, each of which begins with bytes greater than those of the one before: a set has one encoding. */
function readRising<Part extends { key: Uint8Array }>(
  reader: ByteReader,
  { count, min, max, what }: { count: number; min: number; max: number; what: string },
  read: () => Part,
): Part[] {
  if (count < min || count > max) throw reader.fail(`${count} ${what}, must have ${min} to ${max}`);
  const parts: Part[] = [];
  for (let i = 0; i < count; i += 1) {
    const part = read();
    const before = parts.at(-1);
    if (before !== undefined && compareBytes(before.key, part.key) >= 0) throw reader.fail(`${what} that do not rise`);
    parts.push(part);
  }
  return parts;
}

/** A set of ids or keys, 32 bytes each, that rise. */
export function readDigests(reader: ByteReader, range: { count: number; min: number; max: number; what: string }): Uint8Array[] {
  return readRising(reader, range, () => ({ key: reader.bytes(digestBytes) })).map(({ key }) => key);
}

/** The format's number, which is 1 of every layout. */
export function readFormat(reader: ByteReader): void {
  const format = reader.u8();
  if (format !== 1) throw reader.fail(`format ${format} is unknown, 1 is known`);
}

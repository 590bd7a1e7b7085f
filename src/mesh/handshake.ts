import { protocolError } from '../aae/frame.ts';
import { ByteReader } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { agreementBytes } from '../crypto/agreement.ts';

/** Who takes part in a session: a cluster in one incarnation. */
export interface Party {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  readonly incarnation: number;
}

/** With what a party takes part. */
export interface Credentials {
  /** For this session alone; X25519, 32 bytes. */
  readonly agreement: Uint8Array;
  /** The cluster's public key; Ed25519, 32 bytes. */
  readonly key: Uint8Array;
  /** Id of the grant by which that key may replicate; 32 bytes. */
  readonly leaf: Uint8Array;
}

/** What the asking side signs. */
export interface Opening {
  readonly asker: Party & Credentials;
  readonly answerer: Party & {
    /** Of the process that answers, drawn at its start: what was signed for another is of no use there. */
    readonly boot: Uint8Array;
  };
}

/** What the answering side signs, over the opening. */
export interface Acceptance extends Credentials {
  readonly sessionId: Uint8Array;
}

/** A signed part, and the records that show its chain. */
export interface Shown<Part> {
  readonly part: Part;
  readonly signature: Uint8Array;
  /** Kind u8 | record, as in a ledger's row. */
  readonly records: readonly Uint8Array[];
}

export const bootBytes = 16;
export const sessionIdBytes = 16;
const clusterIdBytes = 16;
const keyBytes = 32;
const leafBytes = 32;
const signatureBytes = 64;
/** Links of a chain, and the latest root documents. */
export const shownRecordsMax = 24;

const openingLabel = Buffer.from('gkvmesh/session/open/v1\0');
const acceptanceLabel = Buffer.from('gkvmesh/session/accept/v1\0');

/** label | mesh id 32 | asker: cluster id 16, incarnation u64, agreement 32, key 32, leaf 32 | answerer: cluster id 16, incarnation u64, boot 16. */
export function openingMessage(meshId: Uint8Array, { asker, answerer }: Opening): Uint8Array {
  const out = new ByteWriter();
  out.bytes(openingLabel);
  writeOpening(out, meshId, { asker, answerer });
  return out.done();
}

/** label | all of the opening behind its label | session id 16 | agreement 32, key 32, leaf 32. */
export function acceptanceMessage(meshId: Uint8Array, opening: Opening, { sessionId, ...credentials }: Acceptance): Uint8Array {
  const out = new ByteWriter(512);
  out.bytes(acceptanceLabel);
  writeOpening(out, meshId, opening);
  out.bytes(sessionId);
  writeCredentials(out, credentials);
  return out.done();
}

function writeOpening(out: ByteWriter, meshId: Uint8Array, { asker, answerer }: Opening): void {
  out.bytes(meshId);
  writeParty(out, asker);
  writeCredentials(out, asker);
  writeParty(out, answerer);
  out.bytes(answerer.boot);
}

/** What is asked: who is there (0), or to open a session (1). */
export type SessionAsk = { readonly kind: 'who' } | ({ readonly kind: 'open' } & Shown<Opening>);

/** kind u8: 0 who | 1 open, and then: asker's incarnation u64, agreement, key, leaf | answerer: cluster id, incarnation u64, boot | signature 64 | records. */
export function encodeSessionAsk(ask: SessionAsk): Uint8Array {
  const out = new ByteWriter(1_024);
  out.u8(ask.kind === 'who' ? 0 : 1);
  if (ask.kind === 'who') return out.done();
  const { asker, answerer } = ask.part;
  out.u64(asker.incarnation);
  writeCredentials(out, asker);
  writeParty(out, answerer);
  out.bytes(answerer.boot);
  writeShown(out, ask);
  return out.done();
}

/** `clusterId`: of who asks, as its frame says. Errors: `malformed`; `peer_protocol` for more records than there may be. */
export function decodeSessionAsk(bytes: Uint8Array, clusterId: Uint8Array): SessionAsk {
  const reader = new ByteReader(bytes, 'session request');
  const kind = reader.u8();
  if (kind > 1) throw reader.fail(`kind ${kind} is unknown`);
  if (kind === 0) {
    reader.end();
    return { kind: 'who' };
  }
  const asker = { clusterId, incarnation: reader.u64(), ...readCredentials(reader) };
  const answerer = { clusterId: reader.bytes(clusterIdBytes), incarnation: reader.u64(), boot: reader.bytes(bootBytes) };
  return { kind: 'open', part: { asker, answerer }, ...readShown(reader) };
}

/** incarnation u64 | boot 16. */
export function encodeWho({ incarnation, boot }: Pick<Opening['answerer'], 'incarnation' | 'boot'>): Uint8Array {
  const out = new ByteWriter();
  out.u64(incarnation);
  out.bytes(boot);
  return out.done();
}

/** Errors: `malformed`. */
export function decodeWho(bytes: Uint8Array, clusterId: Uint8Array): Opening['answerer'] {
  const reader = new ByteReader(bytes, 'who answers');
  const answerer = { clusterId, incarnation: reader.u64(), boot: reader.bytes(bootBytes) };
  reader.end();
  return answerer;
}

/** session id 16 | agreement 32, key 32, leaf 32 | signature 64 | records. */
export function encodeAcceptance(shown: Shown<Acceptance>): Uint8Array {
  const out = new ByteWriter(1_024);
  out.bytes(shown.part.sessionId);
  writeCredentials(out, shown.part);
  writeShown(out, shown);
  return out.done();
}

/** Errors: as `decodeSessionAsk`. */
export function decodeAcceptance(bytes: Uint8Array): Shown<Acceptance> {
  const reader = new ByteReader(bytes, 'session answer');
  const part = { sessionId: reader.bytes(sessionIdBytes), ...readCredentials(reader) };
  return { part, ...readShown(reader) };
}

function writeParty(out: ByteWriter, { clusterId, incarnation }: Party): void {
  out.bytes(clusterId);
  out.u64(incarnation);
}

function writeCredentials(out: ByteWriter, { agreement, key, leaf }: Credentials): void {
  for (const bytes of [agreement, key, leaf]) out.bytes(bytes);
}

function readCredentials(reader: ByteReader): Credentials {
  return { agreement: reader.bytes(agreementBytes), key: reader.bytes(keyBytes), leaf: reader.bytes(leafBytes) };
}

/** signature 64 | count u8 | records, each: length u32, bytes. */
function writeShown(out: ByteWriter, { signature, records }: Pick<Shown<unknown>, 'signature' | 'records'>): void {
  out.bytes(signature);
  out.u8(records.length);
  for (const record of records) {
    out.u32(record.length);
    out.bytes(record);
  }
}

function readShown(reader: ByteReader): Pick<Shown<unknown>, 'signature' | 'records'> {
  const signature = reader.bytes(signatureBytes);
  const count = reader.u8();
  if (count > shownRecordsMax) throw protocolError(`${count} records of authority: at most ${shownRecordsMax} show a chain`);
  const records = Array.from({ length: count }, () => reader.bytes(reader.u32()));
  reader.end();
  return { signature, records };
}

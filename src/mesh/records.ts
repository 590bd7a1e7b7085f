import { protocolError } from '../aae/frame.ts';
import { toHex, type ByteReader } from '../core/bytes.ts';
import { type ByteWriter } from '../core/byteWriter.ts';
import { hasCode } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { decodeAny, type AnyRecord } from '../grant/anyRecord.ts';
import { type Ledger, type RecordsPage } from '../grant/ledger.ts';
import { ledgerBounds } from '../grant/places.ts';

/** How far we have a peer's ledger. */
export interface RecordCursor {
  /** Of the peer's store; in another one, numbers begin anew. */
  readonly incarnation: number;
  readonly number: number;
}

/** incarnation u64 | number u64. */
export function writeRecordCursor(out: ByteWriter, { incarnation, number }: RecordCursor): void {
  out.u64(incarnation);
  out.u64(number);
}

/** Errors, here and below: `malformed`. */
export function readRecordCursor(reader: ByteReader): RecordCursor {
  return { incarnation: reader.u64(), number: reader.u64() };
}

/** number u64 | count u16 | records, each: length u32, kind u8 | record. */
export function writeRecords(out: ByteWriter, { number, records }: RecordsPage): void {
  out.u64(number);
  out.u16(records.length);
  for (const record of records) {
    out.u32(record.length);
    out.bytes(record);
  }
}

export function readRecords(reader: ByteReader): RecordsPage {
  const number = reader.u64();
  if (number > ledgerBounds.rowsMax) throw reader.fail(`record ${number}: at most ${ledgerBounds.rowsMax} are allowed`);
  return { number, records: Array.from({ length: reader.u16() }, () => reader.bytes(reader.u32())) };
}

/** Takes in what peers know of the mesh's authority. */
export class RecordIntake {
  readonly #ledger: Ledger;
  /** By the peer's cluster id in hex. Kept in memory: what comes again is known. */
  readonly #cursors = new Map<string, RecordCursor>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  cursorOf(peerId: Uint8Array): RecordCursor {
    return this.#cursors.get(toHex(peerId)) ?? { incarnation: 0, number: 0 };
  }

  /**
   * A peer's ledger stands in an order in which each could be taken in: who sends what is refused is not to be believed, but where it is for lack of
   * room, which a peer may have had. Error: `peer_protocol`.
   */
  async take(peerId: Uint8Array, incarnation: number, { number, records }: RecordsPage): Promise<void> {
    const refusals = await this.#ledger.take(records.map((bytes) => decodeSent(bytes, this.#ledger.known.meshId)));
    const refused = refusals.find((refusal) => refusal !== undefined && refusal.code !== 'grant_limit');
    if (refused !== undefined) throw protocolError(`a record of authority that is refused: ${refused.code}: ${refused.message}`);
    if (this.#cursors.size >= limits.membersMax) this.#cursors.clear();
    this.#cursors.set(toHex(peerId), { incarnation, number });
  }
}

export function decodeSent(bytes: Uint8Array, meshId: Uint8Array): AnyRecord {
  try {
    return decodeAny(bytes, meshId);
  } catch (error) {
    if (hasCode(error, 'malformed', 'too_large')) throw protocolError(`a record of authority that is none: ${error.message}`, error);
    throw error;
  }
}

import { GkvError } from './errors.ts';

/** The empty byte string. */
export const emptyBytes: Uint8Array = new Uint8Array(0);

/** Unsigned byte order; negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** The same bytes as a Buffer, without a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Both, one behind the other; from Buffer's pool, at a third of the time of `Buffer.concat`. */
export function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

/** One char a byte: JavaScript's `<` on the results is byte order. For map keys and sorted containers. */
export function toLatin1(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('latin1');
}

export function fromLatin1(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

export function toHex(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('hex');
}

/**
 * Takes a fixed layout apart: big-endian, every read checked, and `end` refuses bytes that are left over. Reads of bytes
 * are views of the input.
 */
export class ByteReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  /** `what` names the layout in error messages, for example "write body". */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = asBuffer(bytes);
    this.#what = what;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  /** What `u16` will read. */
  peekU16(): number {
    const value = this.u16();
    this.#at -= 2;
    return value;
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  /** A u64 that must be a safe integer: times in ms, counts. */
  u64(): number {
    const at = this.#take(8);
    const value = this.#bytes.readUInt32BE(at) * 0x1_0000_0000 + this.#bytes.readUInt32BE(at + 4);
    if (!Number.isSafeInteger(value)) throw this.fail(`a number beyond 2^53 at byte ${at}`);
    return value;
  }

  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** The layout ends here. */
  end(): void {
    if (this.left !== 0) throw this.fail(`${this.left} bytes after its end`);
  }

  fail(why: string): GkvError {
    return new GkvError('malformed', `${this.#what}: ${why}`);
  }

  #take(length: number): number {
    const at = this.#at;
    if (length > this.left) throw this.fail(`ends at byte ${this.#bytes.length}, needs ${length} more at ${at}`);
    this.#at = at + length;
    return at;
  }
}

/** The 8 bytes that `writeU64` writes. */
export function u64Bytes(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(8);
  writeU64(bytes, value, 0);
  return bytes;
}

/** Writes a u64 that is a safe integer. Returns the offset behind it. */
export function writeU64(target: Buffer, value: number, offset: number): number {
  target.writeUInt32BE(Math.floor(value / 0x1_0000_0000), offset);
  return target.writeUInt32BE(value % 0x1_0000_0000, offset + 4);
}

import { type Bytes } from '../store.ts';

/**
 * Keys as strings of one character per byte. They can be keys of a Map, and `<` on them is byte order, at a fraction
 * of what comparing arrays costs.
 */
export type Text = string;

interface Latin1 {
  readonly latin1Slice: (this: Uint8Array, start: number, end: number) => string;
}
// The cast adds a declaration that @types/node lacks; the public `toString('latin1')` works on a Buffer alone, and
// making one of every key costs more than the conversion.
const { latin1Slice } = Buffer.prototype as unknown as Latin1;

export function textOf(bytes: Bytes): Text {
  return latin1Slice.call(bytes, 0, bytes.length);
}

export function bytesOf(text: Text): Buffer {
  return Buffer.from(text, 'latin1');
}

/** The least key that is greater than `text`. */
export function after(text: Text): Text {
  return text + '\0';
}

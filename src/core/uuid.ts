import { toHex } from './bytes.ts';

const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** 16 bytes as 8-4-4-4-12 lower-case hex digits. */
export function uuidText(bytes: Uint8Array): string {
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** The 16 bytes; undefined where the text is not spelled as `uuidText` does. */
export function parseUuid(text: string): Uint8Array | undefined {
  return shape.test(text) ? Buffer.from(text.replaceAll('-', ''), 'hex') : undefined;
}

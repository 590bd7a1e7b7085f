/** Keys of 12 bytes whose base64 is readable, so that load generators write it straight into JSON; its order is that of the bytes. */

/** Sixteen base64 digits, no padding: twelve bytes. */
export const keyPrefix = 'bench000';
const digits = 8;

export function keyText(index: number): string {
  return keyPrefix + String(index).padStart(digits, '0');
}

export const valueBytes = Buffer.alloc(100, 7);
export const valueText = valueBytes.toString('base64');

import { parseKey, type Key } from '../../../src/core/key.ts';
import { type Stream } from '../kernel/streams.ts';

const names = Array.from({ length: 48 }, (_, i) => `k${String(i).padStart(2, '0')}`);
const hotNames = 6;

/** Few keys, and some of them hot, so that clients get in each other's way and the tree still has several levels. */
export function pickName(random: Stream): string {
  return names[random.chance(0.4) ? random.below(hotNames) : random.below(names.length)] ?? '';
}

export function keyOf(name: string): Key {
  return parseKey(Buffer.from(name));
}

export function nameOf(key: Uint8Array): string {
  return Buffer.from(key).toString();
}

import { GkvError } from '../core/errors.ts';

/** What a grant lets its audience do, by the bit that stands for it. */
const bits = { read: 1, write: 2, delete: 4, delegate: 8, replicate: 16 } as const;

export type Right = keyof typeof bits;

/** A set of rights, as the sum of their bits. */
export type Rights = number;

export const rightsKnown: Rights = 31;

export function hasRight(rights: Rights, right: Right): boolean {
  return (rights & bits[right]) !== 0;
}

/** Error: `bad_config` for a name of none. */
export function parseRight(name: string): Right {
  if (Object.hasOwn(bits, name)) return name as Right; // one of its keys
  throw new GkvError('bad_config', `${JSON.stringify(name)} is no right: there are ${Object.keys(bits).join(', ')}`);
}

/** Error: as `parseRight`. */
export function rightsOf(names: readonly string[]): Rights {
  return names.reduce((rights, name) => rights | bits[parseRight(name)], 0);
}

export function namesOf(rights: Rights): string[] {
  return Object.entries(bits).flatMap(([name, bit]) => ((rights & bit) === 0 ? [] : [name]));
}

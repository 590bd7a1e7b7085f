/** Keys that grants of the simulation are for: a few patterns, each with its meaning told in words of its own. */
interface Area {
  readonly pattern: string;
  readonly has: (key: string) => boolean;
  /** Those that lie in it, itself among them. */
  readonly around: readonly AreaName[];
}

const names = ['everything', 'flat', 'deep', 'left', 'firsts', 'system'] as const;
export type AreaName = (typeof names)[number];

export const areas: Readonly<Record<AreaName, Area>> = {
  everything: { pattern: '**', has: () => true, around: names },
  /** All that clients use. */
  flat: { pattern: '*', has: (key) => !key.includes('/'), around: ['flat'] },
  deep: { pattern: 'd/**', has: (key) => key.startsWith('d/'), around: ['deep', 'left', 'firsts'] },
  left: { pattern: 'd/l/**', has: (key) => key.startsWith('d/l/'), around: ['left'] },
  firsts: { pattern: 'd/*/0', has: (key) => /^d\/[^/]*\/0$/.test(key), around: ['firsts'] },
  system: { pattern: '@system/**', has: (key) => key.startsWith('@system/'), around: ['system'] },
};

/** Keys that no client uses, only who holds a grant himself. */
export const deepNames: readonly string[] = ['l', 'r'].flatMap((side) => [0, 1, 2].map((place) => `d/${side}/${place}`));

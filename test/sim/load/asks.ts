import { type WriteOp } from '../../../src/replica/proposal.ts';
import { stampFromHex } from '../../../src/core/stamp.ts';
import { type AskedWrite } from '../oracle/operations.ts';
import { type Stream } from '../kernel/streams.ts';
import { keyOf, pickName } from './keys.ts';

/** What a client does next. */
export type Ask =
  | { readonly kind: 'write'; readonly writes: readonly AskedWrite[] }
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'list'; readonly order: 'forward' | 'reverse' };

/** Versions that a client has seen, by key; null where it saw none. */
export type Seen = ReadonlyMap<string, string | null>;

export function nextAsk(id: number, seen: Seen, random: Stream): Ask {
  const draw = random.fraction();
  if (draw < 0.2) return { kind: 'get', key: pickName(random) };
  if (draw < 0.27) return { kind: 'list', order: random.chance(0.5) ? 'forward' : 'reverse' };
  const count = random.chance(0.2) ? 2 + random.below(5) : 1;
  const keys = new Set(Array.from({ length: count }, () => pickName(random)));
  return { kind: 'write', writes: [...keys].map((key, index) => askedWrite(`${id}.${index}`, key, seen, random)) };
}

function askedWrite(id: string, key: string, seen: Seen, random: Stream): AskedWrite {
  const [isDelete, isExpected, isExpiring] = [random.chance(0.25), random.chance(0.25), random.chance(0.15)];
  const expected = isExpected ? (seen.get(key) ?? null) : undefined;
  const lifeMs = 1 + random.below(30_000);
  const padding = '.'.repeat(random.chance(0.03) ? random.below(3_000) : random.below(40));
  if (isDelete) return { key, kind: 'delete', value: '', expiresInMs: undefined, expected };
  return { key, kind: 'set', value: `${id}:${padding}`, expiresInMs: isExpiring ? lifeMs : undefined, expected };
}

export function writeOp({ key, kind, value, expiresInMs, expected }: AskedWrite): WriteOp {
  const common = { key: keyOf(key), expected: expectedOf(expected) };
  return kind === 'delete' ? { ...common, kind } : { ...common, kind, value: Buffer.from(value), expiresInMs };
}

function expectedOf(expected: AskedWrite['expected']): WriteOp['expected'] {
  if (expected === undefined) return { kind: 'any' };
  return expected === null ? { kind: 'absent' } : { kind: 'version', version: stampFromHex(expected) };
}

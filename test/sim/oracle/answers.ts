import { Violation } from '../kernel/kernel.ts';
import { readsAbsent, type RegionHistory, type Seen } from './history.ts';
import { type Ledger } from './ledger.ts';
import { type AskedWrite, type Operation } from './operations.ts';

/** What a read told of a key; version null where it told that nothing is there. */
export interface ReadAnswer {
  readonly version: string | null;
  readonly value: string;
}

/**
 * What must be seen of each key by a read that begins now: the greatest version acknowledged on its disk. It is asked when the read has ended,
 * for some may have lost their authority in the meantime.
 */
export function acknowledgedNow(ledger: Ledger, disk: string, keys: Iterable<string>): (key: string) => string {
  const acknowledged = new Map([...keys].map((key) => [key, ledger.of(key).filter(({ operation }) => operation.disk === disk)]));
  return (key) => {
    const versions = (acknowledged.get(key) ?? []).filter(({ lost }) => !lost).map(({ version }) => version);
    return versions.reduce((least, version) => (version > least ? version : least), '');
  };
}

/** R4: a read sees everything that its cluster acknowledged before, and what it tells was written there. */
export function checkRead(
  history: RegionHistory,
  key: string,
  answer: ReadAnswer,
  { least, wallMs }: { readonly least: string; readonly wallMs: number },
): void {
  const states = history.of(key);
  if (answer.version === null) {
    const mayBeAbsent = least === '' || states.some((seen) => seen.version >= least && readsAbsent(seen, wallMs));
    if (!mayBeAbsent) throw new Violation('R4', `key ${key} reads as absent, though ${least} is acknowledged`);
    return;
  }
  const seen = states.find(({ version }) => version === answer.version);
  if (seen === undefined || seen.tombstone || seen.value !== answer.value) {
    throw new Violation('R4', `key ${key} reads as ${answer.version} with a value that it never held`);
  }
  if (answer.version < least) throw new Violation('R4', `key ${key} reads as ${answer.version}, though ${least} is acknowledged`);
}

/**
 * I1 and R6, when an operation is acknowledged: its writes, or greater ones, are in its cluster already, as they were asked for; and what
 * was expected was there right before.
 */
export function checkAcknowledged(history: RegionHistory, ledger: Ledger, operation: Operation, wallMs: number): void {
  for (const [index, write] of operation.writes.entries()) {
    const version = operation.versions[index] ?? '';
    const states = history.of(write.key);
    const at = states.findIndex((seen) => seen.version === version);
    if (at < 0) {
      const greater = history.greatest(write.key);
      if (greater === undefined || greater.version < version) {
        throw new Violation('I1', `key ${write.key}: operation ${operation.id} is acknowledged at ${version}, and is not stored`);
      }
      continue;
    }
    const [before, seen] = [states[at - 1], states[at]];
    const asAsked = seen !== undefined && seen.tombstone === (write.kind === 'delete') && seen.value === write.value;
    if (!asAsked) throw new Violation('I1', `key ${write.key}: operation ${operation.id} is not stored as it was asked for`);
    const isAbsent = [before, ...(seen.beside ?? [])].some((other) => other === undefined || readsAbsent(other, wallMs));
    if (!fits(write, version, before, isAbsent, ledger)) {
      const [expected, found] = [write.expected ?? 'nothing', before?.version ?? 'nothing'];
      throw new Violation(
        'R6',
        `key ${write.key}: operation ${operation.id} expected ${expected} and took the place of ${found} at ${version}`,
      );
    }
  }
}

/** Whether an operation may have found what it expected. Others of the same commit may have come between without ever being stored. */
function fits({ key, expected }: AskedWrite, version: string, before: Seen | undefined, isAbsent: boolean, ledger: Ledger): boolean {
  if (expected === undefined || before === undefined) return true;
  if (expected !== null) return before.version <= expected;
  return isAbsent || ledger.mayHaveDeleted(key, before.version, version);
}

import { equalBytes } from '../core/bytes.ts';
import { type Lineage } from '../replica/lineage.ts';

/** What a cluster says of its own store. */
export interface Origin {
  readonly incarnation: number;
  readonly lineage: Lineage;
}

/**
 * How what a cluster says fits what it said last.
 * - `newer`: it went on from there. `late`: it was said before that, and was overtaken on its way.
 * - `forked`: its store is a copy that was restored, or that goes on beside the other one. `ended`: its incarnation was given up.
 */
export type Verdict = 'newer' | 'late' | 'forked' | 'ended';

/**
 * Pure. A store goes on where the opening that was heard last is among its own, and the next one began no earlier than the progress that was heard. Where
 * it is not among them, what was said may be of before that opening; what is said of after it is of another store.
 */
export function judge(heard: Origin, said: Origin): Verdict {
  if (said.incarnation !== heard.incarnation) return said.incarnation > heard.incarnation ? 'newer' : 'ended';
  if (heard.lineage.openings.length === 0) return 'newer';
  const next = nextBehind(heard.lineage, said.lineage);
  if (next === 'none') return said.lineage.progress >= heard.lineage.progress ? 'newer' : 'late';
  if (next !== 'unknown') return next >= heard.lineage.progress ? 'newer' : 'forked';
  const heardNext = nextBehind(said.lineage, heard.lineage);
  return typeof heardNext === 'number' && said.lineage.progress <= heardNext ? 'late' : 'forked';
}

/** Where `whole` has the last opening of `part`: the progress at which its next one began, if there is one. */
function nextBehind(part: Lineage, whole: Lineage): number | 'none' | 'unknown' {
  const last = part.openings.at(-1);
  if (last === undefined) return 'unknown';
  const at = whole.openings.findIndex(({ id }) => equalBytes(id, last.id));
  return at === -1 ? 'unknown' : (whole.openings[at + 1]?.began ?? 'none');
}

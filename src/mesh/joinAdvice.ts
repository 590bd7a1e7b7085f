import { type ErrorCode } from '../core/errors.ts';

/** With which a donor, or we ourselves, say that this cluster may not replicate: nothing but other records ends that. */
const authorityCodes: readonly ErrorCode[] = [
  'grant_unknown',
  'root_unknown',
  'grant_wider',
  'grant_revoked',
  'grant_time',
  'grant_limit',
  'right_denied',
];

/** What an operator can do about a cluster that does not get into a granted mesh; undefined: wait. */
export function joinAdvice(code: ErrorCode): string | undefined {
  if (code === 'scope_mismatch')
    return 'what a store is for is fixed when it is first started with a grant to replicate, and a cluster joins from a member that holds all of that: name another one; where its grant came after its start, start it again, and if the store holds other keys by then, begin with an empty one';
  if (!authorityCodes.includes(code)) return undefined;
  return 'its key needs a grant to replicate on **, or on what it is to hold, that the donor takes: gkvmesh whoami tells which it holds, gkvmesh grant create gives one, and the records of that belong into its own mesh directory, or the donor’s';
}

/** The same, for one that is of the mesh, or is to be, and by its own word may not replicate: it talks to nobody, nor anybody to it. */
export function ownAdvice(code: ErrorCode): string | undefined {
  if (!authorityCodes.includes(code)) return undefined;
  return 'it learns of no other grant over the mesh meanwhile: put the records of a new one into its own mesh directory, records/';
}

/** The same, for a cluster that members answer, and do not take for one. */
export const recordAdvice =
  'they answer, and so its record may wait there for the grant that it was written by: its records belong into the mesh directory of one of them';

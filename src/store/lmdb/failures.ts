import { constants } from 'node:os';
import { type ErrorCode, GkvError } from '../../core/errors.ts';

/** LMDB's own numbers, from lmdb.h. */
const mapFull = -30792;
const damaged = new Set([-30797, -30796, -30793, -30779]); // page not found, corrupted, not an LMDB file, problem
const newer = -30794; // file's data version does not match

const { EIO, ENOSPC, EFBIG, EDQUOT, EROFS, EACCES, EPERM } = constants.errno;
const codes = new Map<number, ErrorCode>([
  [mapFull, 'disk_full'],
  [ENOSPC, 'disk_full'],
  [EFBIG, 'disk_full'],
  [EDQUOT, 'disk_full'],
  [EROFS, 'read_only'],
  [EACCES, 'read_only'],
  [EPERM, 'read_only'],
  [newer, 'format_unknown'],
]);

/** What the file system or LMDB threw, as the failure that it means for the caller. */
export function failureOf(error: unknown, what: string): GkvError {
  if (error instanceof GkvError) return error;
  const number = errorNumber(error);
  const message = error instanceof Error ? error.message : String(error);
  const code = number === undefined ? 'internal' : damaged.has(number) ? 'corrupt' : (codes.get(number) ?? 'unavailable');
  return new GkvError(code, `${what}: ${message}${advice[code] ?? ''}`, { cause: error });
}

/**
 * A commit that is aborted before it can be seen, with EIO: LMDB says so when the system has written a part of its
 * pages, which is how most disks become full.
 */
export function cutShort(error: unknown): GkvError | undefined {
  if (errorNumber(error) !== EIO) return undefined;
  return new GkvError('disk_full', `the commit was cut short${advice.disk_full ?? ''}`, { cause: error });
}

const advice: Partial<Record<ErrorCode, string>> = {
  disk_full: '; make room, or move the data to a larger disk',
  read_only: '; the data directory and its files must be writable by this user',
  corrupt: '; restore the data from a backup, or start empty and let the mesh refill it',
  format_unknown: '; it was written by another version of gkvmesh or LMDB',
};

/** Node's file system errors have a negative `errno`; LMDB's have a numeric `code`. */
function errorNumber(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('code' in error && typeof error.code === 'number') return error.code;
  if ('errno' in error && typeof error.errno === 'number') return -error.errno;
  return undefined;
}

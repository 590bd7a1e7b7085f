import { type ErrorCode, GkvError } from '../../core/errors.ts';

/** FoundationDB's error codes (flow/error_definitions.h) that mean something of their own to the port. */
export const fdbCodes = {
  tooOld: 1007,
  conflict: 1020,
  commitUnknown: 1021,
  cancelled: 1025,
  timedOut: 1031,
  unreadable: 1036,
  locked: 1038,
  clusterVersionChanged: 1039,
  transactionTooLarge: 2101,
} as const;

/** Of a read that is worth another attempt: future version, process behind, tag or batch throttled, proxies out of memory, version unknown. */
export const passingReadCodes: ReadonlySet<number> = new Set([1009, 1037, 1039, 1042, 1051, 1078, 1213]);

const portCodes: Readonly<Partial<Record<number, ErrorCode>>> = {
  [fdbCodes.tooOld]: 'transaction_too_old',
  [fdbCodes.conflict]: 'store_conflict',
  [fdbCodes.commitUnknown]: 'commit_unknown',
  [fdbCodes.unreadable]: 'store_unreadable',
  [fdbCodes.transactionTooLarge]: 'transaction_too_large',
};

/** The driver's error code, also of an error of ours that was made from one. */
export function fdbCodeOf(error: unknown): number | undefined {
  if (error instanceof GkvError) return fdbCodeOf(error.cause);
  if (error instanceof Error && error.constructor.name === 'FDBError' && 'code' in error && typeof error.code === 'number')
    return error.code;
  return undefined;
}

/** What the port says of a failure of the driver; what is none of FoundationDB's is handed on as it is. */
export function portError(error: unknown): Error {
  const code = error instanceof GkvError ? undefined : fdbCodeOf(error);
  if (code === undefined) return error instanceof Error ? error : new GkvError('internal', `FoundationDB’s driver threw ${String(error)}`);
  const message = error instanceof Error ? error.message : '';
  return new GkvError(portCodes[code] ?? 'unavailable', `FoundationDB: ${message} (${code})`, { cause: error });
}

/**
 * Outcomes of a commit that stay unknown, and that another attempt must not be made after: the first one may still be under way
 * (with 1021 the client has made sure that it is not).
 */
export function staysUnknown(code: number): boolean {
  return code === fdbCodes.timedOut || code === fdbCodes.clusterVersionChanged || code === fdbCodes.cancelled;
}

import { GkvError, type ErrorCode } from '../../../src/core/errors.ts';
import { type Log } from '../../../src/core/ports.ts';
import { type Counts } from '../kernel/counts.ts';
import { Violation, type Kernel } from '../kernel/kernel.ts';

/** What no fault of the world explains: somewhere our own code is wrong. */
const bugs = new Set<ErrorCode>(['internal', 'corrupt', 'malformed', 'store_unreadable', 'transaction_too_large', 'peer_protocol']);

/** Undefined for what a fault of the world may cause. */
export function asBug(error: unknown): Violation | undefined {
  if (error instanceof Violation) return error;
  if (error instanceof GkvError) {
    if (bugs.has(error.code)) return new Violation('bug', `${error.code}: ${error.message}`, { cause: error });
    return error.cause === undefined ? undefined : asBug(error.cause);
  }
  if (error instanceof Error && error.name === 'AbortError') return undefined;
  return new Violation('bug', `an error that nobody expects: ${String(error)}`, { cause: error });
}

/** Lines go to the trace and are counted; an error in one that can only be a bug of ours ends the run. */
export function simLog(kernel: Kernel, counts: Counts, name: string): Log {
  const line = (level: string, fields: object, message: string): void => {
    const error: unknown = 'err' in fields ? fields.err : undefined;
    const bug = error === undefined ? undefined : asBug(error);
    if (bug !== undefined) kernel.fail(bug);
    counts.add(`log: ${message}`);
    kernel.note(`${name} ${level} ${message}${error instanceof Error ? `: ${error.message}` : ''}`);
  };
  return {
    error: (fields, message) => {
      line('error', fields, message);
    },
    warn: (fields, message) => {
      line('warn', fields, message);
    },
    info: (fields, message) => {
      line('info', fields, message);
    },
    debug: () => undefined,
  };
}

/**
 * Time, chance and logging arrive as arguments, so that a simulation can own them. The real ones are made in
 * `server` and `cli` alone.
 */
export interface Clock {
  /** Wall clock, ms since the Unix epoch. May jump. */
  now(): number;
  /** Monotonic, ms since an arbitrary point; fractions count. For durations only. */
  monotonic(): number;
  /** Resolves after `ms`, or as soon as the signal aborts (it does not reject then). After 0 of real time everything else that was ready had its turn. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  /** `length` bytes, unpredictable in production. */
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1). For jitter. */
  fraction(): number;
}

/** Structured log lines; a subset of pino's interface. */
export interface Log {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

/** Swallows every line. */
export const silentLog: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};

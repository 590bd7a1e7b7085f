import { createReadStream, existsSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { BackupOrder, type BackupProgress } from '../backup/read.ts';
import { readRecords, type RawRecord } from '../backup/record.ts';
import { GkvError } from '../core/errors.ts';
import { fileError } from './io.ts';

/** A file's bytes, a chunk at a time. Error: `bad_config` where it cannot be read. */
export async function* fileChunks(path: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(path)) yield chunk as Buffer; // without an encoding it gives buffers
  } catch (cause) {
    throw fileError(path, 'cannot be read', cause);
  }
}

/** What a file that broke off holds of a backup. */
export interface Begun {
  /** The header's bytes. */
  readonly header: Uint8Array;
  readonly progress: BackupProgress;
  /** Where its last whole record ends. */
  readonly end: number;
  readonly isComplete: boolean;
}

/** Checks what there is; undefined where not even the header is whole. Error: `corrupt`. */
export async function readBegun(path: string): Promise<Begun | undefined> {
  const order = new BackupOrder();
  let header: Uint8Array | undefined;
  let last: RawRecord | undefined;
  for await (const record of readRecords(fileChunks(path), { cut: 'leave out' })) {
    order.take(record);
    header ??= record.payload;
    last = record;
  }
  if (header === undefined || last === undefined) return undefined;
  return { header, progress: order.progress, end: last.end, isComplete: order.isComplete };
}

/** Where records go: a file, synced at its end, or standard output. */
export interface BackupTarget extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
}

export const standardOutput: BackupTarget = {
  write: (bytes) =>
    new Promise((resolve, reject) => {
      process.stdout.write(bytes, (error) => {
        if (error instanceof Error) reject(error);
        else resolve();
      });
    }),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** Before anything is asked for. Error: `bad_config` where a new file is there already. */
export function checkTarget(path: string, end: number | undefined): void {
  if (end === undefined && existsSync(path)) throw targetError(path, thereAlready);
}

/** A new file, or one that goes on at `end`. Errors: `bad_config` where it is there already, or cannot be written; of `write`: `disk_full`, `unavailable`. */
export async function openTarget(path: string, end: number | undefined): Promise<BackupTarget> {
  const file = await opened(path, end);
  if (end !== undefined) await file.truncate(end);
  let at = end ?? 0;
  return {
    write: async (bytes) => {
      for (let from = 0; from < bytes.length;) {
        const { bytesWritten } = await file.write(bytes, from, bytes.length - from, at).catch((cause: unknown) => {
          throw writeError(path, cause);
        });
        from += bytesWritten;
        at += bytesWritten;
      }
    },
    [Symbol.asyncDispose]: async () => {
      await file.sync();
      await file.close();
    },
  };
}

async function opened(path: string, end: number | undefined): Promise<FileHandle> {
  try {
    return await open(path, end === undefined ? 'wx' : 'r+');
  } catch (cause) {
    const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
    throw exists ? targetError(path, thereAlready, cause) : fileError(path, 'cannot be written', cause);
  }
}

const thereAlready = 'is there already: name another, or go on with --resume';

function writeError(path: string, cause: unknown): GkvError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const isFull = cause instanceof Error && 'code' in cause && ['ENOSPC', 'EFBIG', 'EDQUOT'].includes(String(cause.code));
  const advice = isFull ? '; make room, and go on with --resume' : '';
  return new GkvError(isFull ? 'disk_full' : 'unavailable', `${path} cannot be written: ${message}${advice}`, { cause });
}

function targetError(path: string, why: string, cause?: unknown): GkvError {
  return new GkvError('bad_config', `${path} ${why}`, { cause });
}

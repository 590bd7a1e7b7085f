import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { parseRecordText, recordText, type AnyRecord } from '../grant/anyRecord.ts';
import { grantLimits } from '../grant/limits.ts';
import { writeNew } from './keyFile.ts';

/** Longest file of a record, with its end of line. */
const recordFileBytesMax = 65_537;

/** The records of a mesh directory, each a file; see src/grant/SPEC.md, T16. */
export class RecordFiles {
  readonly #folder: string;
  readonly #meshId: Uint8Array;
  /** What was read before: name → when it was written, and its length. */
  readonly #read = new Map<string, string>();
  #isFirst = true;

  constructor(folder: string, meshId: Uint8Array) {
    this.#folder = folder;
    this.#meshId = meshId;
  }

  /** Those that are new, or were written anew, since the last time. A file that is wrong keeps none of the others back, but at the first time. Errors: `bad_config`, `malformed`, `too_large`, with the path. */
  news(): AnyRecord[] {
    const news: AnyRecord[] = [];
    const wrong: unknown[] = [];
    for (const name of this.#names()) {
      const path = join(this.#folder, name);
      try {
        const { mtimeMs, size } = statSync(path);
        const state = `${mtimeMs} ${size}`;
        if (this.#read.get(name) === state) continue;
        news.push(readRecord(path, size, this.#meshId));
        this.#read.set(name, state);
      } catch (error) {
        wrong.push(error);
      }
    }
    if (wrong.length > 0 && (news.length === 0 || this.#isFirst)) throw wrong[0];
    this.#isFirst = false;
    return news;
  }

  #names(): string[] {
    let files: string[];
    try {
      files = readdirSync(this.#folder).filter((name) => /\.(?:root|grant|revocation)$/.test(name));
    } catch (cause) {
      throw new GkvError('bad_config', `${this.#folder} cannot be read`, { cause });
    }
    if (files.length <= grantLimits.recordsMax) return files.sort();
    throw new GkvError('too_large', `${this.#folder} has more than ${grantLimits.recordsMax} records`);
  }
}

/** Errors: `bad_config`, `malformed`, `too_large`, with the path. */
function readRecord(path: string, size: number, meshId: Uint8Array): AnyRecord {
  try {
    if (size > recordFileBytesMax) throw new GkvError('too_large', `more than ${recordFileBytesMax} bytes`);
    return parseRecordText(readFileSync(path, 'utf8').trimEnd(), meshId);
  } catch (cause) {
    if (cause instanceof GkvError) throw new GkvError(cause.code, `${path}: ${cause.message}`, { cause });
    throw new GkvError('bad_config', `${path} cannot be read`, { cause });
  }
}

/** Under its id; whole, or not at all. */
export function writeRecord(folder: string, any: AnyRecord): void {
  const path = join(folder, `${toHex(any.record.id)}.${any.kind}`);
  const draft = `${path}.${randomBytes(4).toString('hex')}`;
  writeNew(draft, `${recordText(any)}\n`, 0o644);
  renameSync(draft, path);
}

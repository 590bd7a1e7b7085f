import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, type Stats } from 'node:fs';
import { opendir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { parseRecordText, recordText, type AnyRecord } from '../grant/anyRecord.ts';
import { grantLimits } from '../grant/limits.ts';
import { type RecordNews } from '../server/config.ts';
import { fileError } from './io.ts';
import { writeNew } from './keyFile.ts';

/** Longest file of a record, with its end of line. */
const recordFileBytesMax = 65_537;
/** Files that are looked at though nothing says that they are others than before, at a time. */
const turnsMax = 1_000;
/** Files that are looked at together: what they take between two turns of others. */
const togetherMax = 32;

/** The records of a mesh directory, each a file; see src/grant/SPEC.md, T16. */
export class RecordFiles {
  readonly #folder: string;
  readonly #meshId: Uint8Array;
  /** Of the folder, as it was when all files were looked at; undefined: they were not. */
  #folderState: string | undefined;
  /** Why the folder cannot be read, as was told. */
  #folderFault: string | undefined;
  /** By name, as each file was when it was looked at last. */
  readonly #states = new Map<string, string>();
  /** Whose turn it is to be looked at. */
  #turns = this.#states.keys();

  constructor(folder: string, meshId: Uint8Array) {
    this.#folder = folder;
    this.#meshId = meshId;
  }

  /**
   * Those that are new, or were written anew, since the last time, in the order of their names. A file that is wrong keeps none of the others back, and is told of once, until it changes; so is the folder. Never
   * for long without a turn of others. One that was written in place, and not renamed into it, may be seen some calls later where there are more than `turnsMax`. Errors told: `bad_config`, `malformed`, `too_large`, with the path.
   */
  async news(): Promise<RecordNews> {
    const found: { name: string; what: AnyRecord | GkvError }[] = [];
    const due = await this.#due();
    if (due instanceof GkvError) return { records: [], wrong: this.#isTold(due) ? [] : [due] };
    this.#folderFault = undefined;
    for (let at = 0; at < due.length; at += togetherMax) {
      await Promise.all(
        due.slice(at, at + togetherMax).map(async (name) => {
          const what = await this.#look(name);
          if (what !== undefined) found.push({ name, what });
        }),
      );
    }
    found.sort((a, b) => (a.name < b.name ? -1 : 1));
    const records = found.flatMap(({ what }) => (what instanceof GkvError ? [] : [what]));
    const wrong = found.flatMap(({ what }) => (what instanceof GkvError ? [what] : []));
    return { records, wrong };
  }

  #isTold({ message }: GkvError): boolean {
    const isTold = this.#folderFault === message;
    this.#folderFault = message;
    return isTold;
  }

  /** What stands in a file now; undefined: it is as it was. */
  async #look(name: string): Promise<AnyRecord | GkvError | undefined> {
    const before = this.#states.get(name);
    const { state, what } = await lookAt(join(this.#folder, name), before, this.#meshId);
    this.#states.set(name, state);
    return state === before ? undefined : what;
  }

  /** The files to be looked at: all where one may have been put in the place of another, which moves the folder's times; else those that are new, and some whose turn it is. Or why the folder cannot be read. */
  async #due(): Promise<string[] | GkvError> {
    let state: string;
    let there: { names: Set<string>; fresh: string[] };
    try {
      state = stateOf(await stat(this.#folder)); // from before the names
      there = await this.#names();
    } catch (cause) {
      return fileError(this.#folder, 'cannot be read', cause);
    }
    const { names, fresh } = there;
    if (names.size > grantLimits.recordsMax)
      return new GkvError('too_large', `${this.#folder} has more than ${grantLimits.recordsMax} records`);
    const isChanged = state !== this.#folderState;
    this.#folderState = state;
    return isChanged ? [...names] : [...fresh, ...this.#nextTurns(names)];
  }

  /** Forgets those that are gone. */
  #nextTurns(names: ReadonlySet<string>): string[] {
    const next: string[] = [];
    for (let left = turnsMax; left > 0; left -= 1) {
      const { value, done } = this.#turns.next();
      if (done === true) {
        this.#turns = this.#states.keys();
        break;
      }
      if (names.has(value)) next.push(value);
      else this.#states.delete(value);
    }
    return next;
  }

  /** In parts, as they come from the disk; one more than there may be, at the most. `fresh`: those that were not looked at yet. */
  async #names(): Promise<{ names: Set<string>; fresh: string[] }> {
    const names = new Set<string>();
    const fresh: string[] = [];
    for await (const { name } of await opendir(this.#folder, { bufferSize: 256 })) {
      if (!/\.(?:root|grant|revocation)$/.test(name)) continue;
      names.add(name);
      if (!this.#states.has(name)) fresh.push(name);
      if (names.size > grantLimits.recordsMax) break;
    }
    return { names, fresh };
  }
}

/** Another one whenever a file may be another. */
function stateOf({ mtimeMs, ctimeMs, size }: Stats): string {
  return `${mtimeMs} ${ctimeMs} ${size}`;
}

/** The state of a file, and what stands in it unless that is as `before`: a record, or why there is none. One that cannot be read may be later, though it is as it was. */
async function lookAt(
  path: string,
  before: string | undefined,
  meshId: Uint8Array,
): Promise<{ state: string; what?: AnyRecord | GkvError }> {
  try {
    const stats = await stat(path);
    const state = stateOf(stats); // from before it is read
    if (state === before) return { state };
    // A pipe would be waited for without an end, and some devices have none.
    if (!stats.isFile()) return { state, what: new GkvError('bad_config', `${path}: is no file`) };
    if (stats.size > recordFileBytesMax)
      return { state, what: new GkvError('too_large', `${path}: more than ${recordFileBytesMax} bytes`) };
    return { state, what: parsed(path, await readFile(path, 'utf8'), meshId) };
  } catch (cause) {
    return { state: 'unreadable', what: fileError(path, 'cannot be read', cause) };
  }
}

function parsed(path: string, text: string, meshId: Uint8Array): AnyRecord | GkvError {
  try {
    return parseRecordText(text.trimEnd(), meshId);
  } catch (cause) {
    if (cause instanceof GkvError) return new GkvError(cause.code, `${path}: ${cause.message}`, { cause });
    throw cause;
  }
}

/** As `writeRecord`, where no file has its name; else whether that file is of this very record. */
export function writeNewRecord(folder: string, any: AnyRecord): 'written' | 'there' | 'other' {
  const path = pathOf(folder, any);
  if (!existsSync(path)) {
    writeRecord(folder, any);
    return 'written';
  }
  return readFileSync(path, 'utf8').trimEnd() === recordText(any) ? 'there' : 'other';
}

/** Under its id; whole, or not at all. */
export function writeRecord(folder: string, any: AnyRecord): void {
  const path = pathOf(folder, any);
  const draft = `${path}.${randomBytes(4).toString('hex')}`;
  writeNew(draft, `${recordText(any)}\n`, 0o644);
  renameSync(draft, path);
}

function pathOf(folder: string, { kind, record }: AnyRecord): string {
  return join(folder, `${toHex(record.id)}.${kind}`);
}

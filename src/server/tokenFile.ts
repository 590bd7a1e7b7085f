import { readFileSync, statSync } from 'node:fs';
import { GkvError } from '../core/errors.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { parseTokens, TokenTable } from '../grant/token.ts';
import { fingerprint, watchFiles } from './fileChange.ts';
import { type SourcedFile } from './sourcedFile.ts';

/** How often it is looked whether the file is another: so long a revoked token may still be taken. */
const lookMs = 1_000;
const bytesMax = 8_388_608;

/** Error: `bad_config`, with the option and the file: it cannot be read, others may write it, or it holds something else. */
export function readTokens({ path, source }: SourcedFile): TokenTable {
  try {
    const { mode, size } = statSync(path);
    if ((mode & 0o022) !== 0) throw new GkvError('bad_config', 'others may write it; chmod 600 is right');
    if (size > bytesMax) throw new GkvError('bad_config', `it has ${size} bytes: at most ${bytesMax} are allowed`);
    return new TokenTable(parseTokens(readFileSync(path)));
  } catch (cause) {
    throw new GkvError('bad_config', `${source}: ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/**
 * The tokens in a file, kept up to date while the server runs. A file that is wrong changes nothing: what was right before stays, and an error is
 * logged.
 */
export class TokenFile implements AsyncDisposable {
  readonly #file: SourcedFile;
  readonly #log: Log;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #table: TokenTable;

  private constructor(file: SourcedFile, print: string, clock: Clock, log: Log) {
    this.#file = file;
    this.#log = log;
    this.#table = readTokens(file);
    const { signal } = this.#stop;
    this.#running = watchFiles({ paths: [file.path], print, everyMs: lookMs, clock, signal }, (isOther) => {
      if (isOther) this.#renew();
    });
  }

  /** Reads the file, and watches it until disposed of. Errors: those of readTokens. */
  static async open(file: SourcedFile, clock: Clock, log: Log): Promise<TokenFile> {
    return new TokenFile(file, await fingerprint([file.path]), clock, log);
  }

  get table(): TokenTable {
    return this.#table;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #renew(): void {
    try {
      this.#table = readTokens(this.#file);
      this.#log.info({ tokens: this.#table.size }, 'new tokens are in use');
    } catch (error) {
      this.#log.error({ err: error }, 'the new token file is wrong; the tokens before stay in use');
    }
  }
}

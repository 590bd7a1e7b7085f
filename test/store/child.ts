import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type Readable, type Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('lmdbChild.ts', import.meta.url));

/** A process that runs lmdbChild.ts, possibly through another program, as in `strace -f node …`. */
export class Child {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(task: string, dir: string, { through = [], uid }: { through?: string[]; uid?: number } = {}) {
    const node = [process.execPath, '--import', 'tsx', script, task, dir, ...(uid === undefined ? [] : [String(uid)])];
    const [program = '', ...args] = [...through, ...node];
    this.#process = spawn(program, args, { stdio: ['pipe', 'pipe', process.env['CHILD_STDERR'] === undefined ? 'ignore' : 'inherit'] });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** The next line; undefined when there are no more. */
  async line(): Promise<string | undefined> {
    const next = await this.#lines.next();
    return next.done === true ? undefined : next.value;
  }

  async rest(): Promise<string[]> {
    const lines: string[] = [];
    for (let line = await this.line(); line !== undefined; line = await this.line()) lines.push(line);
    return lines;
  }

  tell(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** Lets it end by itself. */
  async finish(): Promise<void> {
    this.#process.stdin.end();
    await this.#ended();
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended();
  }

  async #ended(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, 'exit');
  }
}

/**
 * Temporary directories and child processes of a run, all gone at its end. Children are plain `node` on the built command: the
 * bench's own files are translated into a directory beside a link to dist, so that no loader distorts what is measured.
 */
import { type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import ts from 'typescript';
import { exitOf, linesOf, serviceOf, spawned, type Service } from '../region.ts';

const repo = join(import.meta.dirname, '../..');

export class Workshop {
  readonly #root = mkdtempSync(join(tmpdir(), 'gkvmesh-bench-'));
  readonly #children = new Set<ChildProcess>();
  #directories = 0;

  constructor() {
    const compiled = join(this.#root, 'repo/test/bench');
    mkdirSync(compiled, { recursive: true });
    writeFileSync(join(this.#root, 'repo/package.json'), '{"type":"module"}');
    symlinkSync(join(repo, 'dist'), join(this.#root, 'repo/src'));
    symlinkSync(join(repo, 'node_modules'), join(this.#root, 'repo/node_modules'));
    for (const name of readdirSync(import.meta.dirname).filter((file) => /^[a-zA-Z]+\.ts$/.test(file))) {
      writeFileSync(join(compiled, name.replace(/\.ts$/, '.js')), translate(readFileSync(join(import.meta.dirname, name), 'utf8')));
    }
  }

  /** A new empty directory. */
  directory(name: string): string {
    this.#directories += 1;
    const path = join(this.#root, `${this.#directories}-${name}`);
    mkdirSync(path);
    return path;
  }

  remove(directory: string): void {
    rmSync(directory, { recursive: true, force: true });
  }

  /** Runs a file of this folder to its end. What it prints are lines of JSON, given one by one. */
  async *child(script: URL, args: readonly string[]): AsyncGenerator {
    const process = this.#spawn(globalThis.process.execPath, [this.#compiled(script), ...args]);
    const ended = exitOf(process);
    for await (const line of linesOf(process)) yield JSON.parse(line);
    const code = await ended;
    if (code !== 0) throw new Error(`${script.pathname} ${args.join(' ')} ended with ${String(code)}`);
  }

  /** Runs a file of this folder until it is stopped; resolves with the first line that matches. */
  script(script: URL, args: readonly string[], ready: RegExp): Promise<Service> {
    return this.service(process.execPath, [this.#compiled(script), ...args], ready);
  }

  /** Runs any program until it is stopped; resolves with the first line that matches, or throws after `msMax`. `onLine` is told of those before it. */
  service(program: string, args: readonly string[], ready: RegExp, onLine?: (line: string) => void, msMax?: number): Promise<Service> {
    return serviceOf(this.#spawn(program, args), ready, onLine, msMax);
  }

  /** What a program prints until it ends. */
  async output(program: string, args: readonly string[]): Promise<string> {
    const child = this.#spawn(program, args);
    const ended = exitOf(child);
    const lines: string[] = [];
    for await (const line of linesOf(child)) lines.push(line);
    const code = await ended;
    if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${String(code)}: ${lines.join(' ')}`);
    return lines.join('\n');
  }

  #compiled(script: URL): string {
    return join(this.#root, 'repo/test/bench', basename(script.pathname).replace(/\.ts$/, '.js'));
  }

  #spawn(program: string, args: readonly string[]): ChildProcess {
    const child = spawned(program, args);
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Ends what still runs and removes every file. Safe at exit: does not wait. */
  close(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

/** Whether a program of this name can be run. */
export function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((directory) => {
    try {
      return readdirSync(directory).includes(program);
    } catch {
      return false;
    }
  });
}

function translate(source: string): string {
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, rewriteRelativeImportExtensions: true };
  return ts.transpileModule(source, { compilerOptions: { ...compilerOptions, verbatimModuleSyntax: true } }).outputText;
}

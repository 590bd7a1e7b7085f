import { readFileSync } from 'node:fs';
import { GkvError } from '../core/errors.ts';

/** Exit codes: 0 done, 1 failed, 2 wrong flag or configuration, 3 key absent. */
export const exitCodes = { failed: 1, usage: 2, absent: 3 } as const;

export function print(text: string): void {
  process.stdout.write(`${harmless(text)}\n`);
}

/** Ends a command whose output is not taken. A reader that went away, as in `gkvmesh list | head`, is no failure. */
export function endWithoutOutput(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  const code = error.code === 'ENOSPC' ? 'disk_full' : 'unavailable';
  process.stderr.write(`gkvmesh: ${code}: standard output cannot be written: ${oneLine(error.message)}\n`);
  process.exit(exitCodes.failed);
}

/** What a terminal would take as an order, or as another direction of writing, as it stands in JSON: others may have made the text. */
export function harmless(text: string): string {
  return text.replace(orders, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Of an error, or in a column. */
export function oneLine(text: string): string {
  return harmless(text.trim().replaceAll(/\s*\n\s*/g, ' '));
}

const orders = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** As `print`, and waits while the reader is behind. */
export async function printed(text: string): Promise<void> {
  if (!process.stdout.write(`${text}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve));
}

/** A file or folder that cannot be had, `why` as in "cannot be read", with the system's own reason. */
export function fileError(path: string, why: string, cause: unknown): GkvError {
  return new GkvError('bad_config', `${path} ${why}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}

/** A value of the command line: as a key, or a file's bytes with @; @@ begins a text with one @. */
export function argumentBytes(text: string, options: { base64?: boolean | undefined }): Buffer {
  if (text.startsWith('@@')) return textBytes(text.slice(1), ': name a file with @');
  if (text.startsWith('@')) {
    try {
      return readFileSync(text.slice(1));
    } catch (cause) {
      throw fileError(JSON.stringify(text.slice(1)), 'cannot be read', cause);
    }
  }
  return keyBytes(text, options);
}

/** A key, or a part of one, of the command line: text, or base64 with --base64. */
export function keyBytes(text: string, options: { base64?: boolean | undefined }): Buffer {
  if (options.base64 !== true) return textBytes(text, ': use --base64');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new GkvError('bad_config', `${JSON.stringify(text)} is not standard base64 with padding`);
  return bytes;
}

/** A text of the command line. Error: `bad_config`, with `advice`, where Node has put U+FFFD in the place of what is no UTF-8. */
export function textBytes(text: string, advice: string): Buffer {
  if (text.includes('\ufffd'))
    throw new GkvError('bad_config', `${JSON.stringify(text)} holds what is no UTF-8, or stands for it${advice}`);
  return Buffer.from(text);
}

/** Bytes as they are shown: text where they are printable UTF-8, else base64 with its name in front. */
export function shown(bytes: Uint8Array, options: { base64?: boolean | undefined }): string {
  const base64 = Buffer.from(bytes).toString('base64');
  if (options.base64 === true) return base64;
  const text = Buffer.from(bytes).toString('utf8');
  const printable = Buffer.from(text).equals(bytes) && harmless(text) === text;
  return printable ? text : `base64:${base64}`;
}

/** Shows how far something is: a bar on a terminal, a line a second otherwise. To stderr. */
export class Progress {
  readonly #what: string;
  readonly #started = performance.now();
  #shown = performance.now();

  constructor(what: string) {
    this.#what = what;
  }

  update(done: number): void {
    const now = performance.now();
    const every = process.stderr.isTTY ? 100 : 1_000;
    if (now - this.#shown < every) return;
    this.#shown = now;
    this.#write(done, now);
  }

  finish(done: number): void {
    this.#write(done, performance.now());
    if (process.stderr.isTTY) process.stderr.write('\n');
  }

  #write(done: number, now: number): void {
    const rate = Math.round(done / Math.max(0.001, (now - this.#started) / 1_000));
    const line = `${this.#what} ${done} (${rate}/s)`;
    process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${line}` : `${line}\n`);
  }
}

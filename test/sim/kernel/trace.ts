import { hashOf } from './streams.ts';

/**
 * What happened, in one number: the hash of every line so far. Two runs that differ anywhere differ in it. The lines
 * themselves go to `print`, where somebody wants to read them.
 */
export class Trace {
  readonly #print: ((line: string) => void) | undefined;
  #hash = hashOf('trace');
  #lines = 0;

  constructor(print?: (line: string) => void) {
    this.#print = print;
  }

  line(nowMs: number, text: string): void {
    const line = `${nowMs.toFixed(3).padStart(12)} ${text}`;
    this.#hash = hashOf(line, this.#hash);
    this.#lines += 1;
    this.#print?.(line);
  }

  get hash(): string {
    return `${this.#lines}-${this.#hash.toString(16).padStart(8, '0')}`;
  }
}

import { type IncomingMessage, type ServerResponse } from 'node:http';
import { GkvError } from '../core/errors.ts';
import { type Clock } from '../core/ports.ts';

export interface BodyLimits {
  readonly bytesMax: number;
  /** From the headers to the last byte. */
  readonly arrivalMsMax: number;
}

interface Arriving {
  readonly startedMs: number;
  readonly giveUp: (error: GkvError) => void;
}

/** Reads request bodies: never more than so many bytes, never longer than so many ms. One timer serves all of them. */
export class BodyReader {
  readonly #limits: BodyLimits;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #arriving = new Set<Arriving>();
  #watching = false;

  /** The signal ends the timer, not the bodies under way. */
  constructor(limits: BodyLimits, clock: Clock, signal: AbortSignal) {
    this.#limits = limits;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** Errors: `too_large` before anything is read where the length says so, `slow_body`, `malformed` when it breaks off. */
  read(request: IncomingMessage, response: ServerResponse): Promise<Buffer> {
    const header = request.headers['content-length'];
    if (header !== undefined && Number(header) > this.#limits.bytesMax) return Promise.reject(this.#tooLarge());
    if (request.headers.expect !== undefined) response.writeContinue();
    return new Promise((resolve, reject) => {
      const arriving = { startedMs: this.#clock.monotonic(), giveUp: reject };
      this.#arriving.add(arriving);
      this.#collect(request, arriving, resolve);
      if (!this.#watching) void this.#watch();
    });
  }

  #collect(request: IncomingMessage, arriving: Arriving, resolve: (body: Buffer) => void): void {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= this.#limits.bytesMax) chunks.push(chunk);
      else if (this.#arriving.delete(arriving)) {
        request.pause();
        chunks.length = 0;
        arriving.giveUp(this.#tooLarge());
      }
    });
    request.on('end', () => {
      const [first, ...others] = chunks;
      if (this.#arriving.delete(arriving)) resolve(first === undefined || others.length > 0 ? Buffer.concat(chunks) : first);
    });
    const brokeOff = (cause?: Error): void => {
      if (this.#arriving.delete(arriving)) arriving.giveUp(new GkvError('malformed', 'the body broke off before its end', { cause }));
    };
    request.on('error', brokeOff);
    request.on('close', brokeOff);
  }

  async #watch(): Promise<void> {
    this.#watching = true;
    const { arrivalMsMax } = this.#limits;
    while (this.#arriving.size > 0 && !this.#signal.aborted) {
      await this.#clock.sleep(Math.min(1_000, arrivalMsMax / 4), this.#signal);
      const latestMs = this.#clock.monotonic() - arrivalMsMax;
      for (const arriving of this.#arriving) {
        if (arriving.startedMs > latestMs) break; // in order of arrival: the others began later
        this.#arriving.delete(arriving);
        arriving.giveUp(new GkvError('slow_body', `the body did not arrive within ${arrivalMsMax} ms`));
      }
    }
    this.#watching = false;
  }

  #tooLarge(): GkvError {
    return new GkvError('too_large', `the body has more than ${this.#limits.bytesMax} bytes, which is the most that is taken`);
  }
}

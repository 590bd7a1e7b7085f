import { type IncomingMessage, type ServerResponse } from 'node:http';
import getRawBody from 'raw-body';
import { GkvError } from '../core/errors.ts';
import { type Clock } from '../core/ports.ts';

export interface BodyLimits {
  readonly bytesMax: number;
  /** From the headers to the last byte. */
  readonly arrivalMsMax: number;
  /** Of all bodies that arrive, without the beginning of each. Default: 256 MiB. */
  readonly arrivingBytesMax?: number | undefined;
}

const arrivingBytesMax = 268_435_456;
/** So much of a body is not counted, so that small ones come while large ones are refused. */
const uncountedBytes = 65_536;

interface Arriving {
  readonly startedMs: number;
  readonly giveUp: (error: GkvError) => void;
}

/** Reads request bodies: never more than so many bytes, of one and of all that arrive, never longer than so many ms. One timer serves all of them. */
export class BodyReader {
  readonly #limits: BodyLimits;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #arriving = new Set<Arriving>();
  #watching = false;
  #bytes = 0;

  /** The signal ends the timer, not the bodies under way. */
  constructor(limits: BodyLimits, clock: Clock, signal: AbortSignal) {
    this.#limits = limits;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** Errors: `too_large` before anything is read where the length says so, `slow_body`, `malformed` when it breaks off, `unavailable` where too much arrives. */
  read(request: IncomingMessage, response: ServerResponse): Promise<Buffer> {
    const { bytesMax } = this.#limits;
    const header = request.headers['content-length'];
    const length = header === undefined ? undefined : Number(header);
    if (length !== undefined && length > bytesMax) return Promise.reject(this.#tooLarge());
    if (request.headers.expect !== undefined) response.writeContinue();
    return new Promise((resolve, reject) => {
      const arriving = { startedMs: this.#clock.monotonic(), giveUp: reject };
      this.#arriving.add(arriving);
      const release = this.#count(request, (error) => {
        if (response.headersSent) return; // it was too slow already
        request.pause();
        response.setHeader('Connection', 'close'); // the rest of it is not read
        response.setHeader('Retry-After', '1');
        reject(error);
      });
      getRawBody(
        request,
        length === undefined ? { limit: bytesMax } : { limit: bytesMax, length },
        (error: getRawBody.RawBodyError | null | undefined, body) => {
          this.#arriving.delete(arriving);
          release();
          if (error === null || error === undefined) resolve(body);
          else reject(this.#failure(error));
        },
      );
      if (!this.#watching) void this.#watch();
    });
  }

  /** Counts what is held of a body until that is all here, which is said by the function that is returned, or its connection ends. */
  #count(request: IncomingMessage, refuse: (error: GkvError) => void): () => void {
    let [bytes, counted] = [0, 0];
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      const more = Math.max(0, bytes - uncountedBytes) - counted;
      counted += more;
      this.#bytes += more;
      if (more > 0 && this.#bytes > (this.#limits.arrivingBytesMax ?? arrivingBytesMax))
        refuse(new GkvError('unavailable', `bodies of ${this.#bytes} bytes arrive: try again later`));
    };
    const release = (): void => {
      request.off('data', take);
      this.#bytes -= counted;
      counted = 0;
    };
    request.on('data', take);
    request.once('close', release);
    return release;
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

  #failure(error: getRawBody.RawBodyError): GkvError {
    if (error.type === 'entity.too.large') return this.#tooLarge();
    return new GkvError('malformed', 'the body broke off before its end', { cause: error });
  }
}

import { type Socket } from 'node:net';

/** `cut`: connections are reset. `silent`: they are accepted and nothing passes; what was sent arrives once the link is open again. */
type Flow = 'open' | 'cut' | 'silent';

interface Conditions {
  readonly flow?: Flow;
  readonly delayMs?: number;
  /** In each direction; Infinity: no limit. */
  readonly bytesPerSecond?: number;
}

/** What happens between one region that asks and one that answers. */
export class Link {
  readonly counts = { requests: 0, bytes: 0 };
  readonly #sockets = new Set<Socket>();
  readonly #freeMs = { asked: 0, answered: 0 };
  #conditions: Required<Conditions> = { flow: 'open', delayMs: 0, bytesPerSecond: Infinity };
  #opened = Promise.resolve();
  #open: () => void = () => undefined;

  /** From now on; what is not named stays. */
  set(conditions: Conditions): void {
    this.#conditions = { ...this.#conditions, ...conditions };
    if (this.#conditions.flow === 'cut') for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#open();
    if (this.#conditions.flow !== 'silent') return;
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  /** Takes a connection of who asks; false where the link is cut, and it with it. */
  adopt(socket: Socket): boolean {
    if (this.#conditions.flow === 'cut') {
      socket.resetAndDestroy();
      return false;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return true;
  }

  /** Counts what comes; when it has arrived, by the monotonic clock in ms. */
  take(chunk: Buffer, direction: 'asked' | 'answered'): number {
    if (direction === 'asked' && chunk.subarray(0, 5).toString() === 'POST ') this.counts.requests += 1;
    this.counts.bytes += chunk.length;
    const { delayMs, bytesPerSecond } = this.#conditions;
    this.#freeMs[direction] = Math.max(this.#freeMs[direction], performance.now()) + (chunk.length * 1_000) / bytesPerSecond;
    return this.#freeMs[direction] + delayMs;
  }

  /** Resolves while something passes. */
  opened(): Promise<void> {
    return this.#opened;
  }
}

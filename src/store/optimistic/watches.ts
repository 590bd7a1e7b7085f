import { GkvError } from '../../core/errors.ts';
import { type Bytes } from '../store.ts';
import { type Text, textOf } from './text.ts';
import { type WriteBuffer } from './writeBuffer.ts';

interface Waiter {
  wake(): void;
  refuse(error: GkvError): void;
}

/** Those who wait for a key to change, in this process. */
export class Watches {
  readonly #waiters = new Map<Text, Set<Waiter>>();

  watch(key: Bytes, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    const text = textOf(key);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        signal.removeEventListener('abort', wake);
        const others = this.#waiters.get(text);
        others?.delete(waiter);
        if (others?.size === 0) this.#waiters.delete(text);
      };
      const wake = (): void => {
        leave();
        resolve();
      };
      const refuse = (error: GkvError): void => {
        leave();
        reject(error);
      };
      const waiter = { wake, refuse };
      signal.addEventListener('abort', wake);
      const waiters = this.#waiters.get(text);
      if (waiters === undefined) this.#waiters.set(text, new Set([waiter]));
      else waiters.add(waiter);
    });
  }

  /** Wakes those whose key the transaction wrote or cleared. */
  written(buffer: WriteBuffer): void {
    for (const [text, waiters] of this.#waiters) {
      if (buffer.lookup(text) !== undefined) for (const waiter of [...waiters]) waiter.wake();
    }
  }

  /** Wakes those for whom `choose` says so; nothing has changed for them. */
  wakeSome(choose: () => boolean): void {
    for (const waiters of this.#waiters.values()) {
      for (const waiter of [...waiters]) if (choose()) waiter.wake();
    }
  }

  close(): void {
    const error = new GkvError('store_closed', 'the store was closed while a key was watched');
    for (const waiters of this.#waiters.values()) for (const waiter of [...waiters]) waiter.refuse(error);
  }
}

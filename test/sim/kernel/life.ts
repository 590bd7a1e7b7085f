import { type Kernel, type Scheduled } from './kernel.ts';

/**
 * One run of a process. Whatever its code waits for comes through here: a crash is that nothing comes any more, and a pause that
 * everything comes later. So the code stops at the await that it stands at, wherever that is, without knowing it.
 */
export class Life {
  readonly name: string;
  readonly #kernel: Kernel;
  #state: 'running' | 'paused' | 'ended' = 'running';
  readonly #mourners: (() => void)[] = [];
  #held: { readonly label: string; readonly run: () => void }[] = [];

  constructor(kernel: Kernel, name: string) {
    this.#kernel = kernel;
    this.name = name;
  }

  get isEnded(): boolean {
    return this.#state === 'ended';
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  /** Runs `run` in this process in `delayMs`: later where it is paused then, and not at all where it has ended. */
  after(delayMs: number, label: string, run: () => void): Scheduled {
    let called = true;
    const scheduled = this.#kernel.after(delayMs, label === '' ? '' : `${this.name} ${label}`, () => {
      this.#deliver(label, () => {
        if (called) run();
      });
    });
    return {
      cancel: () => {
        called = false;
        scheduled.cancel();
      },
    };
  }

  sleep(ms: number, label: string): Promise<void> {
    return new Promise((resolve) => this.after(ms, label, resolve));
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    const held = this.#held;
    this.#held = [];
    for (const { label, run } of held) this.after(0, label, run);
  }

  /** From now on no code of it runs. */
  end(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#held = [];
    for (const mourner of this.#mourners.splice(0)) this.#kernel.after(0, '', mourner);
  }

  /** Calls back, outside of this process, when it has ended: connections to it break. */
  whenEnded(mourner: () => void): void {
    if (this.isEnded) this.#kernel.after(0, '', mourner);
    else this.#mourners.push(mourner);
  }

  #deliver(label: string, run: () => void): void {
    if (this.#state === 'running') this.#kernel.as(this, run);
    else if (this.#state === 'paused') this.#held.push({ label, run });
  }
}

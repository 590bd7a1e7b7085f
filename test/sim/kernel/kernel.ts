import { type Life } from './life.ts';
import { EventQueue, type Due } from './queue.ts';
import { Streams, type Stream } from './streams.ts';
import { Trace } from './trace.ts';

/** Taken before a run bans it. Between two of its callbacks all microtasks run, those that they queue, and what tells of unhandled rejections. */
const { setImmediate: inTurn } = globalThis;

/** So many callbacks are asked for at once: asking for them one by one takes a look at every file and socket between two events. */
const turnsAtOnce = 1_000;

interface Event extends Due {
  readonly label: string;
  run: (() => void) | undefined;
}

/** Something that will happen, unless it is called off before. */
export interface Scheduled {
  cancel(): void;
}

/** What a run found wrong: the statement that does not hold, and how it shows. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly invariant: string;

  constructor(invariant: string, message: string, options?: ErrorOptions) {
    super(`${invariant}: ${message}`, options);
    this.invariant = invariant;
  }
}

/**
 * Virtual time. Events run one by one in the order of their times, equal times in an order that the seed draws; after each
 * everything runs that became ready by it, to the last microtask, before the next one does. So between two events nothing is under
 * way but what waits for a later event.
 */
export class Kernel {
  readonly streams: Streams;
  readonly trace: Trace;
  readonly #queue = new EventQueue<Event>();
  readonly #ties: Stream;
  #nowMs = 0;
  #sequence = 0;
  #failure: { readonly error: unknown } | undefined;
  /** Whose code runs now: the life that the current event belongs to. */
  #running: Life | undefined;

  constructor(seed: number, print?: (line: string) => void) {
    this.streams = new Streams(seed);
    this.trace = new Trace(print);
    this.#ties = this.streams.of('ties');
  }

  /** Virtual ms since the run began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  get running(): Life | undefined {
    return this.#running;
  }

  /** How many events have run. */
  events = 0;

  /** Runs `run` in `delayMs`, after what happens now has ended. An empty label keeps the event out of the trace. */
  after(delayMs: number, label: string, run: () => void): Scheduled {
    this.#sequence += 1;
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), tie: this.#ties.fraction(), sequence: this.#sequence, label, run };
    this.#queue.push(event);
    return { cancel: () => (event.run = undefined) };
  }

  sleep(ms: number, label: string): Promise<void> {
    return new Promise((resolve) => this.after(ms, label, resolve));
  }

  note(text: string): void {
    this.trace.line(this.#nowMs, text);
  }

  /** Runs what belongs to a life, so that it is known whose effects these are. */
  as(life: Life, run: () => void): void {
    this.#running = life;
    run();
  }

  /** Ends the run with this error, once what happens now has ended. The first one counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Runs events until `work` has ended, and gives its result. Whatever fails the kernel fails this. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    let outcome: { readonly value: T } | undefined;
    this.after(0, 'start', () => {
      work().then(
        (value) => (outcome = { value }),
        (error: unknown) => {
          this.fail(error);
        },
      );
    });
    for (;;) {
      await turns(() => this.#failure === undefined && outcome === undefined && this.#turn());
      if (this.#failure !== undefined) throw this.#failure.error;
      if (outcome !== undefined) return outcome.value;
    }
  }

  #turn(): true {
    this.#running = undefined;
    try {
      this.#next();
    } catch (error) {
      this.fail(error);
    }
    return true;
  }

  #next(): void {
    for (;;) {
      const event = this.#queue.pop();
      if (event === undefined) throw new Violation('kernel', 'everything waits, and nothing will happen any more');
      if (event.run === undefined) continue;
      this.#nowMs = event.atMs;
      this.events += 1;
      if (event.label !== '') this.note(event.label);
      event.run();
      return;
    }
  }
}

/** Calls `turn` as often as it is true, each time when everything has run that became ready by the last. */
function turns(turn: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    let goesOn = true;
    const once = (): void => {
      goesOn &&= turn();
    };
    const many = (): void => {
      if (!goesOn) {
        resolve();
        return;
      }
      for (let at = 0; at < turnsAtOnce; at += 1) inTurn(once);
      inTurn(many);
    };
    many();
  });
}

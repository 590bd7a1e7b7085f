import { GkvError, type ErrorCode } from '../../../src/core/errors.ts';
import { type PeerLink } from '../../../src/aae/checkedPeer.ts';
import { type Counts } from '../kernel/counts.ts';
import { type Kernel } from '../kernel/kernel.ts';
import { type Life } from '../kernel/life.ts';
import { type Stream } from '../kernel/streams.ts';
import { fateOf, healthyLink, type LinkState } from './link.ts';

/** Answers a request; `signal` aborts when the caller is known to have gone. */
export type Handler = (path: string, frame: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;

/** Who asks: a process, and the cluster that it is of. */
export interface Caller {
  readonly life: Life;
  readonly region: number;
}

interface Listener {
  readonly life: Life;
  readonly region: number;
  readonly handler: Handler;
}

/** As `mesh/transport.ts` has it. */
const answerMsMax = 20_000;

/**
 * Requests and answers between processes of different clusters. Each direction of each pair of clusters is a link of its own, with its own
 * delays and faults. A caller gets its answer, the answer's error as the real transport would tell it, or a time-out.
 */
export class Network {
  readonly #kernel: Kernel;
  readonly #counts: Counts;
  readonly #random: Stream;
  readonly #links = new Map<string, LinkState>();
  readonly #listeners = new Map<string, Listener>();

  constructor(kernel: Kernel, counts: Counts) {
    this.#kernel = kernel;
    this.#counts = counts;
    this.#random = kernel.streams.of('network');
  }

  link(from: number, to: number): LinkState {
    const name = `${from}>${to}`;
    const known = this.#links.get(name);
    if (known !== undefined) return known;
    const link = healthyLink(this.#kernel.streams.of(`link ${name}`));
    this.#links.set(name, link);
    return link;
  }

  links(): LinkState[] {
    return [...this.#links.values()];
  }

  listen(address: string, listener: Listener): void {
    this.#listeners.set(address, listener);
  }

  /** A link as the mesh code has it: one path of one address. */
  linkTo(caller: Caller, address: string, path: string): PeerLink {
    return { ask: (frame, signal) => this.#ask(caller, address, path, { frame, signal }) };
  }

  #ask(caller: Caller, address: string, path: string, { frame, signal }: { frame: Uint8Array; signal: AbortSignal }): Promise<Uint8Array> {
    const listener = this.#listeners.get(address);
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    return new Promise((resolve, reject) => {
      const gone = new Leaving();
      let isOver = false;
      const end = (settle: () => void): void => {
        if (isOver) return;
        isOver = true;
        timeout.cancel();
        signal.removeEventListener('abort', leave);
        settle();
      };
      const leave = (): void => {
        end(() => {
          gone.tell();
          reject(reasonOf(signal));
        });
      };
      const fail = (code: ErrorCode, why: string): void => {
        end(() => {
          gone.tell();
          reject(new GkvError(code, `peer ${address}: ${why}`));
        });
      };
      const timeout = caller.life.after(answerMsMax, `time-out of ${address}${path}`, () => {
        this.#counts.add('network: time-out');
        fail('peer_timeout', 'no answer in time');
      });
      signal.addEventListener('abort', leave);
      if (listener === undefined) {
        caller.life.after(1, 'no such address', () => {
          fail('peer_unreachable', 'nobody listens there');
        });
        return;
      }
      this.#send(caller, address, path, { frame, gone, end, resolve, fail });
    });
  }

  #send(caller: Caller, address: string, path: string, request: Request): void {
    const link = this.link(caller.region, this.#listeners.get(address)?.region ?? 0);
    const twice = this.#random.chance(link.duplication);
    const isRefused = this.#random.chance(0.5);
    const fate = fateOf(link, this.#random);
    if (fate.kind === 'lost') {
      this.#counts.add(`network: request ${fate.by === 'cut' ? 'at a cut' : 'lost'}`);
      // A cut shows at once where the system reports it, and by a time-out where it does not.
      if (fate.by === 'cut' && isRefused)
        caller.life.after(2, 'unreachable', () => {
          request.fail('peer_unreachable', 'no route');
        });
      return;
    }
    this.#deliver(caller, address, path, { ...request, delayMs: fate.delayMs });
    if (!twice) return;
    this.#counts.add('network: request delivered twice');
    const again = fateOf(link, this.#random);
    if (again.kind === 'arrives')
      this.#deliver(caller, address, path, { ...request, end: () => undefined, fail: () => undefined, delayMs: again.delayMs });
  }

  #deliver(caller: Caller, address: string, path: string, request: Request & { readonly delayMs: number }): void {
    // Whoever listens when the request arrives gets it: perhaps the next process at that address.
    this.#kernel.after(request.delayMs, '', () => {
      const listener = this.#listeners.get(address);
      if (listener === undefined || listener.life.isEnded) {
        caller.life.after(1, `refused by ${address}`, () => {
          request.fail('peer_unreachable', 'connection refused');
        });
        return;
      }
      listener.life.after(0, `${path} from ${caller.life.name}, ${request.frame.length} bytes`, () => {
        this.#handle(caller, listener, path, request);
      });
    });
  }

  #handle(caller: Caller, listener: Listener, path: string, { frame, gone, end, resolve, fail }: Request): void {
    const answered = (deliver: () => void, what: string): void => {
      const fate = fateOf(this.link(listener.region, caller.region), this.#random);
      if (fate.kind === 'arrives') caller.life.after(fate.delayMs, `${what} from ${listener.life.name}`, deliver);
      else this.#counts.add(`network: answer ${fate.by === 'cut' ? 'at a cut' : 'lost'}`);
    };
    listener.handler(path, Uint8Array.from(frame), leavingIn(listener.life, gone)).then(
      (answer) => {
        answered(() => {
          end(() => {
            resolve(Uint8Array.from(answer));
          });
        }, `${path} answer of ${answer.length} bytes`);
      },
      (error: unknown) => {
        answered(() => {
          fail(...refusal(error));
        }, `${path} error`);
      },
    );
  }
}

interface Request {
  readonly frame: Uint8Array;
  readonly gone: Leaving;
  readonly end: (settle: () => void) => void;
  readonly resolve: (answer: Uint8Array) => void;
  readonly fail: (code: ErrorCode, why: string) => void;
}

/** That a caller has gone, for those who were listening by then. */
class Leaving {
  #listeners: (() => void)[] = [];

  listen(listener: () => void): void {
    this.#listeners.push(listener);
  }

  tell(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }
}

/** The other end hears that a caller has gone a little later, in a turn of its own. */
function leavingIn(life: Life, gone: Leaving): AbortSignal {
  const heard = new AbortController();
  gone.listen(() => {
    life.after(5, '', () => {
      heard.abort();
    });
  });
  return heard.signal;
}

/** As the real transport reads a peer's error. Anything that is no GkvError is a bug of ours, and shows as itself. */
function refusal(error: unknown): [ErrorCode, string] {
  if (!(error instanceof GkvError)) throw error;
  if (final.has(error.code)) return [error.code, error.message];
  return [unavailable.has(error.code) ? 'peer_unreachable' : 'peer_protocol', `${error.code}: ${error.message}`];
}

/** What a peer says of us, and no other try changes. */
const final = new Set<ErrorCode>(['mesh_mismatch', 'wrong_peer', 'rollback_detected', 'must_bootstrap']);

/** Codes that go out as 503 or 507. */
const unavailable = new Set<ErrorCode>([
  'unavailable',
  'disk_full',
  'read_only',
  'store_closed',
  'store_conflict',
  'transaction_too_old',
  'commit_unknown',
  'lease_lost',
]);

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted');
}

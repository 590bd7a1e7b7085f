/** Clusters that prove themselves to each other, over links that a test looks into; what lies behind the proof answers with what it was asked, turned round. */
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest, type FrameService } from '../../src/aae/frame.ts';
import { type GkvError } from '../../src/core/errors.ts';
import { type HostPort } from '../../src/core/hostPort.ts';
import { type Scopes } from '../../src/core/scope.ts';
import { type SigningKey } from '../../src/crypto/ed25519.ts';
import { type MeshDigests } from '../../src/crypto/mesh.ts';
import { encodeAny } from '../../src/grant/anyRecord.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { Ledger } from '../../src/grant/ledger.ts';
import { type Revocation } from '../../src/grant/revocation.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { type RootDocument } from '../../src/grant/root.ts';
import { MemberKeys } from '../../src/mesh/memberKeys.ts';
import { type Links } from '../../src/mesh/ports.ts';
import { ProvenLinks } from '../../src/mesh/provenLinks.ts';
import { Prover, type ProverDeps } from '../../src/mesh/prover.ts';
import { SessionServer } from '../../src/mesh/sessionServer.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { DenseDigests } from '../aae/world.ts';
import { anyOf, Mesh, person, signatures } from '../grant/world.ts';
import { FakeClock, seededRandom } from '../support.ts';

export type Any = RootDocument | Grant | Revocation;

export const mesh = new Mesh();
export const forEver = { notBeforeMs: 0, expiresMs: 2 ** 48 };
export const everything = { ...forEver, rights: rightsOf(['read', 'write', 'delete', 'delegate', 'replicate']) };
/** What each of a and b holds. */
export const grants = { a: mesh.grant('a', everything), b: mesh.grant('b', everything) };
const address: HostPort = { host: 'b', port: 1 };
const signal = new AbortController().signal;

export const bytesOf = (...records: readonly Any[]): Uint8Array[] => records.map((record) => encodeAny(anyOf(record)));

export interface Side {
  readonly prover: Prover;
  readonly deps: ProverDeps;
  readonly ledger: Ledger;
  readonly clock: FakeClock;
  /** What came through to what lies behind. */
  readonly let: string[];
  /** Held until it resolves, after it was asked. */
  gate: Promise<void>;
  /** With what it is answered. */
  fault: GkvError | undefined;
  sessions: SessionServer;
  /** Its process has begun anew, and knows no session. */
  restart(): void;
  answer(service: FrameService, frame: Uint8Array): Promise<Uint8Array>;
  learn(...records: readonly Any[]): Promise<void>;
}

export interface SideOptions {
  readonly key?: SigningKey;
  readonly digests?: MeshDigests;
  readonly database?: MemoryDatabase;
  readonly isMember?: (name: string) => boolean;
  /** Who proves itself otherwise than it should. */
  readonly prover?: (deps: ProverDeps) => Prover;
}

/** Cluster n, with the key of this name. */
export async function side(n: number, name: string, records: readonly Any[], options: SideOptions = {}): Promise<Side> {
  const { key = person(name), digests = new DenseDigests(4, mesh.id) } = options;
  const clock = new FakeClock();
  const random = seededRandom(n);
  const { database = new MemoryDatabase(), isMember = () => true } = options;
  const store = openMemoryStore(database, { clock, random });
  const ledger = await Ledger.open(store, digests.meshId, signatures);
  await ledger.takeAll(records.map(anyOf));
  const own = { clusterId: new Uint8Array(16).fill(n), incarnation: n };
  const deps = { own, digests, ledger, signer: key, signatures, memberKeys: new MemberKeys(store, isMember), clock, random };
  const prover = options.prover?.(deps) ?? new Prover(deps);
  const made: Side = {
    ...{ prover, deps, ledger, clock, let: [], gate: Promise.resolve(), fault: undefined, sessions: new SessionServer(prover) },
    restart: () => {
      made.sessions = new SessionServer(prover);
    },
    answer: async (service, frame) => {
      if (service === 'session') return made.sessions.answer(frame);
      if (service === 'identity') throw new Error('not asked for here');
      return made.sessions.guarded(service, { answer: (inner) => echo(service, inner) }).answer(frame);
    },
    learn: async (...more) => {
      await ledger.takeAll(more.map(anyOf));
    },
  };
  const echo = async (service: FrameService, frame: Uint8Array): Promise<Uint8Array> => {
    const request = decodeRequest(frame, digests, service);
    made.let.push(Buffer.from(request.body).toString());
    await made.gate;
    if (made.fault !== undefined) throw made.fault;
    return encodeAnswer({ clusterId: own.clusterId, body: Uint8Array.from(request.body).reverse() }, request, digests, service);
  };
  return made;
}

/** A's link to B, and what goes over it; `change` may put something else in place of what is sent or answered. */
export class Wire {
  /** In order: which services were asked. */
  readonly asked: FrameService[] = [];
  readonly sent: { readonly service: FrameService; readonly bytes: Uint8Array }[] = [];
  change: {
    request?: (bytes: Uint8Array, service: FrameService) => Uint8Array;
    answer?: (bytes: Uint8Array, service: FrameService) => Uint8Array;
  } = {};
  readonly #links: ProvenLinks;
  readonly #from: Side;

  constructor(from: Side, to: Side) {
    this.#from = from;
    const links: Links = {
      link: (_to, service) => ({
        ask: async (frame) => {
          const bytes = this.change.request?.(frame, service) ?? frame;
          this.asked.push(service);
          this.sent.push({ service, bytes });
          const answer = await to.answer(service, bytes);
          return this.change.answer?.(answer, service) ?? answer;
        },
      }),
    };
    this.#links = new ProvenLinks(links, from.prover);
  }

  /** The answer's body. `as`: what the frame says who asks, or the scopes under which it is asked. */
  async ask(text: string, service: 'feed' | 'exchange' = 'feed', as: Uint8Array | Scopes = this.#from.deps.own.clusterId): Promise<string> {
    const { digests, own } = this.#from.deps;
    const [clusterId, under] = as instanceof Uint8Array ? [as, undefined] : [own.clusterId, as];
    const frame = encodeRequest({ clusterId, nonce: new Uint8Array(16), floor: new Uint8Array(16) }, Buffer.from(text), digests, service);
    const answer = await this.#links.link(address, service).ask(frame, signal, under);
    return Buffer.from(decodeAnswer(answer, frame, digests, service).body).toString();
  }

  /** The cluster id of who answers, proved. */
  prove(): Promise<Uint8Array> {
    return this.#links.prove(address, signal);
  }

  /** The last that was sent on a service. */
  last(service: FrameService): Uint8Array {
    return this.sent.findLast((each) => each.service === service)?.bytes ?? new Uint8Array(0);
  }
}

export interface Pair {
  readonly a: Side;
  readonly b: Side;
  readonly wire: Wire;
}

/** A asks B; each is told at first what is given, or of everything. */
export async function pair(
  ofA: readonly Any[] = [mesh.root, grants.a, grants.b],
  ofB: readonly Any[] = [mesh.root, grants.a, grants.b],
  options: { readonly a?: SideOptions; readonly b?: SideOptions } = {},
): Promise<Pair> {
  const [a, b] = [await side(1, 'a', ofA, options.a), await side(2, 'b', ofB, options.b)];
  return { a, b, wire: new Wire(a, b) };
}

/** Shows what it is told to, and lets everything of its own through. */
export class Bold extends Prover {
  readonly #shown: { readonly leaf: Uint8Array; readonly records: readonly Uint8Array[] };

  constructor(deps: ProverDeps, leaf: Uint8Array, records: readonly Uint8Array[] = []) {
    super(deps);
    this.#shown = { leaf, records };
  }

  override credentials(): ReturnType<Prover['credentials']> {
    return Promise.resolve({ key: this.deps.signer.publicKey, ...this.#shown });
  }

  override confirm(): Promise<void> {
    return Promise.resolve();
  }
}

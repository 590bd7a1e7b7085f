import { connect } from 'node:net';
import { request, type Dispatcher } from 'undici';
import { type PullReport } from '../../src/aae/driver.ts';
import { hostPortText } from '../../src/core/hostPort.ts';
import { silentLog, type Log } from '../../src/core/ports.ts';
import { openAccess } from '../../src/http/access.ts';
import { createApi, type ApiDeps } from '../../src/http/api.ts';
import { Metrics, type Readings } from '../../src/http/metrics.ts';
import { listen, requestMsMax, type Listener, type ListenTimes } from '../../src/server/listen.ts';
import { realClock } from '../../src/server/real.ts';
import { StubStore } from './stubStore.ts';

export const report: PullReport = {
  keysCompared: 1,
  branchesCompared: 2,
  received: 3,
  sent: 4,
  applied: 3,
  parked: 0,
  missed: 0,
  bytesIn: 5,
  bytesOut: 6,
  writeBytes: 7,
  roundTrips: 8,
  durationMs: 9,
  converged: true,
};

export interface TestApi extends Listener {
  readonly url: string;
  readonly store: StubStore;
  /** The messages of the log, with their levels. */
  readonly lines: { level: string; fields: object; message: string }[];
}

function recordingLog(lines: TestApi['lines']): Log {
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields, message });
  };
  return { ...silentLog, error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}

async function* noBackup(): AsyncGenerator<Buffer> {
  yield await Promise.resolve(Buffer.from('backup'));
}

const peer = {
  clusterId: '00000000-0000-4000-8000-000000000001',
  address: 'us:6200',
  regionName: 'us',
  followed: true,
  connected: true,
  lastContactMs: 1,
  lastLevelMs: 1,
  lagMs: 250,
  lagWrites: 12,
  clockSkewMs: -2_000,
  low: null,
  scope: ['**'],
  writes: 3,
  failures: 4,
  lastError: null,
  lastExchange: null,
  defects: 5,
  atEpoch: true,
  fault: null,
};

const origin = { clusterId: peer.clusterId, regionName: 'us', closed: null, ageMs: null };

export const readingsOf = (store: StubStore): Readings => ({
  entries: () => Promise.resolve({ entries: store.held.size, bytes: 7 }),
  parked: () => Promise.resolve({ writes: 2, bytes: 3, byReason: { clockAhead: 2, grantUnknown: 0 } }),
  clockAheadMs: () => 1_500,
  storeAvailable: () => true,
  storeBytes: () => Promise.resolve(4_096),
  storeFull: () => false,
  lapsed: () => Promise.resolve(0),
  storeRetries: () => 0,
  kept: () => Promise.resolve({ lowAgeMs: 1_250, floorAgeMs: undefined }),
  scrubbed: () => ({ ageMs: 61_000, keys: 7, repaired: 1, damaged: 2 }),
  faults: () => 0,
  peers: () => Promise.resolve([peer]),
  origins: () =>
    Promise.resolve([
      { ...origin, closed: '01', ageMs: 1_750 },
      { ...origin, clusterId: 'unheard' },
    ]),
  tlsEndsInMs: () => [{ port: 'mesh', ms: 2_500 }],
});

/** The API over a stub store, on a free port of loopback. */
export async function startApi(changes: Partial<ApiDeps> = {}, times?: ListenTimes): Promise<TestApi> {
  const store = new StubStore();
  const lines: TestApi['lines'] = [];
  const log = recordingLog(lines);
  const identity = { clusterId: '6f1c1f2e-58d5-4d0e-9d7b-0f6f3a1e2b3c', meshId: '00'.repeat(32), region: 'test' };
  const app = createApi({
    store,
    puller: { pull: () => Promise.resolve(report) },
    tree: { root: () => Promise.resolve({ sum: '00'.repeat(48), count: store.held.size, bytes: 7, levels: 1, topBranches: 1 }) },
    status: {
      status: () =>
        Promise.resolve({
          ...identity,
          release: '0.0.0',
          ready: true,
          unready: null,
          slot: 0,
          leases: [],
          clockAheadMs: 0,
          store: { kind: 'lmdb', available: true, healthy: true, message: '', sizeBytes: 0, scrub: null, fault: null },
          entries: store.held.size,
          bytes: 7,
          parkedWrites: 2,
          parkedByReason: { clockAhead: 2, grantUnknown: 0 },
          mesh: null,
        }),
    },
    backups: { open: noBackup },
    identity,
    peers: { peers: () => [] },
    entries: { candidates: () => Promise.resolve([]), chainOf: () => undefined },
    refusals: { latest: () => [] },
    records: undefined,
    members: {
      add: (address, regionName) =>
        Promise.resolve({ clusterId: identity.clusterId, address: hostPortText(address), regionName: regionName ?? 'its own' }),
      remove: () => Promise.resolve(true),
    },
    access: openAccess,
    health: { live: () => true, unready: () => undefined, ended: () => undefined },
    metrics: new Metrics(readingsOf(store), log),
    hosts: { kind: 'loopback', names: [] },
    clock: realClock,
    log,
    requestIdPrefix: 'test',
    release: '0.0.0',
    bodyArrivalMsMax: 10_000,
    signal: new AbortController().signal,
    ...changes,
  });
  const listener = await listen(app.callback(), { host: '127.0.0.1', port: 0 }, { requestMsMax, drainMsMax: 8_000, lastMs: 0, ...times });
  return { ...listener, url: `http://${listener.address}`, store, lines, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Record<string, string | string[] | undefined>;
}

/** One request; the body as it is. */
export async function send(
  url: string,
  method: Dispatcher.HttpMethod,
  body?: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const answer = await request(url, { method, headers, ...(body === undefined ? {} : { body }) });
  return { status: answer.statusCode, text: await answer.body.text(), headers: answer.headers };
}

/** POST of JSON, and its JSON answer. */
export async function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer & { json: Record<string, unknown> }> {
  const answer = await send(url, 'POST', typeof body === 'string' ? body : JSON.stringify(body), headers);
  return { ...answer, json: JSON.parse(answer.text) as Record<string, unknown> }; // our API answers with objects
}

/** The error in an answer. */
export function errorOf(json: Record<string, unknown>): Record<string, unknown> {
  return json['error'] as Record<string, unknown>;
}

/** The code of an error answer. */
export function codeOf(json: Record<string, unknown>): unknown {
  return (json['error'] as Record<string, unknown> | undefined)?.['code'];
}

/** Sends bytes over a socket of its own, and resolves with all that comes back once the other side closes. */
export function raw(address: string, text: string, afterwards: 'half-close' | 'keep-open' = 'keep-open'): Promise<string> {
  const port = Number(address.split(':').at(-1));
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => (received += chunk));
    socket.on('end', () => {
      socket.end();
      resolve(received);
    });
    socket.on('error', reject);
    if (afterwards === 'half-close') socket.end(text);
    else socket.write(text);
  });
}

export const b64 = (text: string | Uint8Array): string => Buffer.from(text).toString('base64');

import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request, type Dispatcher } from 'undici';
import * as z from 'zod';
import { getAnswer, listAnswer, pullAnswer, setAnswer, treeAnswer } from '../../src/http/schema.ts';
import { command } from '../region.ts';

/** How a process ended, and what it had printed. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly text: string;
  /** Undefined where the text is no JSON. */
  readonly json: unknown;
}

/** Bytes of text, in base64. */
export function b64(text: string | Uint8Array): string {
  return Buffer.from(text).toString('base64');
}

const errorShape = z.object({
  error: z.looseObject({
    code: z.string(),
    message: z.string(),
    version: z.string().nullable().optional(),
    index: z.number().optional(),
  }),
});

/** The error in an answer; throws if there is none. */
export function errorIn(answer: Answer): z.infer<typeof errorShape>['error'] {
  return errorShape.parse(answer.json).error;
}

/** A started process, with its output so far. */
export class Process {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly #out: Buffer[] = [];
  readonly #err: Buffer[] = [];

  constructor(program: string, args: readonly string[], options: SpawnOptions = {}, input?: string | Uint8Array) {
    this.child = spawn(program, [...args], { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    this.child.stdout?.on('data', (chunk: Buffer) => this.#out.push(chunk));
    this.child.stderr?.on('data', (chunk: Buffer) => this.#err.push(chunk));
    this.child.stdin?.on('error', () => undefined); // it may end without having read everything
    this.child.stdin?.end(input ?? '');
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => {
        resolve({ code, signal, stdout: Buffer.concat(this.#out), stderr: this.stderr });
      });
    });
  }

  get stderr(): string {
    return Buffer.concat(this.#err).toString();
  }

  /** The match of a line of standard output, once it is there; throws if the process ends without it. */
  line(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(Buffer.concat(this.#out).toString());
        if (match !== null) resolve(match);
      };
      this.child.stdout?.on('data', look);
      look();
      void this.ended.then(({ code, stderr }) => {
        reject(new Error(`ended with ${String(code)} before a line ${String(pattern)}: ${stderr}`));
      }, reject);
    });
  }

  async kill(signal: NodeJS.Signals): Promise<Ended> {
    this.child.kill(signal);
    return this.ended;
  }
}

/** A gkvmesh server in a process of its own. */
export class RunningServer {
  readonly process: Process;
  readonly data: string;
  readonly api: string;
  readonly mesh: string;
  readonly clusterId: string;
  readonly meshId: string;

  constructor(process: Process, data: string, ready: RegExpExecArray) {
    this.process = process;
    this.data = data;
    [, this.api = '', this.mesh = '', this.clusterId = '', this.meshId = ''] = ready;
  }

  get port(): number {
    return Number(new URL(this.api).port);
  }

  async send(method: Dispatcher.HttpMethod, path: string, body?: string | Buffer, headers: Record<string, string> = {}): Promise<Answer> {
    const { statusCode, headers: answered, body: arriving } = await request(`${this.api}${path}`, { method, headers, body: body ?? null });
    const text = await arriving.text();
    return { status: statusCode, headers: answered, text, json: parsed(text) };
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('POST', path, JSON.stringify(body), headers);
  }

  get(path: string): Promise<Answer> {
    return this.send('GET', path);
  }

  /** Sets a key given as text; throws unless it was taken. */
  async set(key: string, value: string, more: object = {}): Promise<z.infer<typeof setAnswer>> {
    return setAnswer.parse(done(await this.post('/data/set', { key: b64(key), value: b64(value), ...more })));
  }

  /** The value of a key as text, or undefined. */
  async read(key: string): Promise<string | undefined> {
    const { value, exists } = getAnswer.parse(done(await this.post('/data/get', { key: b64(key) })));
    return exists ? Buffer.from(value, 'base64').toString() : undefined;
  }

  async list(query: object = {}): Promise<z.infer<typeof listAnswer>> {
    return listAnswer.parse(done(await this.post('/data/list', query)));
  }

  async tree(): Promise<z.infer<typeof treeAnswer>> {
    return treeAnswer.parse(done(await this.get('/control/tree')));
  }

  async pull(peer: string, more: object = {}): Promise<z.infer<typeof pullAnswer>> {
    return pullAnswer.parse(done(await this.post('/control/aae/pull', { peer, ...more })));
  }

  /** `count` keys prefix00000…, in batches. */
  async fill(prefix: string, count: number, value = 'x'): Promise<void> {
    for (let from = 0; from < count; from += 500) {
      const ops = Array.from({ length: Math.min(500, count - from) }, (_, i) => {
        const name = `${prefix}${String(from + i).padStart(5, '0')}`;
        return { op: 'set', key: b64(name), value: b64(`${value}${name}`) };
      });
      done(await this.post('/data/batch', { ops }));
    }
  }

  /** Resolves once it has printed that it is ready. */
  async ready(): Promise<void> {
    await this.process.line(readyLine);
  }

  stop(): Promise<Ended> {
    return this.process.kill('SIGTERM');
  }

  crash(): Promise<Ended> {
    return this.process.kill('SIGKILL');
  }
}

function done(answer: Answer): unknown {
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
  return answer.json;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a server prints, first while it joins a mesh and then when it is ready. */
const addresses = 'api=(https?://\\S+:\\d+) mesh=(\\S+:\\d+) cluster=([0-9a-f-]{36}) mesh-id=([0-9a-f]{64})\\n';
const readyLine = new RegExp(`^gkvmesh ready ${addresses}`, 'm');
const joiningLine = new RegExp(`^gkvmesh joining \\S+ ${addresses}`, 'm');

/** What one test starts and makes; everything ends and goes away with it. */
export class Scene {
  readonly #processes: Process[] = [];
  readonly #dirs: string[] = [];
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  dir(): string {
    const dir = mkdtempSync(join(tmpdir(), 'gkvmesh-e2e-'));
    this.#dirs.push(dir);
    return dir;
  }

  process(program: string, args: readonly string[], options: SpawnOptions = {}, input?: string | Uint8Array): Process {
    const started = new Process(program, args, options, input);
    this.#processes.push(started);
    return started;
  }

  /** The command, to its end. */
  run(args: readonly string[], options: SpawnOptions & { input?: string | Uint8Array } = {}): Promise<Ended> {
    const { input, ...rest } = options;
    return this.process(process.execPath, [command, ...args], rest, input).ended;
  }

  /** The command, which must succeed; what it printed, without the end of the line. */
  async succeeds(args: readonly string[], env = process.env): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, { env });
    if (code !== 0) throw new Error(`gkvmesh ${args.join(' ')}: ${stderr}`);
    return stdout.toString().trim();
  }

  async server(data = join(this.dir(), 'data'), flags: readonly string[] = []): Promise<RunningServer> {
    const started = this.process(process.execPath, [command, ...serveArgs(data), ...flags]);
    return new RunningServer(started, data, await started.line(readyLine));
  }

  /** A server that is filled from a mesh port, as soon as it listens. */
  async joining(from: string, data = join(this.dir(), 'data'), flags: readonly string[] = [], mesh = open): Promise<RunningServer> {
    const [, ...args] = serveArgs(data, mesh);
    const started = this.process(process.execPath, [command, 'join', from, ...args, ...flags]);
    return new RunningServer(started, data, await started.line(joiningLine));
  }

  /** A server that is wrapped by another program, such as a shell that sets limits. */
  async wrapped(program: string, args: readonly string[], data: string, options: SpawnOptions = {}): Promise<RunningServer> {
    const started = this.process(program, args, options);
    return new RunningServer(started, data, await started.line(readyLine));
  }

  /** A TCP server on a free port, in this process. */
  async listener(onSocket: (socket: Socket) => void): Promise<number> {
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      onSocket(socket);
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return address.port;
  }

  async close(): Promise<void> {
    for (const started of this.#processes) started.child.kill('SIGKILL');
    await Promise.allSettled(this.#processes.map((started) => started.ended));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
    for (const dir of this.#dirs) rmSync(dir, { recursive: true, force: true });
  }
}

/** The flags of an open mesh. */
const open: readonly string[] = ['--open'];

export function serveArgs(data: string, mesh = open): string[] {
  return ['serve', ...mesh, '--data', data, '--listen', '127.0.0.1:0', '--mesh-listen', '127.0.0.1:0', '--log-level', 'warn'];
}

/** Sends bytes over a bare socket; resolves with everything that came back once the other side closes. */
export function rawExchange(port: number, pieces: readonly (string | Uint8Array)[], ending: 'half-close' | 'stay-open'): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => {
      for (const piece of pieces) socket.write(piece);
      if (ending === 'half-close') socket.end();
    });
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => {
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
    socket.on('close', () => {
      resolve(Buffer.concat(chunks).toString());
    });
  });
}

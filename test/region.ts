/** Starts the built command, and other servers, in processes of their own: for the demo and the benchmarks. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { request } from 'undici';

/** The built command. */
export const command = join(import.meta.dirname, '../dist/cli/main.js');

const stopMsMax = 15_000;
const readyMsMax = 60_000;
const answerMsMax = 600_000;

export interface Service {
  readonly pid: number;
  /** The line that said that it was ready. */
  readonly ready: string;
  stop(): Promise<void>;
  /** At once, by SIGKILL. */
  kill(): Promise<void>;
}

/** A gkvmesh server. */
export interface Region {
  readonly name: string;
  readonly api: string;
  readonly mesh: string;
  readonly clusterId: string;
  readonly service: Service;
}

export interface RegionOptions {
  readonly name: string;
  readonly data: string;
  /** Ports of loopback; 0 for any free one. */
  readonly apiPort: number;
  readonly meshPort: number;
  /** Flags that say whose mesh it is; an open one where they are left out. */
  readonly authority?: readonly string[] | undefined;
  /** More for the command line. */
  readonly flags?: readonly string[];
}

/** `start` starts a program; resolves with the first line that matches. */
export async function startRegion(
  { name, data, apiPort, meshPort, authority = ['--open'], flags = [] }: RegionOptions,
  start: (program: string, args: readonly string[], ready: RegExp) => Promise<Service>,
): Promise<Region> {
  const listen = ['--listen', `127.0.0.1:${apiPort}`, '--mesh-listen', `127.0.0.1:${meshPort}`];
  const args = [command, 'serve', ...authority, '--data', data, '--region', name, ...listen, '--log-level', 'warn', ...flags];
  const service = await start(process.execPath, args, /^gkvmesh ready /);
  return regionOf(name, service);
}

/** By the line that says that it is ready. */
export function regionOf(name: string, service: Service): Region {
  const [, api = '', mesh = '', clusterId = ''] = /api=(\S+) mesh=(\S+) cluster=(\S+)/.exec(service.ready) ?? [];
  return { name, api, mesh, clusterId, service };
}

/** A process whose lines of standard output are read; its errors are ours. */
export function spawned(program: string, args: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Resolves with the first line that matches; throws when the process ends before, or is not ready in time. `onLine` is told of those before it. */
export async function serviceOf(
  child: ChildProcess,
  ready: RegExp,
  onLine: (line: string) => void = () => undefined,
  msMax = readyMsMax,
): Promise<Service> {
  const ended = exitOf(child);
  const stop = async (): Promise<void> => {
    const timer = setTimeout(() => child.kill('SIGKILL'), stopMsMax);
    child.kill('SIGTERM');
    await ended;
    clearTimeout(timer);
  };
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  const late = setTimeout(() => child.kill('SIGKILL'), msMax);
  for await (const line of linesOf(child)) {
    if (!ready.test(line)) {
      onLine(line);
      continue;
    }
    clearTimeout(late);
    child.stdout?.resume();
    return { pid: child.pid ?? 0, ready: line, stop, kill };
  }
  clearTimeout(late);
  throw new Error(`${child.spawnargs.join(' ')} ended, or was not ready within ${msMax} ms`);
}

export function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
}

export function linesOf(child: ChildProcess): AsyncIterable<string> {
  if (child.stdout === null) throw new Error('the process has no output');
  return createInterface({ input: child.stdout });
}

/** A port of loopback that is free now: the wanted one, if there is such and it is. */
export function freePort(wanted = 0): Promise<number> {
  const probe = createServer();
  return new Promise((resolve, reject) => {
    probe.once('error', (error) => {
      if (wanted === 0) reject(error);
      else resolve(freePort());
    });
    probe.listen(wanted, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  });
}

/** POSTs JSON and gives the answer; throws what the server says is wrong. */
export async function post(url: string, body: object): Promise<unknown> {
  const answer = await request(url, { method: 'POST', body: JSON.stringify(body), headersTimeout: answerMsMax, bodyTimeout: answerMsMax });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`${url}: ${answer.statusCode} ${text}`);
  return JSON.parse(text);
}

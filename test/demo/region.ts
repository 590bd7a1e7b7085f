import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { request } from 'undici';

const command = join(import.meta.dirname, '../../dist/cli/main.js');

/** A region of the demo: one gkvmesh process on a temporary directory. */
export interface Region {
  readonly name: string;
  readonly api: string;
  readonly mesh: string;
  stop(): Promise<void>;
}

export async function startRegion(name: string, apiPort: number, meshPort: number): Promise<Region> {
  const data = mkdtempSync(join(tmpdir(), `gkvmesh-${name}-`));
  const listen = `127.0.0.1:${await freePort(apiPort)}`;
  const meshListen = `127.0.0.1:${await freePort(meshPort)}`;
  const args = [
    'serve',
    '--open',
    '--data',
    data,
    '--region',
    name,
    '--listen',
    listen,
    '--mesh-listen',
    meshListen,
    '--log-level',
    'warn',
  ];
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ready = await readyLine(child);
  return {
    name,
    api: ready.api,
    mesh: ready.mesh,
    stop: async () => {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
      rmSync(data, { recursive: true, force: true });
    },
  };
}

async function readyLine(child: ChildProcess): Promise<{ api: string; mesh: string }> {
  if (child.stdout === null) throw new Error('the region has no output');
  for await (const line of createInterface({ input: child.stdout })) {
    const match = /^gkvmesh ready api=(\S+) mesh=(\S+) /.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) return { api: match[1], mesh: match[2] };
  }
  throw new Error('the region ended before it was ready');
}

/** The wanted port, or 0 (any free one) where something listens there already. */
async function freePort(wanted: number): Promise<number> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => {
      resolve(0);
    });
    probe.listen(wanted, '127.0.0.1', () => {
      probe.close(() => {
        resolve(wanted);
      });
    });
  });
}

/** POSTs JSON and gives the answer; throws what the region says is wrong. */
export async function post(region: Region, path: string, body: object): Promise<unknown> {
  const answer = await request(`${region.api}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headersTimeout: 600_000,
    bodyTimeout: 600_000,
  });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`${region.name} ${path}: ${answer.statusCode} ${text}`);
  return JSON.parse(text);
}

/** A granted mesh of two regions: one may write below /cities/FR alone, and nothing any more once it is revoked. */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { z } from 'zod';
import { command, linesOf, post, spawned, type Region } from '../region.ts';
import { base64 } from './cities.ts';
import { say, seconds, until, World } from './world.ts';

const answerSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }).optional() });
const valueSchema = z.object({ exists: z.boolean() });

/** A world of its own: its regions have nothing to do with those of the open mesh. */
export async function grantedMesh(): Promise<void> {
  say('7. a granted mesh: every write is signed, and says by whose leave it was made');
  const dir = mkdtempSync(join(tmpdir(), 'gkvmesh-granted-'));
  const world = new World();
  try {
    const [home, fr] = [join(dir, 'home'), join(dir, 'fr')];
    await gkvmesh('init', home);
    const grant = await delegate(home, fr, '/cities/FR/**', '@system/**');
    say(`  the root gives region fr /cities/FR/**, by grant ${grant.slice(0, 16)}...`);
    const regions = [await world.start('home', undefined, ['--mesh', home]), await world.start('fr', undefined, ['--mesh', fr])] as const;
    const [a, b] = regions;
    await post(`${a.api}/control/members/add`, { peer: b.mesh });
    say(`  fr writes /cities/FR/2988507: ${await set(b, '/cities/FR/2988507')}`);
    say(`  fr writes /cities/DE/2950159: ${await set(b, '/cities/DE/2950159')}`);
    say(`  what it wrote is in home after ${seconds(await until(() => has(a, '/cities/FR/2988507')))}`);
    await gkvmesh('revoke', grant, '--mesh', home);
    const ms = await until(async () => !(await has(a, '/cities/FR/2988507')) && !(await has(b, '/cities/FR/2988507')));
    say(`  its grant is revoked: what it wrote is gone from both regions after ${seconds(ms)}`);
    say(`  fr writes /cities/FR/2988507: ${await set(b, '/cities/FR/2988507')}`);
    const stranger = join(dir, 'stranger');
    await copyOf(home, stranger);
    const c = await world.start('stranger', undefined, ['--mesh', stranger]);
    say(`  one who has the mesh's key and no grant writes: ${await set(c, '/cities/FR/2988507')}`);
    say(`  and pulls from home: ${await pull(c, a)}`);
  } finally {
    await world.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** A directory for another region, whose key is given what the patterns say, and may replicate. Returns the first grant's id. */
async function delegate(from: string, to: string, ...patterns: string[]): Promise<string> {
  const key = await copyOf(from, to);
  const give = (rights: string, ...on: string[]): Promise<string> =>
    gkvmesh('grant', 'create', '--mesh', from, '--to', key, '--rights', rights, '--pattern', ...on);
  const grant = await give('read,write,delete', ...patterns);
  await give('replicate', '**');
  cpSync(join(from, 'records'), join(to, 'records'), { recursive: true });
  return grant;
}

/** With the mesh's id, key and records, and a key of its own, which is returned. */
async function copyOf(from: string, to: string): Promise<string> {
  mkdirSync(to, { mode: 0o700 });
  for (const name of ['mesh-id', 'mesh-key']) copyFileSync(join(from, name), join(to, name));
  cpSync(join(from, 'records'), join(to, 'records'), { recursive: true });
  return gkvmesh('keygen', join(to, 'cluster.key'));
}

/** The command's last line. */
async function gkvmesh(...args: string[]): Promise<string> {
  let last = '';
  const child = spawned(process.execPath, [command, ...args]);
  for await (const line of linesOf(child)) last = line;
  return last;
}

async function set({ api }: Region, key: string): Promise<string> {
  const { statusCode, body } = await request(`${api}/data/set`, {
    method: 'POST',
    body: JSON.stringify({ key: base64(key), value: base64('a city') }),
  });
  const { error } = answerSchema.parse(await body.json());
  return error === undefined ? 'done' : `${statusCode} ${error.code}: ${error.message}`;
}

async function pull({ api }: Region, { mesh }: Region): Promise<string> {
  const { statusCode, body } = await request(`${api}/control/aae/pull`, { method: 'POST', body: JSON.stringify({ peer: mesh }) });
  const { error } = answerSchema.parse(await body.json());
  return error === undefined ? 'done' : `${statusCode} ${error.code}`;
}

async function has({ api }: Region, key: string): Promise<boolean> {
  return valueSchema.parse(await post(`${api}/data/get`, { key: base64(key) })).exists;
}

/** A granted mesh of two regions: one may write below /cities/FR alone, nothing that its store was made to say, and nothing any more once it is revoked. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { z } from 'zod';
import { realClock, realRandom } from '../../src/server/real.ts';
import { openLmdbStore } from '../../src/store/lmdb/store.ts';
import { copyOf, directoryFor } from '../meshDirectories.ts';
import { command, linesOf, post, spawned, type Region } from '../region.ts';
import { alterValue } from '../tamper.ts';
import { base64 } from './cities.ts';
import { hears, say, seconds, until, World } from './world.ts';

const answerSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }).optional() });
const valueSchema = z.object({ exists: z.boolean(), value: z.string() });
const refusedSchema = z.object({ refused: z.array(z.object({ via: z.string(), code: z.string(), key: z.string() })) });

const cityValue = 'a city';

/** A world of its own: its regions have nothing to do with those of the open mesh. */
export async function grantedMesh(): Promise<void> {
  say('7. a granted mesh: every write is signed, and says by whose leave it was made');
  const dir = mkdtempSync(join(tmpdir(), 'gkvmesh-granted-'));
  const world = new World();
  try {
    const [home, fr] = [join(dir, 'home'), join(dir, 'fr')];
    await gkvmesh('init', home);
    const { grant } = await directoryFor(gkvmesh, home, fr, '/cities/FR/**', '@system/**');
    say(`  the root gives region fr /cities/FR/**, by grant ${grant.slice(0, 16)}...`);
    const regions = [await world.start('home', undefined, ['--mesh', home]), await world.start('fr', undefined, ['--mesh', fr])] as const;
    const [a, b] = regions;
    await post(`${a.api}/control/members/add`, { peer: b.mesh });
    say(`  fr writes /cities/FR/2988507: ${await set(b, '/cities/FR/2988507')}`);
    say(`  fr writes /cities/DE/2950159: ${await set(b, '/cities/DE/2950159')}`);
    say(`  what it wrote is in home after ${seconds(await until(() => has(a, '/cities/FR/2988507')))}`);
    const tampered = await tamper(world, a, b);
    await gkvmesh('revoke', grant, '--mesh', home);
    const ms = await until(async () => !(await has(a, '/cities/FR/2988507')) && !(await has(tampered, '/cities/FR/2988507')));
    say(`  its grant is revoked: what it wrote is gone from both regions after ${seconds(ms)}`);
    say(`  fr writes /cities/FR/2988507: ${await set(tampered, '/cities/FR/2988507')}`);
    const stranger = join(dir, 'stranger');
    await copyOf(gkvmesh, home, stranger);
    const c = await world.start('stranger', undefined, ['--mesh', stranger]);
    say(`  one who has the mesh's key and no grant writes: ${await set(c, '/cities/FR/2988507')}`);
    say(`  and pulls from home: ${await pull(c, a)}`);
  } catch (error) {
    process.stderr.write(`${await world.told()}\n`);
    throw error;
  } finally {
    await world.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Somebody changes a value in fr's own store, under the signature that is there. Returns fr, started again. */
async function tamper(world: World, home: Region, fr: Region): Promise<Region> {
  world.wires(fr, 'cut');
  await until(async () => (await hears(home, 0)) && (await hears(fr, 0)));
  for (const city of ['/cities/FR/2996944', '/cities/FR/2995469']) await set(fr, city);
  const again = await world.restart(fr, (data) => alter(data, '/cities/FR/2996944', 'a ruin'));
  say(`  cut off, fr writes two cities; somebody alters one in its store, and fr shows it: ${await valueOf(again, '/cities/FR/2996944')}`);
  world.wires(again, 'open');
  const ms = await until(
    async () => (await has(home, '/cities/FR/2995469')) && (await refusedFor(home, '/cities/FR/2996944')) !== undefined,
  );
  const taken = (await has(home, '/cities/FR/2996944')) ? 'has it' : 'has nothing there';
  say(
    `  healed: after ${seconds(ms)} home has the other, refuses what is forged (${String(await refusedFor(home, '/cities/FR/2996944'))}), and ${taken}`,
  );
  await set(home, '/cities/FR/2996944');
  await until(async () => (await valueOf(again, '/cities/FR/2996944')) === cityValue);
  say('  home writes the city anew, and fr has it');
  return again;
}

async function alter(data: string, name: string, value: string): Promise<void> {
  await using store = await openLmdbStore({ dir: data, clock: realClock, random: realRandom });
  await alterValue(store, name, cityValue, value);
}

/** Why a write to this key was refused that a peer had sent. */
async function refusedFor({ api }: Region, key: string): Promise<string | undefined> {
  const { refused } = refusedSchema.parse(await (await request(`${api}/control/refused`)).body.json());
  return refused.find((write) => write.via === 'peer' && write.key === base64(key))?.code;
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
    body: JSON.stringify({ key: base64(key), value: base64(cityValue) }),
  });
  const { error } = answerSchema.parse(await body.json());
  return error === undefined ? 'done' : `${statusCode} ${error.code}: ${error.message}`;
}

async function pull({ api }: Region, { mesh }: Region): Promise<string> {
  const { statusCode, body } = await request(`${api}/control/aae/pull`, { method: 'POST', body: JSON.stringify({ peer: mesh }) });
  const { error } = answerSchema.parse(await body.json());
  return error === undefined ? 'done' : `${statusCode} ${error.code}`;
}

async function has(region: Region, key: string): Promise<boolean> {
  return (await get(region, key)).exists;
}

async function valueOf(region: Region, key: string): Promise<string> {
  return Buffer.from((await get(region, key)).value, 'base64').toString();
}

async function get({ api }: Region, key: string): Promise<z.infer<typeof valueSchema>> {
  return valueSchema.parse(await post(`${api}/data/get`, { key: base64(key) }));
}

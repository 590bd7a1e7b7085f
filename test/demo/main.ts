/**
 * The demo: three regions on this machine that keep each other level, a cut between them, deletes that are forgotten, a fourth region that
 * joins, and a granted mesh. `--exit` ends it when done.
 */
import { z } from 'zod';
import { post, type Region } from '../region.ts';
import { allCities, base64, changes, cityCount, deletions, write } from './cities.ts';
import { grantedMesh } from './granted.ts';
import { areLevel, counts, hears, say, seconds, tree, until, whileBusy, World } from './world.ts';

async function main(world: World): Promise<void> {
  const regions = await meet(world);
  await load(regions);
  await readYourWrite(regions);
  await partition(world, regions);
  await forget(regions);
  await join(world, regions);
  await grantedMesh();
  say(`all done in ${seconds(performance.now())}`);
  if (process.argv.includes('--exit')) return;
  say(curlLines(world.regions));
  await new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
}

type Three = readonly [eu: Region, us: Region, ap: Region];

async function meet(world: World): Promise<Three> {
  say('1. three regions, each with a store of its own');
  const regions: Three = [await world.start('eu'), await world.start('us'), await world.start('ap')];
  for (const { name, api, mesh } of regions) say(`  ${name}: api ${api}, mesh ${mesh}`);
  const [eu, us, ap] = regions;
  for (const other of [us, ap]) await post(`${eu.api}/control/members/add`, { peer: other.mesh });
  say('  eu was told of us and of ap; what it knows is data, and so they learn of each other');
  const ms = await until(async () => (await Promise.all(regions.map((region) => hears(region, 2)))).every(Boolean));
  say(`  each follows both others after ${seconds(ms)}`);
  return regions;
}

async function load(regions: Three): Promise<void> {
  const [eu] = regions;
  say(`2. ${cityCount} cities are written to eu, over HTTP, and arrive everywhere`);
  const writing = write(eu, allCities());
  let ms = 0;
  void writing.then((taken) => (ms = taken));
  await until(
    () => Promise.resolve(ms > 0),
    () => counts(regions),
  );
  await writing;
  say(`  written in ${seconds(ms)}, ${Math.round(cityCount / (ms / 1_000))} a second, each synced to disk before its answer`);
  say(`  all three are equal ${seconds(await level(regions))} later`);
}

async function readYourWrite([eu, , ap]: Three): Promise<void> {
  say('3. a write in eu, read in ap: atLeast waits until it is there');
  const { accepted } = z
    .object({ accepted: z.string() })
    .parse(await post(`${eu.api}/data/set`, { key: base64('hi'), value: base64('yo') }));
  const started = performance.now();
  const read = z.object({ value: z.string() }).parse(await post(`${ap.api}/data/get`, { key: base64('hi'), atLeast: accepted }));
  say(`  ap answers ${Buffer.from(read.value, 'base64').toString()} after ${Math.round(performance.now() - started)} ms`);
}

async function partition(world: World, [eu, us, ap]: Three): Promise<void> {
  say('4. ap is cut off; all go on without each other');
  world.wires(ap, 'cut');
  await until(async () => (await hears(eu, 1)) && (await hears(us, 1)) && (await hears(ap, 0)));
  await write(eu, changes(1));
  await write(ap, changes(2));
  await level([eu, us]);
  say('  1000 cities changed in eu, 1000 others in ap; eu and us are equal');
  if (await areLevel([eu, ap])) throw new Error('ap is not cut off');
  world.wires(ap, 'open');
  say(`  healed: all three are equal ${seconds(await level([eu, us, ap]))} later`);
}

async function forget(regions: Three): Promise<void> {
  const [eu, us] = regions;
  const { count } = await tree(us);
  say('5. 1000 cities are deleted in us. A delete is remembered until all have had it for a day, here 5 s, and 15 s more');
  await write(us, deletions(3));
  await level(regions);
  const remembered = await tree(us);
  if (remembered.count !== count) throw new Error(`${count} entries became ${remembered.count} before their time`);
  say(`  deleted everywhere; ${count} entries, deletes among them`);
  const started = performance.now();
  // Each beats under a key of its own, which comes to the entries once.
  const left = count - 1_000 + regions.length;
  await whileBusy(regions, async () => (await Promise.all(regions.map(tree))).every((each) => each.count === left));
  say(`  forgotten everywhere after ${seconds(performance.now() - started)}: ${await counts(regions)}`);
  await level(regions);
  const report = z
    .object({ received: z.number(), sent: z.number(), converged: z.boolean() })
    .parse(await post(`${eu.api}/control/aae/pull`, { peer: us.mesh }));
  if (report.received + report.sent > 0 || !report.converged) throw new Error('something came back');
  say('  an exchange between eu and us finds nothing to do: no delete comes back');
}

async function join(world: World, regions: Three): Promise<void> {
  const [, us] = regions;
  say('6. a fourth region joins, empty, from us');
  const started = performance.now();
  const sa = await world.start('sa', us);
  say(`  sa is ready after ${seconds(performance.now() - started)}, its process included`);
  await level([...regions, sa]);
  await post(`${sa.api}/data/set`, { key: base64('hi'), value: base64('from sa') });
  const ms = await level([...regions, sa]);
  say(`  all four are equal; a write in sa was everywhere after ${seconds(ms)}`);
}

/** Until all are equal; says which root they have. Resolves with the time taken, in ms. */
async function level(regions: readonly Region[]): Promise<number> {
  const ms = await until(
    () => areLevel(regions),
    () => counts(regions),
  );
  const [first] = regions;
  if (first !== undefined) say(`  root ${(await tree(first)).sum.slice(0, 32)}... of ${regions.map(({ name }) => name).join(', ')}`);
  return ms;
}

function curlLines(regions: readonly Region[]): string {
  const [eu, us, ap] = regions;
  const key = base64('/cities/FR/2988507');
  return [
    '',
    'all regions keep running until Ctrl-C. Try:',
    `  curl ${eu?.api ?? ''}/data/get -d '{"key":"${key}"}'`,
    `  curl ${us?.api ?? ''}/data/set -d '{"key":"aGk=","value":"eW8="}'`,
    `  curl ${ap?.api ?? ''}/data/get -d '{"key":"aGk="}'`,
    `  curl ${ap?.api ?? ''}/control/status`,
    `  node dist/cli/main.js members list --url ${eu?.api ?? ''}`,
    '',
  ].join('\n');
}

const world = new World();
try {
  await main(world);
} catch (error) {
  process.stderr.write(`demo failed: ${error instanceof Error ? error.message : String(error)}\n${await world.told()}\n`);
  process.exitCode = 1;
}
await world.close();

/** (i): a granted mesh beside an open one: sets over HTTP that are signed, and an empty region that verifies all that it pulls. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readKeyFile } from '../../src/cli/keyFile.ts';
import { Signer } from '../../src/client/signer.ts';
import { nativeSignatures, SigningKey } from '../../src/crypto/ed25519.ts';
import { command, post, startRegion, type Region } from '../region.ts';
import { fill, jsonLoads } from './contenders.ts';
import { median, spread, type BenchContext } from './rows.ts';
import { runWrk } from './wrk.ts';
import { isInstalled, type Workshop } from './workshop.ts';

const connections = 64;
const setTarget = { kind: 'atLeast' as const, value: 0.8 };
const pullTarget = { kind: 'atLeast' as const, value: 20_000 };
const singleTarget = { kind: 'atLeast' as const, value: 0.8 };
const told = z.object({ received: z.number(), durationMs: z.number(), converged: z.boolean() });

export async function granted(context: BenchContext): Promise<void> {
  const { workshop } = context;
  const directory = `${workshop.directory('mesh')}/mesh`;
  await workshop.output(process.execPath, [command, 'init', directory]);
  await sets(context, directory);
  await pull(context, directory);
  await pullSingle(context, directory);
}

function region(workshop: Workshop, name: string, directory: string | undefined): Promise<Region> {
  const authority = directory === undefined ? undefined : ['--mesh', directory];
  return startRegion({ name, data: workshop.directory(name), apiPort: 0, meshPort: 0, authority }, (program, args, ready) =>
    workshop.service(program, args, ready),
  );
}

/** In alternating rounds, as a ratio. */
async function sets({ quick, report, workshop }: BenchContext, directory: string): Promise<void> {
  if (!isInstalled('wrk')) {
    report({ part: 'i', name: 'signed sets', measured: NaN, unit: '', note: 'wrk is not installed: apt-get install wrk' });
    return;
  }
  const keys = quick ? 5_000 : 100_000;
  const dir = workshop.directory('wrk');
  const both = [await region(workshop, 'signed', directory), await region(workshop, 'unsigned', undefined)];
  for (const { api } of both) await fill(api, keys);
  const figures: [number[], number[]] = [[], []];
  for (let round = 0; round < (quick ? 2 : 5); round += 1) {
    for (const [at, { api }] of both.entries()) {
      const perSecond = await runWrk(workshop, dir, { url: api, load: jsonLoads(keys).set, connections, seconds: quick ? 1 : 5 });
      if (round > 0) figures[at]?.push(perSecond); // the first warms it up
    }
  }
  const [signed, unsigned] = figures;
  report({ part: 'i', name: 'set, unsigned', measured: median(unsigned), unit: 'req/s', note: spread(unsigned) });
  report({ part: 'i', name: 'set, signed by the cluster', measured: median(signed), unit: 'req/s', note: spread(signed) });
  report({ part: 'i', name: 'set, signed to unsigned', measured: median(signed) / median(unsigned), unit: '×', target: setTarget });
  await Promise.all(both.map(({ service }) => service.stop()));
}

async function pull({ quick, report, workshop }: BenchContext, directory: string): Promise<void> {
  const keys = quick ? 10_000 : 1_000_000;
  const donor = await region(workshop, 'donor', directory);
  const receiver = await region(workshop, 'receiver', directory);
  await fill(donor.api, keys);
  const { received, durationMs, converged } = told.parse(await post(`${receiver.api}/control/aae/pull`, { peer: donor.mesh }));
  if (!converged || received < keys) throw new Error(`the pull brought ${received} of ${keys}, converged: ${String(converged)}`);
  report({
    part: 'i',
    name: `pull of ${keys.toLocaleString('en')} signed by the cluster`,
    measured: (received * 1_000) / durationMs,
    unit: 'entries/s',
    target: pullTarget,
    note: `in commits of several requests of 500, up to 256 writes a signature; ${durationMs} ms`,
  });
  await Promise.all([donor.service.stop(), receiver.service.stop()]);
}

/** Each write with a signature of its own, as clients send them; beside what both cores verify when they do nothing else. */
async function pullSingle({ quick, report, workshop }: BenchContext, directory: string): Promise<void> {
  const keys = quick ? 5_000 : 100_000;
  const donor = await region(workshop, 'single-donor', directory);
  const receiver = await region(workshop, 'single-receiver', directory);
  await fillSigned(donor, directory, keys);
  const before = await verifying(quick ? 1_000 : 5_000);
  const { received, durationMs, converged } = told.parse(await post(`${receiver.api}/control/aae/pull`, { peer: donor.mesh }));
  if (!converged || received < keys) throw new Error(`the pull brought ${received} of ${keys}, converged: ${String(converged)}`);
  const after = await verifying(quick ? 1_000 : 5_000);
  const perSecond = (before + after) / 2; // these machines are faster at one time than at another
  const rate = (received * 1_000) / durationMs;
  const name = `pull of ${keys.toLocaleString('en')} singly signed`;
  report({ part: 'i', name, measured: rate, unit: 'entries/s' });
  report({
    part: 'i',
    name: 'signatures that the cores verify',
    measured: perSecond,
    unit: '/s',
    note: `${Math.round(before)} before, ${Math.round(after)} after`,
  });
  report({ part: 'i', name: `${name}, to that`, measured: rate / perSecond, unit: '×', target: singleTarget });
  await Promise.all([donor.service.stop(), receiver.service.stop()]);
}

/** Writes in one request. */
const signedAtOnce = 250;

async function fillSigned(donor: Region, directory: string, keys: number): Promise<void> {
  const key = readKeyFile(join(directory, 'cluster.key'));
  const [grantId = ''] = readdirSync(join(directory, 'records')).filter((name) => name.endsWith('.grant')); // the only one
  const meshId = Buffer.from(readFileSync(join(directory, 'mesh-id'), 'utf8').trim(), 'hex');
  const signer = new Signer({ meshId, grantId: Buffer.from(grantId.slice(0, 64), 'hex'), key, now: Date.now });
  for (let at = 0; at < keys; at += signedAtOnce) {
    const ops = Array.from({ length: signedAtOnce }, (_, i) => {
      const text = String(at + i).padStart(9, '0');
      return signer
        .sign([{ kind: 'set', key: Buffer.from(`key${text}`), value: Buffer.alloc(100, text) }])
        .map((write) => ({ op: 'write', ...write }));
    });
    await post(`${donor.api}/data/batch`, { ops: ops.flat() });
  }
}

/** Verifications a second, by as many threads as the server has. */
async function verifying(msLong: number): Promise<number> {
  const key = SigningKey.fromSeed(randomBytes(32));
  const messages = Array.from({ length: 64 }, (_, i) => Buffer.from(`message ${i}`));
  const signatures = messages.map((message) => key.sign(message));
  const verifier = nativeSignatures();
  const started = performance.now();
  let done = 0;
  while (performance.now() - started < msLong) {
    await Promise.all(messages.map((message, i) => verifier.verify(key.publicKey, message, signatures[i] ?? message)));
    done += messages.length;
  }
  return (done * 1_000) / (performance.now() - started);
}

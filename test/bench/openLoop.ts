/** Writes at a rate, whatever the answers do: what is late then is told, and not hidden by a slower pace. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { z } from 'zod';
import { setAnswer } from '../../src/http/schema.ts';
import { valueText } from './keys.ts';

const tickMs = 2;
const probeMs = 50;
const connections = 32;

export interface LoadOptions {
  readonly api: string;
  /** Where what is written must become readable. */
  readonly others: readonly string[];
  readonly rate: number;
  readonly seconds: number;
  /** Of the run: its keys begin so. */
  readonly name: string;
}

export interface LoadReport {
  readonly written: number;
  readonly failed: number;
  /** From when the last answer was due to when it came. */
  readonly lateMs: number;
  /** Of every so many ms one write: from its acceptance to being read elsewhere. */
  readonly lagsMs: readonly number[];
}

export async function openLoop({ api, others, rate, seconds, name }: LoadOptions): Promise<LoadReport> {
  const pool = new Pool(api, { connections, pipelining: 1 });
  const probes = others.map((other) => new Pool(other, { connections, pipelining: 1 }));
  const lagsMs: number[] = [];
  const underWay = new Set<Promise<void>>();
  const every = Math.max(1, Math.round((rate * probeMs) / 1_000));
  const [told, startedMs] = [{ written: 0, failed: 0 }, performance.now()];
  const write = async (n: number): Promise<void> => {
    const key = Buffer.from(`${name}/${api}/${n}`).toString('base64');
    const answer = await ask(pool, '/data/set', { key, value: valueText }).catch(() => undefined);
    if (answer === undefined) {
      told.failed += 1;
      return;
    }
    told.written += 1;
    if (n % every !== 0) return;
    const { accepted } = setAnswer.parse(answer);
    await Promise.all(probes.map(async (probe) => lagsMs.push(await lagOf(probe, key, accepted))));
  };
  for (let sent = 0; sent < rate * seconds;) {
    const due = Math.min(rate * seconds, Math.floor(((performance.now() - startedMs) * rate) / 1_000));
    for (; sent < due; sent += 1) {
      const writing = write(sent).finally(() => underWay.delete(writing));
      underWay.add(writing);
    }
    await sleep(tickMs);
  }
  await Promise.all(underWay);
  const lateMs = performance.now() - startedMs - seconds * 1_000;
  await Promise.all([pool, ...probes].map((each) => each.close()));
  return { ...told, lateMs, lagsMs };
}

/** A stamp begins with the ms of the wall clock at which the write was accepted; all clocks are this machine's. */
async function lagOf(probe: Pool, key: string, accepted: string): Promise<number> {
  const acceptedMs = parseInt(accepted.slice(0, 12), 16);
  const { exists } = z.object({ exists: z.boolean() }).parse(await ask(probe, '/data/get', { key, atLeast: accepted }));
  if (!exists) throw new Error(`${key} is covered by a frontier and not there`);
  return Date.now() - acceptedMs;
}

async function ask(pool: Pool, path: string, body: object): Promise<unknown> {
  for (;;) {
    const answer = await pool.request({ path, method: 'POST', body: JSON.stringify(body) });
    const text = await answer.body.text();
    if (answer.statusCode === 200) return JSON.parse(text);
    if (answer.statusCode !== 503 || path === '/data/set') throw new Error(`${path}: ${answer.statusCode} ${text}`);
  }
}

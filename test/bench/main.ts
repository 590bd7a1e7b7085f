/** `npm run bench [-- --json] [--only a,b,c,d,e,f,g,h,i] [--quick]`: the figures of the README, each with its target. */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { exchanges } from './exchanges.ts';
import { onFoundationDb } from './fdb.ts';
import { granted } from './granted.ts';
import { growth } from './growth.ts';
import { http } from './http.ts';
import { joining } from './joining.ts';
import { mesh } from './mesh.ts';
import { pull } from './pull.ts';
import { formatRow, isMet, jsonRow, type BenchContext, type Part, type Row } from './rows.ts';
import { treeCost } from './treeCost.ts';
import { Workshop } from './workshop.ts';

const parts: Readonly<Record<Part, { readonly title: string; readonly run: (context: BenchContext) => Promise<void> }>> = {
  a: { title: 'HTTP beside bare koa + lmdb and etcd', run: http },
  b: { title: 'what the tree costs a write', run: treeCost },
  c: { title: 'exchanges', run: exchanges },
  d: { title: 'single sets as the store grows', run: growth },
  e: { title: 'pull into an empty region, and memory', run: pull },
  f: { title: 'on FoundationDB', run: onFoundationDb },
  g: { title: 'three regions that follow each other', run: mesh },
  h: { title: 'join of an empty region while its donor serves reads', run: joining },
  i: { title: 'a granted mesh', run: granted },
};

const { values } = parseArgs({ options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string' } } });
const chosen = (values.only ?? 'a,b,c,d,e,g,h,i').split(',').map(parsePart);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const rows: Row[] = [];
const workshop = new Workshop();
process.once('exit', () => {
  workshop.close();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

for (const part of chosen) {
  if (values.json !== true) say(`\n(${part}) ${parts[part].title}; load average ${load()}`);
  await parts[part].run({ quick: values.quick === true, workshop, report });
}
if (values.json !== true) {
  const judged = rows.map(isMet).filter((met) => met !== undefined);
  say(`\n${judged.filter((met) => met).length} of ${judged.length} targets met; load average ${load()}`);
  if (values.quick === true) say('a --quick run only shows that the benches work: its sizes are not those of the targets');
}

function report(row: Row): void {
  rows.push(row);
  say(values.json === true ? jsonRow(row) : formatRow(row));
}

function parsePart(text: string): Part {
  if (isPart(text)) return text;
  throw new Error(`--only ${text}: a list of ${Object.keys(parts).join(', ')} is right`);
}

function isPart(text: string): text is Part {
  return Object.hasOwn(parts, text);
}

function load(): string {
  return loadavg()
    .map((value) => value.toFixed(2))
    .join(' ');
}

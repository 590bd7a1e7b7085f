/**
 * Shows, by the system calls of a process, that a store's data is synced before its writes are acknowledged, alone and
 * in groups. Run by hand and by CI: `tsx test/store/syncBeforeAnswer.ts`; needs strace.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from './child.ts';

/** One of the calls that count, by its place in the trace. */
interface Call {
  readonly kind: 'visible' | 'sync begins' | 'sync ends' | 'synced record' | 'answer';
  readonly at: number;
}

for (const task of ['one', 'group'] as const) {
  const calls = await trace(task);
  const of = (kind: Call['kind']): number[] => calls.filter((call) => call.kind === kind).map(({ at }) => at);
  const commits = of('visible');
  const answers = of('answer');
  // The first write is a commit of its own; those that come meanwhile are the second.
  assert.equal(commits.length, task === 'one' ? 1 : 2);
  assert.equal(answers.length, task === 'one' ? 1 : 20);
  for (const [number, answer] of answers.entries()) {
    const visible = commits[Math.min(number, 1)] ?? Infinity;
    const begins = of('sync begins').find((at) => at > visible) ?? Infinity;
    const ends = of('sync ends').find((at) => at >= begins) ?? Infinity;
    const record = of('synced record').find((at) => at > ends) ?? Infinity;
    assert(record < answer, `${task}: answer ${number}, at ${answer}, came after the synced record, at ${record}`);
  }
  process.stdout.write(`${task}: ${answers.length} acknowledged after fdatasync and the synced record\n`);
}

await checkFailedSync();

/** A sync that fails is not acknowledged, and nothing is after it. */
async function checkFailedSync(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'gkvmesh-sync-'));
  try {
    const through = ['strace', '-f', '-o', '/dev/null', '-e', 'inject=fdatasync:error=EIO:when=3+'];
    const child = new Child('some', dir, { through });
    const answers = await child.rest();
    await child.finish();
    const failed = answers.indexOf('unavailable');
    assert(failed > 1, `some writes are acknowledged, then one is not: ${answers.join()}`);
    assert(
      answers.slice(failed).every((answer) => answer === 'unavailable'),
      answers.join(),
    );
    assert.equal(answers.length, 13);
  } finally {
    rmSync(dir, { recursive: true });
  }
  process.stdout.write('failing: nothing was acknowledged from the failed sync on\n');
}

async function trace(task: 'one' | 'group'): Promise<Call[]> {
  const dir = mkdtempSync(join(tmpdir(), 'gkvmesh-sync-'));
  const log = join(dir, 'trace');
  try {
    const strace = ['strace', '-f', '-e', 'trace=write,pwrite64,writev,fdatasync,fsync', '-o', log];
    const child = new Child(task, join(dir, 'store'), { through: strace });
    await child.rest();
    await child.finish();
    return callsOf(readFileSync(log, 'utf8').split('\n'));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** From the line on in which the store is open. A call that waits is split by strace, into its begin and its return. */
function callsOf(lines: readonly string[]): Call[] {
  const opened = lines.findIndex((line) => line.includes('"open\\n"'));
  const waiting = new Map<string, Call['kind'][]>();
  return lines.flatMap((line, at) => {
    if (at <= opened) return [];
    const [thread = ''] = line.split(' ', 1);
    const { begins, returns } = kindsOf(line);
    if (line.endsWith('<unfinished ...>')) waiting.set(thread, returns);
    const returned = line.includes(' resumed>') ? (waiting.get(thread) ?? []) : line.endsWith('<unfinished ...>') ? [] : returns;
    return [...begins, ...returned].map((kind) => ({ kind, at }));
  });
}

/** What a line says when its call begins, and what it says when that returns. */
function kindsOf(line: string): { readonly begins: Call['kind'][]; readonly returns: Call['kind'][] } {
  // The record that makes a commit visible is one of two, at 40 and 4,136; the synced one is at 2,088, and is written
  // through a descriptor that was opened with O_DSYNC.
  if (/pwrite64\(.* 128, (40|4136)\b/.test(line)) return { begins: [], returns: ['visible'] };
  if (/pwrite64\(.* 128, 2088\b/.test(line)) return { begins: [], returns: ['synced record'] };
  if (/f(data)?sync\(/.test(line)) return { begins: ['sync begins'], returns: ['sync ends'] };
  return { begins: line.includes('"acknowledged ') ? ['answer'] : [], returns: [] };
}

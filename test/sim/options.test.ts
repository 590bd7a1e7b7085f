import assert from 'node:assert/strict';
import { faultKinds } from './nemesis/kinds.ts';
import { parseRunnerOptions, usage } from './options.ts';
import { progress, type RunReport } from './report.ts';

describe('simulation: command line', () => {
  it('asks for help whatever else is asked for, and names every option and kind of fault', () => {
    assert.equal(parseRunnerOptions(['--trace', '--help']).mode, 'help');
    const { each } = parseRunnerOptions([]);
    for (const name of [...Object.keys(each), 'from', 'seeds', 'plant', 'trace', 'shrink']) assert.match(usage, new RegExp(`--${name} `));
    for (const kind of faultKinds) assert.ok(usage.includes(kind), kind);
  });

  it('tells in one line how far a run is, with the counts of each fault', () => {
    const report = (seed: number, message?: string): RunReport => ({
      seed,
      violation: message === undefined ? null : { invariant: 'I1', message, stack: '' },
      ...{ hash: '', events: 1, virtualMs: 1, healedMs: 1 },
      counts: { 'fault: crash': seed, 'read: failed': 1 },
    });
    const line = progress([report(2), report(3, 'lost')], 4_000);
    assert.match(line, /^seeds: 2; violations: 1; time: 4\.0 s, 0\.50 seeds\/s; faults: crash 5, pause 0, /);
    for (const kind of faultKinds) assert.ok(line.includes(`${kind} `), kind);
  });
});

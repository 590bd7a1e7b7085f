/**
 * The deterministic simulation: `npm run sim -- [--from 1] [--seeds 100] [--operations 500] [--regions 4] [--instances 2]
 * [--without kind,…] [--also kind,…] [--authority drawn|open|granted|narrow] [--plant name] [--trace | --shrink]`; `--help` says more.
 *
 * A seed is one history of a whole mesh in one process: clusters on stores in memory, instances of the real code on them, clients, a network,
 * clocks, and somebody who breaks things. Time is virtual (`kernel/kernel.ts`): events run one by one in an order that the seed
 * decides, and everything random is drawn from the seed, so a seed does the same whenever it is run. Nothing in src knows of it.
 *
 * A run has three phases (`run.ts`): clients work while faults come; then everything is mended and all clusters must hold the same
 * within two virtual minutes; then tombstones are collected while clients work on. The oracle (`oracle/`) watches every commit of
 * every database, every answer that a client gets, and the states at the end. Its order of writes is its own.
 *
 * One seed of four is of a granted mesh (`grants/`; `--authority granted` for all): beside the clients, whose writes the clusters sign, somebody
 * gives, narrows, revokes, rotates and forks, brings each record to the directory of some machine, late and in any order, and holders of grants
 * sign writes of their own, which come in at any region by feed or exchange, among forged ones and ones without a right. What stands is told by
 * `grants/law.ts` from how the records were made, and held against every commit, every read and the state at the end.
 *
 * In some seeds in which floors move a region is cut off for longer than a day, and the members change as it comes back (`nemesis/dayApart.ts`).
 *
 * With `--authority narrow` it is granted, and some clusters hold and see some keys alone (`cluster/scopes.ts`), as if sessions had proved it: what they hold of these keys must be what the first one holds, which holds everything, and nothing else.
 *
 * A failing seed prints what does not hold, and the command that replays it with its trace. `--shrink` looks for fewer operations,
 * regions, instances and kinds of faults with which the seed still fails. `--plant` puts one of the bugs of `plants/` in: the
 * simulation must find each of them.
 *
 * It runs compiled (`tsconfig.run.json`, into dist-sim): what strips types at run time also names every function anew each time that it is made,
 * which takes a fifth of a run.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseRunnerOptions, replayCommand, usage, type RunnerOptions, type SimOptions } from './options.ts';
import { plantNamed } from './plants/index.ts';
import { progress, runReport, summary, type RunReport } from './report.ts';
import { runSeed } from './run.ts';
import { shrink } from './shrink.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const tellProgress = (line: string): void => void process.stderr.write(`${line}\n`);

/** A worker runs so many and is replaced, in case worlds leave something behind; a new one has all code to optimise anew, for seconds. */
const seedsOfWorker = 500;
const seedsOfProgress = 100;
/** More room for what is new: a world's timers and waits would be moved about before they end. */
const workerFlags = ['--max-semi-space-size=32'];

/** Runs every seed, spread over as many workers as the machine has cores; stops handing out once ten have failed. */
async function runMany(options: RunnerOptions, args: readonly string[], started: number): Promise<RunReport[]> {
  const reports: RunReport[] = [];
  let next = options.from;
  const end = options.from + options.seeds;
  const isOver = (): boolean => next >= end || reports.filter(({ violation }) => violation !== null).length >= 10;
  const oneWorker = async (): Promise<void> => {
    const worker = fork(new URL('worker.js', import.meta.url), [...args], { execArgv: workerFlags });
    let left = seedsOfWorker;
    const hand = (): void => {
      left -= 1;
      if (isOver() || left < 0) worker.disconnect();
      else worker.send(next++);
    };
    worker.on('message', (message) => {
      const report = runReport.parse(message);
      reports.push(report);
      if (report.violation !== null) tell(report, options);
      if (reports.length % seedsOfProgress === 0) tellProgress(progress(reports, performance.now() - started));
      hand();
    });
    hand();
    const code = await new Promise((resolve) => worker.once('exit', resolve));
    if (code !== 0) throw new Error(`a worker ended with ${String(code)}`);
  };
  const workers = Array.from({ length: Math.min(availableParallelism(), options.seeds) }, async () => {
    while (!isOver()) await oneWorker();
  });
  await Promise.all(workers);
  return reports;
}

function tell({ seed, violation }: RunReport, { each, plant }: RunnerOptions): void {
  say(`seed ${seed}: ${violation?.message ?? 'everything held'}`);
  say(`  ${replayCommand({ ...each, seed }, plant)}`);
}

async function main(args: readonly string[]): Promise<boolean> {
  const options = parseRunnerOptions(args);
  const started = performance.now();
  const first: SimOptions = { ...options.each, seed: options.from };
  switch (options.mode) {
    case 'help':
      say(usage);
      return true;
    case 'many': {
      const reports = await runMany(options, args, started);
      say(summary(reports, performance.now() - started));
      return reports.every(({ violation }) => violation === null);
    }
    case 'trace': {
      const report = await runSeed({ ...first, print: say }, plantNamed(options.plant));
      say(summary([report], performance.now() - started));
      say(`trace: ${report.hash}`);
      say(report.violation?.stack ?? 'everything held');
      return report.violation === null;
    }
    case 'shrink':
      say(replayCommand(await shrink(first, plantNamed(options.plant), say), options.plant));
      return false;
  }
}

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;

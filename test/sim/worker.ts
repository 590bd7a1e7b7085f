/** Runs the seeds that the runner sends, with the runner's own options. */
import { parseRunnerOptions } from './options.ts';
import { plantNamed } from './plants/index.ts';
import { runSeed } from './run.ts';

const { each, plant } = parseRunnerOptions(process.argv.slice(2));

process.on('message', (seed) => {
  void runSeed({ ...each, seed: Number(seed) }, plantNamed(plant)).then((report) => process.send?.(report));
});

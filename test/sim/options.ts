import { parseArgs } from 'node:util';
import { faultKinds, type FaultKind } from './nemesis/kinds.ts';

/** What one run is; everything else follows from it. */
export interface SimOptions {
  readonly seed: number;
  readonly operations: number;
  readonly regions: number;
  readonly instances: number;
  /** Kinds of faults that do not come. */
  readonly without: readonly FaultKind[];
  /** Kinds that come in any case, also those that the code does not claim to stand yet. */
  readonly also: readonly FaultKind[];
  /** Whether writes need authority. Drawn: by the seed, in one of four. Narrow: they do, and some clusters hold some keys alone. */
  readonly authority: Authority;
  /** Takes the lines of the trace. */
  readonly print?: (line: string) => void;
}

const authorities = ['drawn', 'open', 'granted', 'narrow'] as const;
type Authority = (typeof authorities)[number];

export const defaults = { operations: 500, regions: 4, instances: 2, without: [], also: [], authority: 'drawn' } as const;

/** What the runner is asked for. */
export interface RunnerOptions {
  readonly from: number;
  readonly seeds: number;
  readonly each: Omit<SimOptions, 'seed' | 'print'>;
  readonly plant: string | undefined;
  readonly mode: 'many' | 'trace' | 'shrink' | 'help';
}

export const usage = `npm run sim -- [options]: one history of a whole mesh for each seed; exit code 1 where something does not hold

  --from N          the first seed (1)
  --seeds N         how many (100; with --trace and --shrink 1)
  --operations N    of clients, in each seed (${defaults.operations})
  --regions N       clusters (${defaults.regions})
  --instances N     of each cluster (${defaults.instances})
  --without KIND,…  faults that do not come
  --also KIND,…     faults that come in any case
                    kinds: ${wrapped(faultKinds)}
  --authority A     ${authorities.join(', ')} (${defaults.authority}: granted in one seed of four; narrow: granted, and some clusters hold parts)
  --plant NAME      with a bug planted on purpose; names: test/sim/plants/index.ts
  --trace           the first seed alone, with all that happens in it
  --shrink          looks for a smaller run in which the first seed still fails
  --help            this

Beside what failed, it says to stderr every 100 seeds how far it is.`;

/** A few in a line. */
function wrapped(words: readonly string[], each = 8): string {
  const lines = Array.from({ length: Math.ceil(words.length / each) }, (_, at) => words.slice(at * each, (at + 1) * each).join(', '));
  return lines.join(`,\n${' '.repeat(27)}`);
}

export function parseRunnerOptions(args: readonly string[]): RunnerOptions {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: text,
      from: text,
      operations: text,
      regions: text,
      instances: text,
      without: text,
      also: text,
      authority: text,
      plant: text,
      trace: flag,
      shrink: flag,
      help: flag,
    },
  });
  return {
    from: numberOf('from', values.from, 1),
    seeds: numberOf('seeds', values.seeds, values.trace === true || values.shrink === true ? 1 : 100),
    each: {
      operations: numberOf('operations', values.operations, defaults.operations),
      regions: numberOf('regions', values.regions, defaults.regions),
      instances: numberOf('instances', values.instances, defaults.instances),
      without: kindsOf('without', values.without),
      also: kindsOf('also', values.also),
      authority: authorityOf(values.authority),
    },
    plant: values.plant,
    mode: (['help', 'shrink', 'trace'] as const).find((mode) => values[mode] === true) ?? 'many',
  };
}

/** The command that runs this seed alone, with its trace. */
export function replayCommand(
  { seed, operations, regions, instances, without, also, authority }: SimOptions,
  plant: string | undefined,
): string {
  const options: string[] = [`--from ${seed}`, '--seeds 1'];
  if (operations !== defaults.operations) options.push(`--operations ${operations}`);
  if (regions !== defaults.regions) options.push(`--regions ${regions}`);
  if (instances !== defaults.instances) options.push(`--instances ${instances}`);
  if (without.length > 0) options.push(`--without ${without.join(',')}`);
  if (also.length > 0) options.push(`--also ${also.join(',')}`);
  if (authority !== defaults.authority) options.push(`--authority ${authority}`);
  if (plant !== undefined) options.push(`--plant ${plant}`);
  return `npm run sim -- ${options.join(' ')} --trace`;
}

function numberOf(name: string, text: string | undefined, otherwise: number): number {
  const number = text === undefined ? otherwise : Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${name} ${text ?? ''}: a whole number from 1 on is right`);
  return number;
}

function authorityOf(text: string = defaults.authority): Authority {
  const authority = authorities.find((known) => known === text);
  if (authority === undefined) throw new Error(`--authority ${text}: one of ${authorities.join(', ')} is right`);
  return authority;
}

function kindsOf(option: string, text = ''): FaultKind[] {
  const names = text.split(',').filter(Boolean);
  return names.map((name) => {
    const kind = faultKinds.find((known) => known === name);
    if (kind === undefined) throw new Error(`--${option} ${name}: a list of ${faultKinds.join(', ')} is right`);
    return kind;
  });
}

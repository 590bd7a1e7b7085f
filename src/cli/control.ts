import { Option, type Command } from 'commander';
import { refusedWrites } from '../client/inspect.ts';
import { clientOf, withInstance, type InstanceOptions } from './instance.ts';
import { exitCodes, print, Progress, shown, textBytes } from './io.ts';

interface PullOptions extends InstanceOptions {
  readonly prefix?: string;
  readonly direction?: string;
  readonly json?: boolean;
}

/** Adds pull, status and refused. */
export function controlCommands(program: Command): void {
  withInstance(program.command('pull <peer>'))
    .description('bring this instance level with a peer, HOST:PORT of its mesh port')
    .option('--prefix <prefix>', 'only keys that begin with it')
    .addOption(new Option('--direction <direction>', 'pull: send nothing').choices(['both', 'pull']).default('both'))
    .option('--json', 'the report as JSON')
    .action(async (peer: string, options: PullOptions) => {
      await using client = clientOf(options);
      const progress = new Progress('received');
      const range = options.prefix === undefined ? {} : { prefix: textBytes(options.prefix, ': take a shorter one').toString('base64') };
      const report = await client.pull({ peer, direction: options.direction, ...range }, ({ received }) => {
        progress.update(Number(received));
      });
      if (options.json === true) print(JSON.stringify(report));
      else printColumns(report);
      if (report['converged'] !== true) process.exitCode = exitCodes.failed;
    });
  refusedCommand(program);
  withInstance(program.command('status'))
    .description('what the instance is and holds')
    .option('--json', 'as JSON')
    .action(async (options: InstanceOptions & { json?: boolean }) => {
      await using client = clientOf(options);
      const report = await client.json('/control/status');
      if (options.json === true) print(JSON.stringify(report));
      else printColumns(flat(report));
    });
}

function refusedCommand(program: Command): void {
  withInstance(program.command('refused'))
    .description('the last writes that the instance refused, the latest first: when, code, way, key, why')
    .option('--json', 'a JSON object a line')
    .action(async (options: InstanceOptions & { json?: boolean }) => {
      await using client = clientOf(options);
      for (const refused of await refusedWrites(client)) {
        const { at, code, via, key, keyBytes, message } = refused;
        const bytes = Buffer.from(key, 'base64');
        const name = `${shown(bytes, {})}${keyBytes > bytes.length ? '…' : ''}`;
        print(options.json === true ? JSON.stringify(refused) : [at, code, via, name, message].join('  '));
      }
    });
}

/** A line for each name, with its value behind the longest of them. */
function printColumns(report: Readonly<Record<string, unknown>>): void {
  const width = Math.max(16, ...Object.keys(report).map((name) => name.length)) + 2;
  for (const [name, value] of Object.entries(report)) print(`${name.padEnd(width)}${String(value)}`);
}

/** {a:{b:1}} → {"a.b":1} */
function flat(report: Readonly<Record<string, unknown>>, prefix = ''): Record<string, unknown> {
  const lines: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(report)) {
    if (typeof value === 'object' && value !== null) Object.assign(lines, flat(value as Record<string, unknown>, `${prefix}${name}.`));
    else lines[`${prefix}${name}`] = value;
  }
  return lines;
}

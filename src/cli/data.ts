import { Option, type Command } from 'commander';
import { type Client, type SetAnswer } from '../client/client.ts';
import { type Signer, type StatementOp } from '../client/signer.ts';
import { GkvError } from '../core/errors.ts';
import { clientOf, withInstance, type InstanceOptions } from './instance.ts';
import { argumentBytes, exitCodes, keyBytes, print, printed, shown } from './io.ts';
import { signerOf, withSigner, type Signing } from './signing.ts';

interface Common extends InstanceOptions {
  readonly base64?: boolean;
}

const base64 = (): Option => new Option('--base64', 'keys and values are base64');

/** Adds get, set, delete and list. A value that begins with @ names a file. */
export function dataCommands(program: Command): void {
  withInstance(program.command('get <key>'))
    .description('print a value; exit code 3 if the key is absent')
    .addOption(base64())
    .action(async (key: string, options: Common) => {
      await using client = clientOf(options);
      const { value, exists } = await client.get(keyBytes(key, options));
      if (!exists) {
        process.stderr.write(`gkvmesh: key ${JSON.stringify(key)} is absent\n`);
        process.exitCode = exitCodes.absent;
        return;
      }
      if (options.base64 === true) print(value.toString('base64'));
      else process.stdout.write(process.stdout.isTTY ? `${shown(value, {})}\n` : value);
    });
  withSigner(withInstance(program.command('set <key> <value>')))
    .description('set a key; prints the version. A value @FILE is the bytes of a file, @@TEXT a text that begins with @')
    .addOption(base64())
    .action(async (key: string, value: string, options: Common & Signing) => {
      await using client = clientOf(options);
      const op = { kind: 'set', key: keyBytes(key, options), value: argumentBytes(value, options) } as const;
      const signer = await signerOf(client, options);
      told(await (signer === undefined ? client.set(op.key, op.value) : signed(client, signer, op)));
    });
  withSigner(withInstance(program.command('delete <key>')))
    .description('delete a key; prints the version')
    .addOption(base64())
    .action(async (key: string, options: Common & Signing) => {
      await using client = clientOf(options);
      const op = { kind: 'delete', key: keyBytes(key, options) } as const;
      const signer = await signerOf(client, options);
      told(await (signer === undefined ? client.delete(op.key) : signed(client, signer, op)));
    });
  listCommand(program);
}

async function signed(client: Client, signer: Signer, op: StatementOp): Promise<SetAnswer> {
  const [write] = signer.sign([op]);
  if (write === undefined) throw new GkvError('internal', 'what is signed is there');
  return client.setSigned(write);
}

/** The version; and that it was of no use, where a greater one is there. */
function told({ version, applied }: SetAnswer): void {
  print(version);
  if (applied) return;
  process.stderr.write('gkvmesh: not applied: a greater version of the key is there, perhaps by a clock that is ahead of ours\n');
  process.exitCode = exitCodes.failed;
}

/** Asked for at a time. */
const pageKeys = 1_000;

interface ListOptions extends Common {
  readonly prefix?: string;
  readonly match: readonly string[];
  readonly json?: boolean;
  readonly keysOnly?: boolean;
}

function listCommand(program: Command): void {
  withInstance(program.command('list'))
    .description('print all keys and values, tab between, or one JSON object a line')
    .option('--prefix <prefix>', 'only keys that begin with it')
    .addOption(matching())
    .option('--json', 'lines {"key":base64,"value":base64,"version":hex}')
    .option('--keys-only', 'no values')
    .addOption(base64())
    .action(async (options: ListOptions) => {
      await using client = clientOf(options);
      const prefix = options.prefix === undefined ? undefined : keyBytes(options.prefix, options);
      const patterns = options.match.map((text) => ({
        removes: text.startsWith('!'),
        pattern: keyBytes(text.replace(/^!/, ''), options),
      }));
      const query = { ...(prefix && { prefix }), patterns, keysOnly: options.keysOnly === true, limit: pageKeys };
      for await (const { key, value, version } of client.entries(query)) {
        if (options.json === true) await printed(JSON.stringify({ key: key.toString('base64'), value: value.toString('base64'), version }));
        else await printed(options.keysOnly === true ? shown(key, options) : `${shown(key, options)}\t${shown(value, options)}`);
      }
    });
}

/** Given again for each pattern. */
function matching(): Option {
  const more = (text: string, before: readonly string[]): readonly string[] => [...before, text];
  return new Option(
    '--match <pattern>',
    'only keys that match, such as /cities/*/capital or /a/**; !/a/b/** takes keys away again; the last that matches decides',
  )
    .default([] as readonly string[], 'all keys')
    .argParser(more);
}

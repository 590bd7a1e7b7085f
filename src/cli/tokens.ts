import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync } from 'node:fs';
import { type Command } from 'commander';
import { GkvError } from '../core/errors.ts';
import { makeToken, parseTokens, tokenLine, tokenRights, type Token, type TokenRight } from '../grant/token.ts';
import { fileError, print } from './io.ts';
import { writeNew } from './keyFile.ts';
import { patternsOf } from './makeGrant.ts';

interface CreateOptions {
  readonly rights: string;
  readonly pattern?: string[];
  readonly name: string;
}

/** Adds token create, list and revoke. They change a file; the servers that are started with it see that within a second or two. */
export function tokenCommands(program: Command): void {
  const tokens = program.command('token').description('bearer tokens for the HTTP API, in a file for serve --tokens');
  tokens
    .command('create <file>')
    .description('make a token, and the file where there is none; prints the token, which is nowhere else')
    .requiredOption('--rights <names>', `${tokenRights.join(', ')}, with commas between; control is all that is not data`)
    .option('--pattern <patterns...>', 'keys that it is for: * is any one segment between slashes, ** any number of them')
    .option('--name <name>', 'what to call it', '')
    .action((file: string, { rights, pattern = [], name }: CreateOptions) => {
      const before = contentOf(file);
      const { token, text } = makeToken({ name, rights: rightsOf(rights), patterns: patternsOf(pattern) }, { bytes: randomBytes });
      if (before === undefined) create(file, [token]);
      else replace(file, [...before, token]);
      print(text);
    });
  tokens
    .command('list <file>')
    .description('all tokens, without their secrets')
    .action((file: string) => {
      for (const { id, name, rights, patterns } of existing(file)) {
        print([id, [...rights].join(','), ...patterns.map(({ bytes }) => Buffer.from(bytes).toString()), name].join('  ').trim());
      }
    });
  tokens
    .command('revoke <file> <id>')
    .description('take a token away, by its id: the 16 digits behind gkv_')
    .action((file: string, id: string) => {
      const before = existing(file);
      const after = before.filter((token) => token.id !== id);
      if (after.length === before.length)
        throw new GkvError('bad_config', `${file} has no token ${id}; gkvmesh token list shows what it has`);
      replace(file, after);
    });
}

function rightsOf(text: string): Set<TokenRight> {
  return new Set(
    text.split(',').map((name) => {
      const right = tokenRights.find((known) => known === name);
      if (right === undefined) throw new GkvError('bad_config', `${JSON.stringify(name)} is no right: there are ${tokenRights.join(', ')}`);
      return right;
    }),
  );
}

function existing(file: string): Token[] {
  const tokens = contentOf(file);
  if (tokens === undefined) throw new GkvError('bad_config', `${file} is not there`);
  return tokens;
}

/** Undefined: there is no such file. */
function contentOf(file: string): Token[] | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined; // what node:fs throws
    throw fileError(file, 'cannot be read', cause);
  }
  return parseTokens(bytes);
}

/** A file that was not there. */
function create(file: string, tokens: readonly Token[]): void {
  const text = tokens.map((token) => `${tokenLine(token)}\n`).join('');
  parseTokens(Buffer.from(text));
  writeNew(file, text, 0o600);
}

/** Whole, or not at all. */
function replace(file: string, tokens: readonly Token[]): void {
  const draft = `${file}.${randomBytes(4).toString('hex')}`;
  create(draft, tokens);
  renameSync(draft, file);
}

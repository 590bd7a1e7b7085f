#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { GkvError } from '../core/errors.ts';
import { release } from '../server/release.ts';
import { backupCommands } from './backup.ts';
import { authorityCommands } from './authority.ts';
import { controlCommands } from './control.ts';
import { dataCommands } from './data.ts';
import { grantCommands } from './grants.ts';
import { initCommands } from './init.ts';
import { endWithoutOutput, exitCodes, oneLine } from './io.ts';
import { offlineCommands } from './offline.ts';
import { memberCommands } from './members.ts';
import { revokeCommand } from './revoke.ts';
import { rootCommands } from './root.ts';
import { serveCommands } from './serve.ts';
import { tokenCommands } from './tokens.ts';
import { transferCommands } from './transfer.ts';

const usageCodes = new Set<string>(['bad_config']);

process.stdout.on('error', endWithoutOutput);
process.stderr.on('error', () => undefined); // what is told there is told besides

const program = new Command('gkvmesh').description('geo-replicated key-value store').version(release).exitOverride();
program.configureOutput({
  outputError: (text, write) => {
    write(`gkvmesh: bad_config: ${oneLine(text.replace(/^error: /, ''))}\n`);
  },
});
serveCommands(program);
dataCommands(program);
controlCommands(program);
memberCommands(program);
transferCommands(program);
backupCommands(program);
offlineCommands(program);
initCommands(program);
grantCommands(program);
rootCommands(program);
authorityCommands(program);
revokeCommand(program);
tokenCommands(program);
for (const command of program.commands) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage;
  } else {
    const code = error instanceof GkvError ? error.code : 'internal';
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`gkvmesh: ${code}: ${oneLine(message)}\n`);
    process.exitCode = usageCodes.has(code) ? exitCodes.usage : exitCodes.failed;
  }
}

import { type Command } from 'commander';
import { loadConfig, type RawConfig, type ServerConfig } from '../server/config.ts';
import { print } from './io.ts';

/** Adds what works on a store that nobody serves: renew. */
export function offlineCommands(program: Command): void {
  withStore(program.command('renew'))
    .description(
      'give a store that was restored from a copy a new incarnation, so that it may go on in its mesh; stop all its instances first',
    )
    .action(async (flags: RawConfig) => {
      const { renew } = await import('../server/offline.ts'); // the other commands do without the store
      const { clusterId, incarnation } = await renew(configOf(flags).store);
      print(`cluster ${clusterId} is renewed: incarnation ${incarnation}`);
    });
}

function withStore(command: Command): Command {
  return command
    .option('--data <dir>', 'directory of the embedded store (default ./gkvmesh-data)')
    .option('--fdb <clusterfile>', 'a cluster file: the data lies in this FoundationDB')
    .option('--fdb-prefix <hex>', 'what its keys begin with')
    .option('--config <file>', 'options in YAML, by their names');
}

/** Of the flags of a server, as `serve` takes them from flags, environment and file. */
function configOf(flags: RawConfig): ServerConfig {
  return loadConfig({ ...flags, open: true }, process.env);
}

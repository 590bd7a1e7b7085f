import { type Command } from 'commander';
import { GkvError } from '../core/errors.ts';
import { loadOfflineConfig, type RawConfig } from '../server/config.ts';
import { fileChunks } from './backupFile.ts';
import { print, Progress } from './io.ts';
import { meshKeyIn } from './meshDirectory.ts';

/** Adds what works on a store that nobody serves: renew and restore. */
export function offlineCommands(program: Command): void {
  withStore(program.command('renew'))
    .description(
      'give a store that was restored from a copy a new incarnation, so that it may go on in its mesh; stop all its instances first',
    )
    .action(async (flags: RawConfig) => {
      const { renew } = await import('../server/offline.ts'); // the other commands do without the store
      const { clusterId, incarnation } = await renew(loadOfflineConfig(flags, process.env).store);
      print(`cluster ${clusterId} is renewed: incarnation ${incarnation}`);
    });
  restoreCommand(program);
}

function restoreCommand(program: Command): void {
  withStore(program.command('restore <file>'))
    .description('fill an empty store from a backup; one that was cut short is begun again with the same file')
    .option('--mesh <dir>', 'of a granted mesh: a mesh directory of it, for the mesh key')
    .option('--mesh-key <file>', 'the mesh key of the cluster that the backup is of, if it has its own and no directory')
    .option('--as-new-cluster', 'under a new cluster id, for a store that is not to take the place of the one backed up')
    .action(async (file: string, { asNewCluster, ...flags }: RawConfig) => {
      if (file === '-') throw new GkvError('bad_config', 'a restore reads the backup twice, so not from standard input: name a file');
      const { restore } = await import('../server/offline.ts');
      const { store, mesh, meshKey } = loadOfflineConfig(flags, process.env);
      const progress = new Progress('writes checked, then restored:');
      const { clusterId, incarnation, writes } = await restore({
        store,
        meshKeyOf: (kind) => {
          if (mesh === undefined) return meshKey;
          if (kind === 'open') throw new GkvError('bad_config', `${mesh.source}: the backup is of an open mesh, which has no directory`);
          return meshKeyIn(mesh.path);
        },
        read: () => fileChunks(file),
        as: asNewCluster === true ? 'new cluster' : 'same cluster',
        onProgress: (done) => {
          progress.update(done);
        },
      });
      progress.finish(writes);
      print(`cluster ${clusterId} is restored: incarnation ${incarnation}, ${writes} writes`);
    });
}

function withStore(command: Command): Command {
  return command
    .option('--data <dir>', 'directory of the embedded store (default ./gkvmesh-data)')
    .option('--fdb <clusterfile>', 'a cluster file: the data lies in this FoundationDB')
    .option('--fdb-prefix <hex>', 'what its keys begin with')
    .option('--config <file>', 'options in YAML, by their names');
}

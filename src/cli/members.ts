import { type Command } from 'commander';
import { clientOf, withInstance, type InstanceOptions } from './instance.ts';
import { exitCodes, print } from './io.ts';
import { describeMembers, memberTable } from './memberTable.ts';

/** Adds members list, add and remove. */
export function memberCommands(program: Command): void {
  const members = program.command('members').description('the regions of the mesh');
  withInstance(members.command('list'))
    .description('all regions, and how it goes with them as the instance sees it')
    .option('--json', 'as JSON')
    .action(async (options: InstanceOptions & { json?: boolean }) => {
      await using client = clientOf(options);
      const found = describeMembers(await client.json('/peers'), await client.json('/control/status'));
      if (options.json === true) print(JSON.stringify(found));
      else for (const line of memberTable(found, Date.now())) print(line);
    });
  withInstance(members.command('add <peer>'))
    .description('ask who is at a mesh port, HOST:PORT by which all regions reach it, and make it a member; the instance becomes one too')
    .option('--region <name>', 'what to call it (default: its own name for itself)')
    .action(async (peer: string, options: InstanceOptions & { region?: string }) => {
      await using client = clientOf(options);
      const name = options.region === undefined ? {} : { regionName: options.region };
      const { clusterId, address, regionName } = await client.post('/control/members/add', { peer, ...name });
      print(`${String(clusterId)}  ${String(regionName)}  ${String(address)}`);
    });
  withInstance(members.command('remove <clusterId>'))
    .description('take a region out of the mesh for good; make sure before that nobody writes to it: it returns only from an empty store')
    .action(async (clusterId: string, options: InstanceOptions) => {
      await using client = clientOf(options);
      const { removed } = await client.post('/control/members/remove', { clusterId });
      if (removed === true) return;
      process.stderr.write(`gkvmesh: ${clusterId} is no member\n`);
      process.exitCode = exitCodes.absent;
    });
}

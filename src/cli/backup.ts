import { type Command } from 'commander';
import { BackupOrder, verifyBackup } from '../backup/read.ts';
import { readRecords } from '../backup/record.ts';
import { type Client } from '../client/client.ts';
import { GkvError } from '../core/errors.ts';
import { stampToHex } from '../core/stamp.ts';
import { uuidText } from '../core/uuid.ts';
import { checkTarget, fileChunks, openTarget, readBegun, standardOutput, type BackupTarget, type Begun } from './backupFile.ts';
import { clientOf, withInstance, type InstanceOptions } from './instance.ts';
import { print, Progress } from './io.ts';

/** Adds backup, and backup verify. */
export function backupCommands(program: Command): void {
  const command = withInstance(program.command('backup <file>'));
  command
    .description('write everything that the cluster holds to a file; - for standard output')
    .option('--resume', 'go on with a file that broke off')
    .action(async (file: string, options: InstanceOptions & { resume?: boolean }) => {
      await using client = clientOf(options);
      if (file === '-') {
        if (options.resume === true) throw new GkvError('bad_config', '--resume: needs a file');
        await backUp(client, () => Promise.resolve(standardOutput), undefined);
        return;
      }
      const begun = options.resume === true ? await readBegun(file) : undefined;
      if (begun?.isComplete === true) throw new GkvError('bad_config', `${file} is a whole backup: there is nothing to go on with`);
      const end = options.resume === true ? (begun?.end ?? 0) : undefined;
      checkTarget(file, end);
      await backUp(client, () => openTarget(file, end), begun);
    });
  command
    .command('verify <file>')
    .description('check a backup, every byte of it, and print what it is; - for standard input')
    .action(async (file: string) => {
      const progress = new Progress('writes checked:');
      const { header, trailer } = await verifyBackup(file === '-' ? process.stdin : fileChunks(file), (done) => {
        progress.update(done);
      });
      print(`cluster ${uuidText(header.clusterId)}, incarnation ${header.incarnation}`);
      print(`begun ${new Date(header.startedMs).toISOString()}, floor ${stampToHex(trailer.floor)}`);
      print(`${trailer.writes} writes in ${trailer.pages} pages: whole and undamaged`);
    });
}

/** Writes whole records alone, each checked, at the pace of the target, which is opened for the first of them. Error: `unavailable` where the server breaks off. */
async function backUp(client: Client, open: () => Promise<BackupTarget>, begun: Begun | undefined): Promise<void> {
  const progress = new Progress('writes backed up:');
  const stream = await client.stream('/control/backup', begun === undefined ? {} : { resume: resumeOf(begun) });
  const order = new BackupOrder(begun?.progress);
  const after = begun === undefined ? {} : { after: begun.progress.digest };
  const records = readRecords(stream, { ...after, cut: 'leave out' });
  const first = await records.next();
  await using target = first.done === true ? undefined : await open();
  for (let next = first; next.done !== true; next = await records.next()) {
    order.take(next.value);
    await target?.write(next.value.bytes);
    progress.update(order.progress.writes);
  }
  if (!order.isComplete) throw new GkvError('unavailable', 'the server ended the backup before its end; go on with --resume');
  progress.finish(order.progress.writes);
}

function resumeOf({ header, progress: { digest, position, pages, writes } }: Begun): Record<string, unknown> {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const at = position === undefined ? {} : { position: base64(position) };
  return { header: base64(header), digest: base64(digest), ...at, pages, writes };
}

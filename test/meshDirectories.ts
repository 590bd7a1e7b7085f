/** Directories of a granted mesh, which operators make with the command line: for the demo and the tests. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** Runs the command; resolves with what it printed, without the end of the line. */
type Gkvmesh = (...args: string[]) => Promise<string>;

/** A grant of the root's, whose key is in `from`. Resolves with its id, in hex. */
export function give(gkvmesh: Gkvmesh, from: string, key: string, rights: string, ...patterns: string[]): Promise<string> {
  return gkvmesh('grant', 'create', '--mesh', from, '--to', key, '--rights', rights, '--pattern', ...patterns);
}

/** With the mesh's id, its key and all records, and with a key of its own, which is returned. */
export async function copyOf(gkvmesh: Gkvmesh, from: string, to: string): Promise<string> {
  mkdirSync(to, { mode: 0o700 });
  for (const name of ['mesh-id', 'mesh-key']) cpSync(join(from, name), join(to, name));
  copyRecords(from, to);
  return gkvmesh('keygen', join(to, 'cluster.key'));
}

/** For another region, whose key is given what the patterns say, and may replicate. Resolves with the ids of both grants. */
export async function directoryFor(
  gkvmesh: Gkvmesh,
  from: string,
  to: string,
  ...patterns: string[]
): Promise<{ readonly key: string; readonly grant: string; readonly replicate: string }> {
  const key = await copyOf(gkvmesh, from, to);
  const grant = await give(gkvmesh, from, key, 'read,write,delete', ...patterns);
  const replicate = await give(gkvmesh, from, key, 'replicate', '**');
  copyRecords(from, to);
  return { key, grant, replicate };
}

export function copyRecords(from: string, to: string): void {
  cpSync(join(from, 'records'), join(to, 'records'), { recursive: true });
}

/** `npm test`: everything that needs no other program, and FoundationDB's suite where there is one. */
import { spawnSync } from 'node:child_process';

function run(program: string, args: readonly string[]): number {
  return spawnSync(program, args, { stdio: 'inherit' }).status ?? 1;
}

const own = run('npx', ['mocha', ...process.argv.slice(2)]);
if (process.env['GKVMESH_TEST_FDB'] !== undefined) process.exit(own === 0 ? run('npm', ['run', 'test:fdb']) : own);
console.log(
  'Not run: the suite on FoundationDB. Run it with a server and its client library: GKVMESH_TEST_FDB=/etc/foundationdb/fdb.cluster npm run test:fdb',
);
process.exit(own);

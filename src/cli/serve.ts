import { setFlagsFromString } from 'node:v8';
import { type Command } from 'commander';
import { configNames, flagOf, loadConfig, type ServerConfig } from '../server/config.ts';
import { endWithoutOutput, exitCodes, print } from './io.ts';
import { JoinLines, type JoinProgress } from './joinLines.ts';
import { startOf } from './meshDirectory.ts';

const descriptions: Readonly<Record<string, string>> = {
  mesh: 'directory of a granted mesh, which gkvmesh init makes; its cluster.key signs what comes over HTTP',
  open: 'a mesh without grants: whoever reaches the ports may read and write',
  data: 'directory of the embedded store (default ./gkvmesh-data)',
  fdb: 'a cluster file: the data lies in this FoundationDB, which any number of instances share',
  jobRank: 'of the instances on one FoundationDB the lowest runs the background jobs of one (0 to 255, default 100)',
  fdbPrefix: 'what FoundationDB’s keys begin with, in hex (default 676b766d6573682f, gkvmesh/)',
  listen: 'HTTP API (default 127.0.0.1:6300; port 0 takes a free one)',
  meshListen: 'for other regions (default 127.0.0.1:6200)',
  advertise: 'where other regions reach the mesh port (default: where it listens)',
  join: 'mesh port of a member: an empty store is filled from it before this instance is ready',
  dayMs: 'deletes are remembered at least this long, in ms (default 86400000); every region of a mesh must have the same',
  drainMs: 'so long after SIGTERM the instance goes on, not ready, so that a balancer sees it, in ms (default 0, at most 600000)',
  region: 'shown to operators (default local)',
  meshId: '64 hex digits; fixed at the first start',
  meshKey: 'a file with 64 hex digits; fixed at the first start',
  tlsCert: 'certificate of the API, PEM, with what lies between it and its CA; it is read again when it changes, as all of these',
  tlsKey: 'its private key, PEM, without a passphrase',
  tlsClientCa: 'whoever calls the API must show a certificate of a CA in this file',
  meshTlsCert: 'certificate for other regions, as their server and as their client, PEM',
  meshTlsKey: 'its private key, PEM, without a passphrase',
  meshTlsCa: 'the CA of all regions: nobody else is talked to',
  tokens: 'whoever calls the API must show a bearer token of this file, which gkvmesh token makes; it is read again when it changes',
  insecurePlaintext: 'allow addresses beyond loopback without TLS or authentication',
  hostNames: 'names, beside its addresses, that requests may call this server by, with commas between',
  logLevel: 'error, warn, info (default) or debug',
};
const placeholders: Readonly<Record<string, string>> = {
  mesh: ' <dir>',
  data: ' <dir>',
  fdb: ' <clusterfile>',
  fdbPrefix: ' <hex>',
  jobRank: ' <n>',
  listen: ' <host:port>',
  meshListen: ' <host:port>',
  advertise: ' <host:port>',
  join: ' <host:port>',
  dayMs: ' <ms>',
  drainMs: ' <ms>',
  region: ' <name>',
  meshId: ' <hex>',
  meshKey: ' <file>',
  tlsCert: ' <file>',
  tlsKey: ' <file>',
  tlsClientCa: ' <file>',
  meshTlsCert: ' <file>',
  meshTlsKey: ' <file>',
  meshTlsCa: ' <file>',
  tokens: ' <file>',
  hostNames: ' <names>',
  logLevel: ' <level>',
};
/** A second signal, or this long after the stop began, ends the process at once. */
const stopMsMax = 10_000;

/**
 * Where objects outlive some collections of the young generation, as requests do that wait for a commit, V8 allocates what comes
 * from the same lines in the old generation from then on. Each of those dead objects keeps its request alive
 * until the next full collection: gets after a filling with batches took 1.6 times the CPU.
 */
const noPretenuring = '--no-allocation-site-pretenuring';

/** Adds serve and check-config. */
export function serveCommands(program: Command): void {
  withConfigFlags(program.command('serve').description('serve a region until SIGTERM')).action(async (flags: Record<string, unknown>) => {
    await serve(flags);
  });
  withConfigFlags(
    program.command('join <donor>').description('as serve --join: fill an empty store from a member, HOST:PORT of its mesh port'),
  ).action(async (donor: string, flags: Record<string, unknown>) => {
    await serve({ ...flags, join: donor });
  });
  withConfigFlags(program.command('check-config').description('check flags, environment and file, and say what holds')).action(
    (flags: Record<string, unknown>) => {
      const { meshKey, meshId, store, tls, tokens, ...config } = loadConfig(flags, process.env);
      const granted = config.mesh === undefined ? undefined : startOf(config.mesh);
      const id = granted?.meshId ?? meshId;
      const shown = {
        store: store.kind === 'fdb' ? { ...store, prefix: Buffer.from(store.prefix).toString('hex') } : store,
        meshId: id === undefined ? 'default' : Buffer.from(id).toString('hex'),
        meshKey: granted === undefined && meshKey === undefined ? 'default' : 'from file',
        tokens: tokens?.path ?? 'none',
        tls: { api: shownTls(tls.api), mesh: shownTls(tls.mesh) },
      };
      print(JSON.stringify({ ...config, ...shown }, undefined, 2));
    },
  );
}

function shownTls(files: ServerConfig['tls']['api']): object | 'none' {
  return files === undefined ? 'none' : { cert: files.cert.path, key: files.key.path, ca: files.ca?.path ?? 'none' };
}

function withConfigFlags(command: Command): Command {
  for (const name of configNames) command.option(`${flagOf(name)}${placeholders[name] ?? ''}`, descriptions[name]);
  return command.option('--config <file>', 'options in YAML, by their names');
}

async function serve(flags: Record<string, unknown>): Promise<void> {
  process.stdout.off('error', endWithoutOutput).on('error', () => undefined); // who reads our lines may go away: we serve on
  const config = loadConfig(flags, process.env);
  const granted = config.mesh === undefined ? undefined : startOf(config.mesh);
  setFlagsFromString(noPretenuring);
  const { start } = await import('../server/start.ts'); // the other commands do without the store
  const lines = new JoinLines();
  const onProgress = (progress: JoinProgress): void => {
    lines.update(progress);
  };
  const server = await start(config, onProgress, granted);
  const stop = signalled(); // before anybody can know that we are ready
  const where = `api=${server.apiUrl} mesh=${server.meshAddress} cluster=${server.clusterId} mesh-id=${server.meshId}`;
  if (server.donor !== undefined) print(`gkvmesh joining ${server.donor} ${where}`);
  let isReady: boolean;
  try {
    isReady = await Promise.race([server.ready.then(() => true), stop.then(() => false)]);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  if (isReady && server.donor !== undefined) lines.finish();
  if (isReady) print(`gkvmesh ready ${where}`);
  await stop;
  const hurry = (): void => {
    process.exit(exitCodes.failed);
  };
  process.once('SIGTERM', hurry).once('SIGINT', hurry);
  setTimeout(hurry, config.drainMs + stopMsMax).unref();
  await server[Symbol.asyncDispose]();
  process.exit(0);
}

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      process.off('SIGTERM', stop).off('SIGINT', stop);
      resolve();
    };
    process.on('SIGTERM', stop).on('SIGINT', stop);
  });
}

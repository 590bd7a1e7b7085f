import { pino } from 'pino';
import { GkvError } from '../core/errors.ts';
import { type Log } from '../core/ports.ts';
import { type ServerConfig } from './config.ts';
import { openInstance, type Instance } from './instance.ts';
import { listen, type Listener } from './listen.ts';
import { openStore, type OpenStore } from './openStore.ts';
import { realClock } from './real.ts';
import { TlsPorts } from './tlsPorts.ts';

export interface RunningServer extends AsyncDisposable {
  readonly apiUrl: string;
  readonly meshAddress: string;
  readonly clusterId: string;
  readonly meshId: string;
}

/** The composition root: puts one instance together and serves until disposed of, which takes no more, finishes, commits and closes. */
export async function start(config: ServerConfig): Promise<RunningServer> {
  const log = pino({ level: config.logLevel }, pino.destination({ fd: 2, sync: true }));
  if (config.insecurePlaintext) log.warn({}, 'started with --insecure-plaintext: whoever reaches the ports may read and write everything');
  const tls = await TlsPorts.open(config.tls, realClock, log);
  try {
    const opened = await openStore(config.store, log);
    try {
      return await serveOn(opened, tls, config, log);
    } catch (error) {
      await opened.store[Symbol.asyncDispose]();
      throw error;
    }
  } catch (error) {
    await tls[Symbol.asyncDispose]();
    throw error;
  }
}

async function serveOn(opened: OpenStore, tls: TlsPorts, config: ServerConfig, log: Log): Promise<RunningServer> {
  const instance = await openInstance(opened, config, log, tls);
  const { api: apiListener, mesh: meshListener } = await listenOnBoth(instance, tls, config).catch(async (error: unknown) => {
    await instance.close();
    throw error;
  });
  const { clusterId, meshId } = instance.identity;
  log.info({ api: apiListener.address, mesh: meshListener.address, clusterId, meshId, region: config.region }, 'ready');
  return {
    apiUrl: `${tls.api === undefined ? 'http' : 'https'}://${apiListener.address}`,
    meshAddress: meshListener.address,
    clusterId,
    meshId,
    [Symbol.asyncDispose]: async () => {
      instance.stopping.abort(new GkvError('unavailable', 'this instance is stopping'));
      await Promise.all([apiListener[Symbol.asyncDispose](), meshListener[Symbol.asyncDispose]()]);
      await instance.close();
      await opened.store[Symbol.asyncDispose]();
      await tls[Symbol.asyncDispose]();
      log.info({}, 'stopped');
    },
  };
}

async function listenOnBoth({ apps }: Instance, tls: TlsPorts, config: ServerConfig): Promise<{ api: Listener; mesh: Listener }> {
  const mesh = await listen(apps.mesh, config.meshListen, undefined, tls.mesh);
  try {
    return { api: await listen(apps.api, config.listen, undefined, tls.api), mesh };
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
}

import { pino } from 'pino';
import { GkvError } from '../core/errors.ts';
import { type Log } from '../core/ports.ts';
import { type ServerConfig } from './config.ts';
import { openInstance, type Instance } from './instance.ts';
import { listen, type Listener } from './listen.ts';
import { openStore, type OpenStore } from './openStore.ts';

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
  const opened = await openStore(config.store, log);
  try {
    return await serveOn(opened, config, log);
  } catch (error) {
    await opened.store[Symbol.asyncDispose]();
    throw error;
  }
}

async function serveOn(opened: OpenStore, config: ServerConfig, log: Log): Promise<RunningServer> {
  const instance = await openInstance(opened, config, log);
  const { api: apiListener, mesh: meshListener } = await listenOnBoth(instance, config).catch(async (error: unknown) => {
    await instance.close();
    throw error;
  });
  const { clusterId, meshId } = instance.identity;
  log.info({ api: apiListener.address, mesh: meshListener.address, clusterId, meshId, region: config.region }, 'ready');
  return {
    apiUrl: `http://${apiListener.address}`,
    meshAddress: meshListener.address,
    clusterId,
    meshId,
    [Symbol.asyncDispose]: async () => {
      instance.stopping.abort(new GkvError('unavailable', 'this instance is stopping'));
      await Promise.all([apiListener[Symbol.asyncDispose](), meshListener[Symbol.asyncDispose]()]);
      await instance.close();
      await opened.store[Symbol.asyncDispose]();
      log.info({}, 'stopped');
    },
  };
}

async function listenOnBoth({ apps }: Instance, config: ServerConfig): Promise<{ api: Listener; mesh: Listener }> {
  const mesh = await listen(apps.mesh, config.meshListen);
  try {
    return { api: await listen(apps.api, config.listen), mesh };
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
}

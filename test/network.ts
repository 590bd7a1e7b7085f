/** The wires between regions: TCP that can be cut, for tests and the demo. */
import { connect, createServer, type Server, type Socket } from 'node:net';

/** In a frame: mac 16 | CBOR's array and version 2 | mesh id 2 + 32 | cluster id 1 + 16. */
const senderAt = 53;
const senderBytes = 16;

/** A region's mesh port, HOST:PORT, and its cluster id. */
interface Place {
  readonly mesh: string;
  readonly clusterId: string;
}

interface Wire {
  /** Cluster ids in hex. */
  readonly from: string;
  readonly to: string;
  readonly ends: readonly Socket[];
}

/** Ports of loopback that stand in front of mesh ports. Who calls is known by the cluster id in its first frame. */
export class Network {
  readonly #servers: Server[] = [];
  readonly #wires = new Set<Wire>();
  readonly #away = new Set<string>();
  /** Bytes that regions answered with. */
  answered = 0;

  /** HOST:PORT that leads to the mesh port of a region. */
  async to(region: Place): Promise<string> {
    const { address, leadTo } = await this.wire();
    leadTo(region);
    return address;
  }

  /** HOST:PORT that leads nowhere until it is told where: for regions that must say at their start how they are reached. */
  async wire(): Promise<{ readonly address: string; readonly leadTo: (region: Place) => void }> {
    let place: Place | undefined;
    const server = createServer((caller) => {
      if (place === undefined) caller.destroy();
      else this.#accept(caller, place.mesh, bare(place.clusterId));
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const leadTo = (region: Place): void => {
      place = region;
    };
    return { address: `127.0.0.1:${address.port}`, leadTo };
  }

  /** From now on the region reaches nobody, and nobody reaches it. */
  cut(clusterId: string): void {
    const away = bare(clusterId);
    this.#away.add(away);
    for (const { from, to, ends } of this.#wires) if (from === away || to === away) for (const end of ends) end.destroy();
  }

  heal(): void {
    this.#away.clear();
  }

  async close(): Promise<void> {
    for (const { ends } of this.#wires) for (const end of ends) end.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  /** Waits for as much of the first frame as names its sender. */
  #accept(caller: Socket, mesh: string, to: string): void {
    let first = Buffer.alloc(0);
    caller.on('error', () => undefined);
    const look = (chunk: Buffer): void => {
      first = Buffer.concat([first, chunk]);
      const head = first.indexOf('\r\n\r\n');
      const at = head + 4 + senderAt;
      if (head < 0 || first.length < at + senderBytes) return;
      caller.off('data', look);
      caller.pause();
      this.#join(caller, first, mesh, { from: first.subarray(at, at + senderBytes).toString('hex'), to });
    };
    caller.on('data', look);
  }

  #join(caller: Socket, first: Buffer, mesh: string, { from, to }: { from: string; to: string }): void {
    if (this.#away.has(from) || this.#away.has(to)) {
      caller.destroy();
      return;
    }
    const [host, port] = mesh.split(':');
    const region = connect({ host, port: Number(port) });
    const wire = { from, to, ends: [caller, region] };
    this.#wires.add(wire);
    const end = (): void => {
      this.#wires.delete(wire);
      caller.destroy();
      region.destroy();
    };
    region.on('error', end).on('close', end);
    caller.on('close', end);
    region.on('data', (chunk: Buffer) => (this.answered += chunk.length));
    region.write(first);
    caller.pipe(region);
    region.pipe(caller);
  }
}

/** A UUID's hex digits. */
function bare(clusterId: string): string {
  return clusterId.replaceAll('-', '');
}

import { parseKey } from '../../src/core/key.ts';
import { makeStamp, type Stamp } from '../../src/core/stamp.ts';
import { encodeBody, parseGrantId, type WriteBody } from '../../src/core/write.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { clientInstance, writeIdOf } from '../../src/crypto/mesh.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { key, openInstance, type Instance, type InstanceOptions } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';
import { parseBatch } from '../../src/http/writes.ts';
import { type SignedStatement } from '../../src/replica/signed.ts';
import { FakeClock } from '../support.ts';
import { codeOf, post, startApi, type Answer, type TestApi } from './harness.ts';

const always = { notBeforeMs: 0, expiresMs: 2 ** 48 };
export const mesh = new Mesh();
/** Of the region's own key, "a". */
export const held = mesh.grant('a', always);
/** Of the client, "writer". */
export const french = mesh.given(held, 'a', 'writer', { patterns: patternsOf('/cities/FR/**') });
export const nowMs = new FakeClock().now();

/** A region of a granted mesh, whose key holds `held`. */
export function openRegion(more: Partial<InstanceOptions> = {}, grants: readonly Grant[] = [held, french]): Promise<Instance> {
  const records = [mesh.root, ...grants].map(anyOf);
  return openInstance({ granted: { meshId: mesh.id, records, signer: person('a') }, clock: new FakeClock(), ...more });
}

/** Serves regions over HTTP, each until the test that asked for it is over. To be called within a suite. */
export function servedByEach(): (instance: Instance) => Promise<TestApi> {
  const open: TestApi[] = [];
  afterEach(async () => {
    for (const each of open.splice(0)) await each[Symbol.asyncDispose]();
  });
  return async ({ replica }) => {
    const served = await startApi({ store: replica });
    open.push(served);
    return served;
  };
}

/** A version that the holder of the key of this name mints, so many ms from now. */
export function versionOf(name: string, aheadMs = 0, logical = 0): Stamp {
  return makeStamp(nowMs + aheadMs, logical, clientInstance(person(name).publicKey));
}

export interface Sent {
  readonly write: Buffer;
  readonly value: Buffer;
  readonly signature: Buffer;
}

export interface Shape extends Partial<Omit<WriteBody, 'key'>> {
  readonly key?: string;
  readonly value?: string;
  /** Whose key signs; "writer" if left out. */
  readonly by?: string;
  readonly meshId?: Uint8Array;
}

/** Writes that a client sends, under one signature; each is right but for what its shape says. */
export function sent(...shapes: readonly Shape[]): Sent[] {
  const [{ by = 'writer', meshId = mesh.id } = {}] = shapes;
  const parts = shapes.map(({ key: name = '/cities/FR/1', value: content = 'Paris', ...shape }) => {
    const value = Buffer.from(shape.tombstone === true ? '' : content);
    const body: WriteBody = {
      key: parseKey(Buffer.from(name)),
      version: versionOf(by),
      tombstone: false,
      expiresAt: 0,
      leaf: parseGrantId(french.id),
      valueLength: value.length,
      valueDigest: sha256(value),
      ...shape,
    };
    return { value, body, write: Buffer.from(encodeBody(body)), id: writeIdOf(meshId, body) };
  });
  const blocks = signWrites(
    meshId,
    parts.map(({ id }) => id),
    person(by),
  );
  return parts.map(({ value, write }, i) => ({ write, value, signature: Buffer.from(blocks[i] ?? []) }));
}

/** One of them. */
export function one(shape: Shape = {}): Sent {
  const [only] = sent(shape);
  if (only === undefined) throw new Error('a shape is a write');
  return only;
}

/** As JSON. */
export function fieldsOf({ write, value, signature }: Sent): { write: string; value: string; signature: string } {
  return { write: write.toString('base64'), value: value.toString('base64'), signature: signature.toString('base64') };
}

export type Json = Answer & { json: Record<string, unknown> };

/** "200", or the status and code of the error. */
export const said = ({ status, json }: Json): string => (status === 200 ? '200' : `${status} ${String(codeOf(json))}`);

export function sendSet(api: TestApi, write: Sent): Promise<Json> {
  return post(`${api.url}/data/set`, fieldsOf(write));
}

export async function readIn({ replica }: Instance, name = '/cities/FR/1'): Promise<string | undefined> {
  const { exists, value } = await replica.get(key(name));
  return exists ? Buffer.from(value).toString() : undefined;
}

/** What a batch of them asks for. */
export function statementsOf(...writes: readonly Sent[]): readonly SignedStatement[] {
  const parsed = parseBatch(Buffer.from(JSON.stringify({ ops: writes.map((write) => ({ op: 'write', ...fieldsOf(write) })) })));
  return parsed.kind === 'signed' ? parsed.statements : [];
}

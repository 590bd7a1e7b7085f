import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { type SigningKey } from '../crypto/ed25519.ts';
import { type AnyRecord } from '../grant/anyRecord.ts';
import { GkvError } from '../core/errors.ts';
import { hostPortIs, hostPortText, parseHostPort, type HostPort } from '../core/hostPort.ts';
import { limits } from '../core/limits.ts';
import { realClock } from './real.ts';
import { type SourcedFile } from './sourcedFile.ts';
import { readTls, type TlsFiles } from './tlsFiles.ts';
import { lackBeyondLoopback, tlsFilesOf } from './tlsOptions.ts';
import { readTokens } from './tokenFile.ts';

export type { HostPort } from '../core/hostPort.ts';

/** Where the data lies: embedded in a directory, or in a FoundationDB under a prefix. */
export type StoreConfig =
  { readonly kind: 'lmdb'; readonly dir: string } | { readonly kind: 'fdb'; readonly clusterFile: string; readonly prefix: Uint8Array };

/** What a look at the records of a mesh directory brought. */
export interface RecordNews {
  /** Those that the operator has added since the last look; at first all. */
  readonly records: readonly AnyRecord[];
  /** Why files are no records, or none can be read: each once, until it changes. */
  readonly wrong: readonly GkvError[];
}

/** What a cluster of a granted mesh is started with. */
export interface GrantedStart {
  readonly meshId: Uint8Array;
  readonly meshKey: Uint8Array;
  /** Of this cluster: signs what comes over HTTP. */
  readonly signer: SigningKey;
  readonly news: () => Promise<RecordNews>;
}

export interface ServerConfig {
  /** Of a mesh without grants. */
  readonly open: boolean;
  /** The directory of a granted one; undefined where it is open. */
  readonly mesh: string | undefined;
  readonly store: StoreConfig;
  /** 0 to 255: of the instances on one FoundationDB the lowest runs the background jobs that one of them runs. */
  readonly jobRank: number;
  readonly listen: HostPort;
  readonly meshListen: HostPort;
  /** Where other regions reach the mesh port; undefined: where it listens. */
  readonly advertise: HostPort | undefined;
  /** Mesh port of a member from which an empty store is filled. */
  readonly join: HostPort | undefined;
  /** The mesh's day: deletes are remembered at least this long, in ms. */
  readonly dayMs: number;
  /** So long a stop is told by `/readyz` before it begins, in ms. */
  readonly drainMs: number;
  readonly region: string;
  /** Undefined: the one that was fixed at the first start, or the public one. */
  readonly meshId: Uint8Array | undefined;
  readonly meshKey: Uint8Array | undefined;
  /** The files were right when this was made; who serves reads them anew. Undefined: plain HTTP. */
  readonly tls: Readonly<Record<'api' | 'mesh', TlsFiles | undefined>>;
  /** Whoever calls the API must show a token of this file; it was right when this was made. Undefined: nobody needs one. */
  readonly tokens: SourcedFile | undefined;
  readonly insecurePlaintext: boolean;
  /** Names, beside its addresses, that requests may call this server by. */
  readonly hostNames: readonly string[];
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
}

/** Options as they come from flags, environment or file: all text or boolean, by the file's names. */
export type RawConfig = Readonly<Record<string, unknown>>;

type Environment = Readonly<Record<string, string | undefined>>;

const flag = z.union(
  [z.boolean(), z.enum(['true', 'false', '1', '0']).transform((text) => text === 'true' || text === '1')],
  'true or false',
);
const text = (right: string): z.ZodString => z.string(right).min(1, right);
const hostPort = text(hostPortIs).transform((text, ctx) => {
  const parsed = parseHostPort(text);
  if (parsed !== undefined) return parsed;
  ctx.addIssue({ code: 'custom', message: hostPortIs });
  return z.NEVER;
});
const reachable = hostPort.refine(
  ({ host, port }) => port !== 0 && !isWildcard(host),
  'HOST:PORT that others can call, no wildcard and no port 0',
);
const dayIs = 'a whole number of ms, at least 1000';
/** A number in a file, or as text of so many digits at the most. */
const wholeNumber = (right: string, digits: RegExp, least: number, most: number): z.ZodType<number> =>
  z
    .union([z.number(), z.string().regex(digits).transform(Number)], right)
    .refine((number) => Number.isInteger(number) && number >= least && number <= most, right);
const dayMs = wholeNumber(dayIs, /^\d{1,15}$/, 1_000, limits.ttlMsMax);
const drainIs = 'a whole number of ms, at most 600000';
const drainMs = wholeNumber(drainIs, /^\d{1,6}$/, 0, 600_000);
const rankIs = 'a whole number from 0 to 255';
const jobRank = wholeNumber(rankIs, /^\d{1,3}$/, 0, 255);
const hexIs = '64 lower-case hex digits (32 bytes), in quotes in a file';
const hexId = text(hexIs)
  .regex(/^[0-9a-f]{64}$/, hexIs)
  .transform((hex) => Buffer.from(hex, 'hex'));
const nameIs = 'a name of at most 64 letters, digits, dots, dashes and underscores';
const regionName = text(nameIs).regex(/^[\w.-]{1,64}$/, nameIs);
const prefixIs = '1 to 64 bytes in lower-case hex that do not begin with ff, in quotes in a file';
const keyPrefix = text(prefixIs)
  .regex(/^(?!ff)(?:[0-9a-f]{2}){1,64}$/, prefixIs)
  .transform((hex) => Buffer.from(hex, 'hex'));
const dataDefault = './gkvmesh-data';
/** "gkvmesh/" */
const prefixDefault = '676b766d6573682f';
const hostNamesAre = 'host names without ports, with commas between';
const hostNames = z
  .union([z.string().transform((names) => names.split(',').map((name) => name.trim())), z.array(z.string())], hostNamesAre)
  .refine((names) => names.every((name) => /^[A-Za-z0-9._-]{1,253}$/.test(name)), hostNamesAre);
const logLevels = ['error', 'warn', 'info', 'debug'] as const;

/** The messages say what would be right, after "is not". */
const schema = z.strictObject({
  mesh: text('a mesh directory').optional(),
  open: flag.default(false),
  data: text('a directory').optional(),
  fdb: text('a cluster file').optional(),
  fdbPrefix: keyPrefix.optional(),
  jobRank: jobRank.default(100),
  listen: hostPort.prefault('127.0.0.1:6300'),
  meshListen: hostPort.prefault('127.0.0.1:6200'),
  advertise: reachable.optional(),
  join: hostPort.optional(),
  dayMs: dayMs.default(86_400_000),
  drainMs: drainMs.default(0),
  region: regionName.default('local'),
  meshId: hexId.optional(),
  meshKey: text('a file').optional(),
  tlsCert: text('a file').optional(),
  tlsKey: text('a file').optional(),
  tlsClientCa: text('a file').optional(),
  meshTlsCert: text('a file').optional(),
  meshTlsKey: text('a file').optional(),
  meshTlsCa: text('a file').optional(),
  tokens: text('a file').optional(),
  insecurePlaintext: flag.default(false),
  hostNames: hostNames.default([]),
  logLevel: z.enum(logLevels, `one of ${logLevels.join(', ')}`).default('info'),
});

/** Every option's name, as in the file. */
export const configNames = Object.keys(schema.shape);

/** The environment variable of an option: meshListen → GKVMESH_MESH_LISTEN. */
function variableOf(name: string): string {
  return `GKVMESH_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** The flag of an option: meshListen → --mesh-listen. */
export function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * Flags over environment over file. `flags` holds what was given on the command line alone, and perhaps `config`, the file's path. Error:
 * `bad_config`, with the option and where it came from.
 */
export function loadConfig(flags: RawConfig, environment: Environment): ServerConfig {
  const { merged, sources } = gathered(flags, environment);
  return checked(merged, sources);
}

/** Where the mesh key of a store comes from that nobody serves: a mesh directory, or the key itself; undefined: nothing names one. */
export interface OfflineConfig extends Pick<ServerConfig, 'store' | 'meshKey'> {
  readonly mesh: SourcedFile | undefined;
}

/**
 * As `loadConfig`, for what works on a store that nobody serves: the store knows what kind of mesh it is of, so none need be named. Of a directory and a mesh key
 * the one counts that goes over the other. Error: `bad_config` where both come from one place.
 */
export function loadOfflineConfig(flags: RawConfig, environment: Environment): OfflineConfig {
  const { merged, sources, places } = gathered(flags, environment);
  const { mesh, meshKey, ...others } = merged;
  const [ofMesh, ofKey] = [places.get('mesh') ?? 0, places.get('meshKey') ?? 0];
  if (ofMesh > 0 && ofMesh === ofKey)
    throw new GkvError('bad_config', `${sources.get('mesh') ?? 'mesh'} and ${sources.get('meshKey') ?? 'meshKey'}: say one of them`);
  const named = schema.pick({ mesh: true }).safeParse({ mesh });
  if (!named.success) throw wrong(named.error.issues, merged, sources);
  const config = checked({ ...others, ...(ofKey > ofMesh && { meshKey }), open: true }, sources);
  const path = ofMesh > ofKey ? named.data.mesh : undefined;
  return {
    store: config.store,
    meshKey: config.meshKey,
    mesh: path === undefined ? undefined : { path, source: sources.get('mesh') ?? 'mesh' },
  };
}

interface Gathered {
  readonly merged: Record<string, unknown>;
  /** Where each came from. */
  readonly sources: ReadonlyMap<string, string>;
  /** 1: from the file, 2: from the environment, 3: a flag. */
  readonly places: ReadonlyMap<string, number>;
}

function gathered(flags: RawConfig, environment: Environment): Gathered {
  const { config: fileFlag, ...given } = flags;
  const [path, pathSource] = typeof fileFlag === 'string' ? [fileFlag, '--config'] : [environment['GKVMESH_CONFIG'], 'GKVMESH_CONFIG'];
  if (path === '') throw new GkvError('bad_config', `${pathSource}: "" is not a file`);
  const file = path === undefined ? {} : readFile(path);
  const sources = new Map<string, string>();
  const places = new Map<string, number>();
  const merged: Record<string, unknown> = {};
  const take = (name: string, value: unknown, source: string, place: number): void => {
    merged[name] = value;
    sources.set(name, source);
    places.set(name, place);
  };
  for (const [name, value] of Object.entries(file)) take(name, value, `${path ?? 'file'}: ${name}`, 1);
  for (const name of configNames) {
    const variable = variableOf(name);
    if (environment[variable] !== undefined) take(name, environment[variable], variable, 2);
  }
  for (const [name, value] of Object.entries(given)) take(name, value, flagOf(name), 3);
  return { merged, sources, places };
}

function readFile(path: string): Record<string, unknown> {
  try {
    const parsed: unknown = parseYaml(readFileSync(path, 'utf8')) ?? {};
    return z.record(z.string(), z.unknown()).parse(parsed);
  } catch (cause) {
    const why = cause instanceof z.ZodError ? 'it is not a map of options' : cause instanceof Error ? cause.message : String(cause);
    throw new GkvError('bad_config', `${path} cannot be read: ${why}`, { cause });
  }
}

function checked(merged: Record<string, unknown>, sources: ReadonlyMap<string, string>): ServerConfig {
  const parsed = schema.safeParse(merged);
  if (!parsed.success) throw wrong(parsed.error.issues, merged, sources);
  const {
    open,
    meshKey,
    data,
    fdb,
    fdbPrefix,
    tlsCert,
    tlsKey,
    tlsClientCa,
    meshTlsCert,
    meshTlsKey,
    meshTlsCa,
    tokens: tokensPath,
    ...rest
  } = parsed.data;
  const { mesh, meshId } = parsed.data;
  if (!open && mesh === undefined)
    throw new GkvError(
      'bad_config',
      'start with --mesh and a directory that gkvmesh init made, or with --open: a mesh whose ports anybody may use',
    );
  for (const [name, value] of Object.entries({ open: open || undefined, meshId, meshKey }))
    if (mesh !== undefined && value !== undefined)
      throw new GkvError(
        'bad_config',
        `${sources.get(name) ?? name}: is of open meshes; ${sources.get('mesh') ?? 'mesh'} names a granted one`,
      );
  const tlsPaths = { tlsCert, tlsKey, tlsClientCa, meshTlsCert, meshTlsKey, meshTlsCa };
  const tls = { api: tlsFilesOf('api', tlsPaths, sources), mesh: tlsFilesOf('mesh', tlsPaths, sources) };
  const tokens = tokensPath === undefined ? undefined : { path: tokensPath, source: sources.get('tokens') ?? 'tokens' };
  for (const [name, port] of [
    ['listen', 'api'],
    ['meshListen', 'mesh'],
  ] as const) {
    const { host } = rest[name];
    const lack =
      isLoopback(host) || rest.insecurePlaintext ? undefined : lackBeyondLoopback(port, tls[port], port === 'api' && tokens !== undefined);
    if (lack !== undefined) throw new GkvError('bad_config', `${sources.get(name) ?? name}: ${host} ${lack}`);
  }
  if (rest.listen.port !== 0 && hostPortText(rest.listen) === hostPortText(rest.meshListen)) {
    const [source, other] = ['meshListen', 'listen'].map((name) => sources.get(name) ?? name);
    throw new GkvError('bad_config', `${source}: ${hostPortText(rest.listen)} is that of ${other} too: the two ports are two`);
  }
  if (merged['jobRank'] !== undefined && fdb === undefined)
    throw new GkvError('bad_config', `${sources.get('jobRank') ?? 'jobRank'}: is of use with --fdb alone`);
  if (rest.join !== undefined && rest.advertise === undefined && isWildcard(rest.meshListen.host)) {
    throw new GkvError(
      'bad_config',
      `${sources.get('join') ?? 'join'}: others cannot call ${rest.meshListen.host}; say with --advertise what they can`,
    );
  }
  for (const files of [tls.api, tls.mesh]) if (files !== undefined) readTls(files, realClock.now());
  if (tokens !== undefined) readTokens(tokens);
  return {
    ...rest,
    open,
    mesh,
    tls,
    tokens,
    store: storeOf({ data, fdb, fdbPrefix }, sources),
    advertise: rest.advertise,
    join: rest.join,
    meshId: rest.meshId,
    meshKey: meshKey === undefined ? undefined : readMeshKey(meshKey, sources.get('meshKey') ?? 'meshKey'),
  };
}

function storeOf(
  { data, fdb, fdbPrefix }: { data: string | undefined; fdb: string | undefined; fdbPrefix: Uint8Array | undefined },
  sources: ReadonlyMap<string, string>,
): StoreConfig {
  if (fdb !== undefined && data !== undefined) {
    throw new GkvError(
      'bad_config',
      `${sources.get('data') ?? 'data'} and ${sources.get('fdb') ?? 'fdb'}: the data lies in a directory or in FoundationDB, not in both`,
    );
  }
  if (fdb !== undefined) return { kind: 'fdb', clusterFile: fdb, prefix: fdbPrefix ?? Buffer.from(prefixDefault, 'hex') };
  if (fdbPrefix === undefined) return { kind: 'lmdb', dir: data ?? dataDefault };
  throw new GkvError('bad_config', `${sources.get('fdbPrefix') ?? 'fdbPrefix'}: is of use with --fdb alone`);
}

/** Says of the first thing that is wrong where it came from, what it is, and what would be right. */
function wrong(issues: readonly z.core.$ZodIssue[], merged: Record<string, unknown>, sources: ReadonlyMap<string, string>): GkvError {
  const [issue] = issues;
  const unknown = issue?.code === 'unrecognized_keys';
  const name = String(unknown ? issue.keys[0] : issue?.path[0]);
  const source = sources.get(name) ?? name;
  if (unknown) return new GkvError('bad_config', `${source}: there is no such option; there are ${configNames.join(', ')}`);
  const value = JSON.stringify(merged[name] ?? null).slice(0, 100);
  return new GkvError('bad_config', `${source}: ${value} is not ${issue?.message ?? 'right'}`);
}

export function isLoopback(host: string): boolean {
  return host.toLowerCase() === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** An address to listen on that nobody can call. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || /^[0:]+$/.test(host);
}

function readMeshKey(path: string, source: string): Uint8Array {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new GkvError('bad_config', `${source}: ${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  if (!/^[0-9a-f]{64}$/.test(text)) throw new GkvError('bad_config', `${source}: ${path} must hold 64 lower-case hex digits (32 bytes)`);
  return Buffer.from(text, 'hex');
}

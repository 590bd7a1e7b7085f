import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { GkvError } from '../core/errors.ts';

export interface HostPort {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

export interface ServerConfig {
  readonly open: true;
  readonly data: string;
  readonly listen: HostPort;
  readonly meshListen: HostPort;
  readonly region: string;
  /** Undefined: the one that was fixed at the first start, or the public one. */
  readonly meshId: Uint8Array | undefined;
  readonly meshKey: Uint8Array | undefined;
  readonly insecurePlaintext: boolean;
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
}

/** Options as they come from flags, environment or file: all text or boolean, by the file's names. */
export type RawConfig = Readonly<Record<string, unknown>>;

const flag = z.union([z.boolean(), z.enum(['true', 'false', '1', '0']).transform((text) => text === 'true' || text === '1')]);
const hostPort = z.string().transform((text, ctx) => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host !== undefined && port <= 65_535) return { host, port };
  ctx.addIssue({ code: 'custom', message: `${JSON.stringify(text)} is not HOST:PORT, such as 127.0.0.1:6300 or [::1]:6300` });
  return z.NEVER;
});
const hexId = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits (32 bytes)')
  .transform((text) => Buffer.from(text, 'hex'));

const schema = z.strictObject({
  open: flag.default(false),
  data: z.string().min(1).default('./gkvmesh-data'),
  listen: hostPort.prefault('127.0.0.1:6300'),
  meshListen: hostPort.prefault('127.0.0.1:6200'),
  region: z.string().min(1).max(64).default('local'),
  meshId: hexId.optional(),
  meshKey: z.string().min(1).optional(),
  insecurePlaintext: flag.default(false),
  logLevel: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
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
export function loadConfig(flags: RawConfig, environment: Readonly<Record<string, string | undefined>>): ServerConfig {
  const { config: fileFlag, ...given } = flags;
  const path = typeof fileFlag === 'string' ? fileFlag : environment['GKVMESH_CONFIG'];
  const file = path === undefined ? {} : readFile(path);
  const sources = new Map<string, string>();
  const merged: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(file)) {
    merged[name] = value;
    sources.set(name, `${path ?? 'file'}: ${name}`);
  }
  for (const name of configNames) {
    const variable = variableOf(name);
    if (environment[variable] !== undefined) {
      merged[name] = environment[variable];
      sources.set(name, variable);
    }
  }
  for (const [name, value] of Object.entries(given)) {
    merged[name] = value;
    sources.set(name, flagOf(name));
  }
  return checked(merged, sources);
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
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const name = issue?.code === 'unrecognized_keys' ? issue.keys[0] : issue?.path[0];
    const source = sources.get(String(name)) ?? String(name);
    throw new GkvError(
      'bad_config',
      issue?.code === 'unrecognized_keys' ? `${source}: there is no such option` : `${source}: ${issue?.message ?? 'is wrong'}`,
    );
  }
  const { open, meshKey, ...rest } = parsed.data;
  if (!open) throw new GkvError('bad_config', 'start with --open: a mesh whose ports anybody may use. Grants are on their way');
  for (const name of ['listen', 'meshListen'] as const) {
    const { host } = rest[name];
    if (isLoopback(host) || rest.insecurePlaintext) continue;
    throw new GkvError(
      'bad_config',
      `${sources.get(name) ?? name}: ${host} is not loopback, and this release has no authentication and no TLS; --insecure-plaintext waives both`,
    );
  }
  return {
    ...rest,
    open,
    meshId: rest.meshId,
    meshKey: meshKey === undefined ? undefined : readMeshKey(meshKey, sources.get('meshKey') ?? 'meshKey'),
  };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function readMeshKey(path: string, source: string): Uint8Array {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new GkvError('bad_config', `${source}: ${path} cannot be read`, { cause });
  }
  if (!/^[0-9a-f]{64}$/.test(text)) throw new GkvError('bad_config', `${source}: ${path} must hold 64 lower-case hex digits (32 bytes)`);
  return Buffer.from(text, 'hex');
}

/** Load by `wrk`: scripts in its Lua, each of which makes requests of one kind, and its figures. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyPrefix, valueText } from './keys.ts';
import { type Workshop } from './workshop.ts';

/** What one request holds: a key of the first `keys`, drawn at random, in a body of JSON; or 100 sets in one batch. */
export type Load =
  | { readonly kind: 'single'; readonly path: string; readonly keys: number; readonly before: string; readonly after: string }
  | { readonly kind: 'batch'; readonly path: string; readonly keys: 'random' | 'sequential' };

export interface LoadOptions {
  readonly url: string;
  readonly load: Load;
  readonly connections: number;
  readonly seconds: number;
}

export const batchWrites = 100;
let scripts = 0;

/** Requests a second. Throws where an answer was not 2xx, or a connection failed. */
export async function runWrk(workshop: Workshop, dir: string, { url, load, connections, seconds }: LoadOptions): Promise<number> {
  scripts += 1;
  const path = join(dir, `load-${scripts}.lua`);
  writeFileSync(path, `${seeded}${load.kind === 'single' ? single(load) : batch(load)}`);
  const output = await workshop.output('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', path, url]);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
  if (/Non-2xx|Socket errors/.test(output) || Number.isNaN(perSecond)) throw new Error(`wrk on ${url}${load.path}: ${output}`);
  return perSecond;
}

const seeded = `
math.randomseed(os.time() + tonumber(tostring({}):match("0x(%x+)"), 16) % 1000000)
local function post(path, body)
  return "POST " .. path .. " HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nContent-Type: application/json\\r\\nContent-Length: " .. #body .. "\\r\\n\\r\\n" .. body
end
`;

function single({ path, keys, before, after }: Extract<Load, { kind: 'single' }>): string {
  return `
local before, after = ${luaText(`${before}${keyPrefix}`)}, ${luaText(after)}
function request()
  return post("${path}", before .. string.format("%08d", math.random(0, ${keys - 1})) .. after)
end
`;
}

/** Each run of sequential keys starts above those before it; random ones are new all over the key space. */
function batch({ path, keys }: Extract<Load, { kind: 'batch' }>): string {
  const next =
    keys === 'sequential'
      ? `local at, prefix = 0, string.format("seq%05d", os.time() % 100000)
local function key() at = at + 1; return prefix .. string.format("%08d", at) end`
      : `local alphabet, quads = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", {}
for i = 1, 4096 do
  local text = ""
  for _ = 1, 4 do local c = math.random(1, 64); text = text .. alphabet:sub(c, c) end
  quads[i] = text
end
local function quad() return quads[math.random(1, 4096)] end
local function key() return quad() .. quad() .. quad() .. quad() end`;
  return `
${next}
function request()
  local ops = {}
  for i = 1, ${batchWrites} do ops[i] = '{"op":"set","key":"' .. key() .. '","value":"${valueText}"}' end
  return post("${path}", '{"ops":[' .. table.concat(ops, ",") .. ']}')
end
`;
}

function luaText(text: string): string {
  return `'${text}'`;
}

import { z } from 'zod';
import { physicalMsOf, stampFromHex } from '../core/stamp.ts';
import { type JsonObject } from '../client/client.ts';
import { GkvError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { oneLine } from './io.ts';

/** One region. What is null is not known here: of ourselves, or because another instance of the cluster follows it. */
interface MemberLine {
  readonly clusterId: string;
  readonly regionName: string;
  readonly address: string;
  /** The instance that was asked belongs to it. */
  readonly self: boolean;
  readonly connected: boolean | null;
  /** 0: all that it had is here; else since when that was so, also while it is not connected; null: it never was. */
  readonly lagMs: number | null;
  /** Stamp in hex, up to which it has everything; null: nothing heard yet. */
  readonly low: string | null;
  /** Which keys it holds: `**` for all. */
  readonly scope: readonly string[] | null;
  /** It knows of the same members as the instance that was asked. */
  readonly atEpoch: boolean | null;
  /** Its wall clock less that of the instance that was asked, in ms, at its last answer. */
  readonly clockSkewMs: number | null;
  readonly lastError: string | null;
  readonly defects: number | null;
}

const recordSchema = z.object({ clusterId: z.string(), address: z.string(), regionName: z.string() });
const peersSchema = z.object({ peers: z.array(recordSchema) });
const statusSchema = z.object({
  clusterId: z.string(),
  mesh: z
    .object({
      low: z.string(),
      scope: z.array(z.string()),
      epoch: z.string(),
      removed: z.array(z.object({ clusterId: z.string(), settled: z.boolean() })),
      joining: z.array(recordSchema),
      peers: z.array(
        recordSchema.extend({
          followed: z.boolean(),
          connected: z.boolean(),
          lagMs: z.number().nullable(),
          atEpoch: z.boolean(),
          clockSkewMs: z.number().nullable(),
          low: z.string().nullable(),
          scope: z.array(z.string()).nullable(),
          lastError: z.string().nullable(),
          defects: z.number(),
        }),
      ),
    })
    .nullable(),
});

/** What an instance knows of the mesh. */
export interface MembersSeen {
  /** Names who is a member and who was removed; null: it takes no part in a mesh. */
  readonly epoch: string | null;
  readonly members: readonly MemberLine[];
  readonly removed: readonly { readonly clusterId: string; readonly settled: boolean }[];
  /** Being filled, and no members yet. */
  readonly joining: readonly z.infer<typeof recordSchema>[];
}

/** From the answers of /peers and /control/status. Error: `unavailable` where they are none. */
export function describeMembers(peersAnswer: JsonObject, statusAnswer: JsonObject): MembersSeen {
  const peers = peersSchema.safeParse(peersAnswer);
  const status = statusSchema.safeParse(statusAnswer);
  if (!peers.success || !status.success) throw new GkvError('unavailable', 'the answer is of another version of gkvmesh');
  const { clusterId: own, mesh } = status.data;
  const unknown = { connected: null, lagMs: null, clockSkewMs: null, lastError: null, defects: null };
  const members = peers.data.peers.map((record): MemberLine => {
    const self = record.clusterId === own;
    if (self) return { ...record, ...unknown, self, low: told(mesh?.low), scope: mesh?.scope ?? null, atEpoch: true };
    const seen = mesh?.peers.find(({ clusterId }) => clusterId === record.clusterId);
    if (seen?.followed !== true)
      return { ...record, ...unknown, self, low: told(seen?.low), scope: seen?.scope ?? null, atEpoch: seen?.atEpoch ?? null };
    const { connected, lagMs, low, scope, atEpoch, clockSkewMs, lastError, defects } = seen;
    return { ...record, self, connected, lagMs, low: told(low), scope, atEpoch, clockSkewMs, lastError, defects };
  });
  return { epoch: mesh?.epoch ?? null, members, removed: mesh?.removed ?? [], joining: mesh?.joining ?? [] };
}

/** Zero is what is said before everybody was heard. */
function told(low: string | null | undefined): string | null {
  return low === null || low === undefined || /^0+$/.test(low) ? null : low;
}

const heads = ['REGION', 'CLUSTER ID', 'ADDRESS', 'CONNECTED', 'LAG', 'HAS ALL UP TO', 'DEFECTS', 'LAST ERROR'];

/** Lines of columns, and below them the epoch and who was removed. `nowMs`: the wall clock. */
export function memberTable({ epoch, members, removed, joining }: MembersSeen, nowMs: number): string[] {
  const rows = [heads, ...members.map((member) => cells(member, nowMs))];
  const widths = heads.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const table = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const behind = members.filter(({ atEpoch }) => atEpoch !== true).map(({ clusterId }) => clusterId);
  const reached = behind.length === 0 ? 'reached by all' : `not reached by ${behind.join(', ')}`;
  return [
    ...table,
    ...members.flatMap(clockLine),
    ...members.flatMap(partLine),
    ...(epoch === null ? [] : [`epoch ${epoch}: ${reached}`]),
    ...joining.map(joiningLine),
    ...removed.map(removedLine),
  ];
}

/** Of a region whose clock is so far off that writes wait for it. */
function clockLine({ clusterId, clockSkewMs }: MemberLine): string[] {
  if (clockSkewMs === null || Math.abs(clockSkewMs) <= limits.futureMsMax) return [];
  const off = `${(Math.abs(clockSkewMs) / 1_000).toFixed(1)} s ${clockSkewMs > 0 ? 'ahead of' : 'behind'}`;
  return [`${clusterId} has a clock ${off} that of the region that was asked: set right the one that is wrong`];
}

/** Of a region that holds some keys alone. */
function partLine({ clusterId, scope }: MemberLine): string[] {
  return scope === null || scope.includes('**') ? [] : [`${clusterId} holds ${scope.join(' ')}`];
}

function joiningLine({ clusterId, regionName, address }: MembersSeen['joining'][number]): string {
  return `joining ${clusterId} ${oneLine(regionName)} ${oneLine(address)}: it is being filled, and holds the floor back; where it was given up: gkvmesh members remove ${clusterId}`;
}

function removedLine({ clusterId, settled }: MembersSeen['removed'][number]): string {
  return `removed ${clusterId}: ${settled ? 'settled' : 'not settled: it holds the floor back until all members have what any of them had of it'}`;
}

function cells(member: MemberLine, nowMs: number): string[] {
  const { regionName, clusterId, address, self, connected, lagMs, low, defects, lastError } = member;
  const isConnected = self ? 'self' : connected === null ? '-' : connected ? 'yes' : 'no';
  return [
    regionName === '' ? '-' : oneLine(regionName),
    clusterId,
    oneLine(address),
    isConnected,
    lagMs === null ? '-' : `${lagMs} ms`,
    ago(low, nowMs),
    defects === null ? '-' : String(defects),
    lastError === null ? '-' : oneLine(lastError),
  ];
}

function ago(low: string | null, nowMs: number): string {
  return low === null ? '-' : `${(Math.max(0, nowMs - physicalMsOf(stampFromHex(low))) / 1_000).toFixed(1)} s ago`;
}

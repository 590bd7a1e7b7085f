import { fromLatin1, toLatin1 } from '../../../src/core/bytes.ts';
import { compareStamps, stampToHex, type Stamp } from '../../../src/core/stamp.ts';
import { decodeLease, isFree } from '../../../src/replica/leaseRecord.ts';
import { decodeSlot, type SlotRecord } from '../../../src/replica/slot.ts';
import { slotLease } from '../../../src/replica/slots.ts';
import { storeKey, tables } from '../../../src/store/keyspace.ts';
import { type Committed } from '../cluster/database.ts';
import { witnessKey } from '../cluster/jobs.ts';
import { type Region } from '../cluster/region.ts';
import { Violation } from '../kernel/kernel.ts';
import { type Life } from '../kernel/life.ts';

const witness = toLatin1(witnessKey);

/** I8: of two holders of a slot or of a lease one commits. */
export class SlotOracle {
  /** `region/slot/lease` → the process that took the slot under it. */
  readonly #holders = new Map<string, Life>();

  forget(region: number): void {
    for (const name of this.#holders.keys()) if (name.startsWith(`${region}/`)) this.#holders.delete(name);
  }

  /** What the commit's slot had closed before, and has now; undefined for a commit that mints nothing. */
  observe(region: Region, committed: Committed, running: Life | undefined): { before: Stamp; closed: Stamp } | undefined {
    let minted: { before: Stamp; closed: Stamp } | undefined;
    for (const text of committed.keys) {
      if (text.charCodeAt(0) === tables.slot) minted = this.#observeSlot(region, committed, text, running) ?? minted;
      else if (text.charCodeAt(0) === tables.lease) checkLease(region, committed, text);
      else if (text === witness) checkWitness(region, committed);
    }
    return minted;
  }

  #observeSlot(
    region: Region,
    committed: Committed,
    text: string,
    running: Life | undefined,
  ): { before: Stamp; closed: Stamp } | undefined {
    const [was, is] = [committed.before(fromLatin1(text)), committed.after(fromLatin1(text))];
    const where = `region ${region.index}, slot ${(text.charCodeAt(1) << 8) | text.charCodeAt(2)}`;
    if (is === undefined || running === undefined) throw new Violation('I8', `${where} was changed by nobody, or is gone`);
    const after = decodeSlot(is);
    const before = was === undefined ? undefined : decodeSlot(was);
    const name = `${region.index}/${text}/${after.lease}`;
    if (before !== undefined && compareStamps(after.closed, before.closed) < 0) {
      throw new Violation('I8', `${where}: its closed stamp went back from ${stampToHex(before.closed)} to ${stampToHex(after.closed)}`);
    }
    if (before === undefined || after.lease > before.lease) {
      this.#holders.set(name, running);
      return undefined;
    }
    if (isClosing(before, after)) {
      checkFree(where, committed, text);
      return undefined;
    }
    const holder = this.#holders.get(name);
    const problem =
      after.lease < before.lease
        ? `its lease went back from ${before.lease} to ${after.lease}`
        : holder !== running
          ? `${running.name} committed under lease ${after.lease}, which ${holder?.name ?? 'nobody'} took`
          : after.batch <= before.batch
            ? `batch ${after.batch} came after batch ${before.batch}`
            : undefined;
    if (problem !== undefined) throw new Violation('I8', `${where}: ${problem}`);
    return { before: before.closed, closed: after.closed };
  }
}

/** Nothing but the closed stamp has moved: an instance that does not hold the slot may do that, where nobody holds it. */
function isClosing(before: SlotRecord, after: SlotRecord): boolean {
  return before.lease === after.lease && before.batch === after.batch;
}

function checkFree(where: string, committed: Committed, text: string): void {
  const slot = (text.charCodeAt(1) << 8) | text.charCodeAt(2);
  const lease = committed.before(storeKey(tables.lease, Buffer.from(slotLease(slot))));
  if (lease === undefined || !isFree(decodeLease(lease)))
    throw new Violation('I8', `${where} was closed by who does not hold it, while it is held`);
}

function checkLease(region: Region, committed: Committed, text: string): void {
  const [was, is] = [committed.before(fromLatin1(text)), committed.after(fromLatin1(text))];
  const before = was === undefined ? 0 : decodeLease(was).number;
  const after = is === undefined ? 0 : decodeLease(is).number;
  if (after <= before)
    throw new Violation('I8', `region ${region.index}: the number of lease ${text.slice(1)} went from ${before} to ${after}`);
}

/** Work under a lease has left its lease's number there. */
function checkWitness(region: Region, committed: Committed): void {
  const numberIn = (read: Committed['before']): number => Buffer.from(read(witnessKey) ?? Buffer.alloc(8)).readUIntBE(0, 6);
  const [before, after] = [numberIn(committed.before), numberIn(committed.after)];
  if (after < before) {
    throw new Violation('I8', `region ${region.index}: work under lease ${after} committed after work under lease ${before}`);
  }
}

import { type Head } from '../../src/core/entry.ts';
import { GkvError } from '../../src/core/errors.ts';
import { makeStamp, type Stamp } from '../../src/core/stamp.ts';
import { instanceOf } from '../../src/crypto/mesh.ts';
import { type WriteOp } from '../../src/replica/proposal.ts';

/** A stamp of a cluster whose id is 16 bytes of that number. */
export const stampOf = (cluster: number, ms: number): Stamp => makeStamp(ms, 0, instanceOf(new Uint8Array(16).fill(cluster), 1, 0));

/** One key of a store. */
export class OneKey {
  value: Uint8Array = new Uint8Array(0);
  version: Stamp | null = null;
  tries = 0;
  /** Happens behind the next read. */
  meanwhile: (() => void) | undefined;

  get(): Promise<{ value: Uint8Array; exists: boolean; version: Stamp | null }> {
    const { value, version } = this;
    this.meanwhile?.();
    this.meanwhile = undefined;
    return Promise.resolve({ value, exists: version !== null, version });
  }

  candidates(): Promise<readonly Head[]> {
    return Promise.resolve([]);
  }

  write(ops: readonly WriteOp[]): Promise<readonly []> {
    this.tries += 1;
    for (const { expected } of ops) {
      const isMet = expected.kind === 'version' ? expected.version === this.version : expected.kind === 'any' || this.version === null;
      if (!isMet) return Promise.reject(new GkvError('version_mismatch', 'for this test'));
    }
    for (const op of ops) if (op.kind === 'set') this.set(String(Buffer.from(op.value)), stampOf(1, this.tries));
    return Promise.resolve([]);
  }

  set(text: string, version: Stamp | null): void {
    this.value = Buffer.from(text);
    this.version = version;
  }
}

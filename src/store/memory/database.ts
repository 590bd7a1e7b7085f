/** A store in memory with FoundationDB's rules: versions, conflict ranges, versionstamps. Shared by its handles. */
import { EmptyBTree } from 'sorted-btree';
import type sortedBtree from 'sorted-btree';
import { type Bytes, type Row } from '../store.ts';
import { type ReadConflicts, RecentCommits } from '../optimistic/conflicts.ts';
import { type Base, type Order } from '../optimistic/merge.ts';
import { bytesOf, type Text, textOf } from '../optimistic/text.ts';
import { type OpenSnapshot } from '../optimistic/snapshot.ts';
import { Watches } from '../optimistic/watches.ts';
import { versionstamp, type WriteBuffer } from '../optimistic/writeBuffer.ts';

type Tree = InstanceType<typeof sortedBtree.default<Text, Bytes>>;

/**
 * The class itself is the default export of a CommonJS module, which loaders disagree about; its named exports they
 * agree on. The cast says what the package's empty tree of anything will hold; it compares strings by `<`.
 */
const emptyTree = EmptyBTree as Tree;

export class MemoryDatabase {
  readonly watches = new Watches();
  readonly #recent = new RecentCommits();
  readonly #tree: Tree;
  /** The tree as of `#version`; readers of one version share it. */
  #view: TreeView | undefined;
  #version: number;

  /** Empty, or with what another holds now, as a copy of its files would have it. */
  constructor(original?: MemoryDatabase) {
    this.#tree = (original === undefined ? emptyTree : original.#tree).clone();
    this.#version = original === undefined ? 0 : original.#version;
  }

  /** A snapshot of what is committed now, which later commits are checked against until it is closed. */
  open(): OpenSnapshot {
    const version = this.#version;
    this.#recent.begin(version);
    let isClosed = false;
    const close = (): void => {
      if (isClosed) return;
      isClosed = true;
      this.#recent.end(version);
    };
    return { version, base: this.view(), close };
  }

  /** What is committed now, for reads that nothing is checked against. */
  view(): TreeView {
    this.#view ??= new TreeView(this.#tree.clone());
    return this.#view;
  }

  conflicts(reads: ReadConflicts, readVersion: number): boolean {
    return this.#recent.conflict(reads, readVersion);
  }

  /** Applies the writes as the next version, and wakes those who watch them. */
  apply(buffer: WriteBuffer): void {
    const tree = this.#tree;
    this.#version += 1;
    buffer.settle(versionstamp(this.#version, 0), (text) => tree.get(text));
    for (const { start, end } of buffer.cleared.spans) tree.deleteRange(start, end, false);
    for (const [text, { value }] of buffer.writes) {
      if (value === undefined) tree.delete(text);
      else tree.set(text, value);
    }
    this.#view = undefined;
    this.#recent.record(this.#version, buffer);
    this.watches.written(buffer);
  }
}

class TreeView implements Base {
  readonly #tree: Tree;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  get(key: Bytes): Bytes | undefined {
    return this.#tree.get(textOf(key));
  }

  range(start: Bytes, end: Bytes, limit: number, order: Order): Row[] {
    return order === 'forward' ? this.#forward(textOf(start), textOf(end), limit) : this.#reverse(start, end, limit);
  }

  /** Bytes of keys and values in [start, end). */
  bytesIn(start: Bytes, end: Bytes): number {
    let bytes = 0;
    this.#tree.forRange(textOf(start), textOf(end), false, (text, value) => {
      bytes += text.length + value.length;
    });
    return bytes;
  }

  #forward(start: Text, end: Text, limit: number): Row[] {
    const rows: Row[] = [];
    for (const [text, value] of this.#tree.entries(start)) {
      if (rows.length === limit || text >= end) break;
      rows.push({ key: bytesOf(text), value });
    }
    return rows;
  }

  #reverse(start: Bytes, end: Bytes, limit: number): Row[] {
    const rows: Row[] = [];
    const startText = textOf(start);
    for (const [text, value] of this.#tree.entriesReversed(textOf(end), undefined, true)) {
      if (rows.length === limit || text < startText) break;
      rows.push({ key: bytesOf(text), value });
    }
    return rows;
  }
}

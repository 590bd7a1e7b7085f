/** What a bench reports: one row for each figure, with its target where it has one. */

import { type Workshop } from './workshop.ts';

export type Part = 'a' | 'b' | 'c' | 'd' | 'e' | 'f' | 'g' | 'h' | 'i';

interface Target {
  readonly kind: 'atLeast' | 'atMost';
  readonly value: number;
}

export interface Row {
  readonly part: Part;
  readonly name: string;
  /** The median over rounds, where there were several. NaN: not measured, `note` says why. */
  readonly measured: number;
  readonly unit: string;
  readonly target?: Target;
  readonly note?: string;
}

/** Takes rows as they come, so that a run that is cut off has shown what it had. */
type Report = (row: Row) => void;

/** What each part is told. `quick`: small sizes and one round, to see that it works. */
export interface BenchContext {
  readonly quick: boolean;
  readonly report: Report;
  readonly workshop: Workshop;
}

export function isMet({ measured, target }: Row): boolean | undefined {
  if (target === undefined || Number.isNaN(measured)) return undefined;
  return target.kind === 'atLeast' ? measured >= target.value : measured <= target.value;
}

export function formatRow(row: Row): string {
  const { part, name, measured, unit, target, note = '' } = row;
  const met = isMet(row);
  const wanted = target === undefined ? '' : `${target.kind === 'atLeast' ? '≥' : '≤'} ${formatNumber(target.value)}`;
  const verdict = met === undefined ? '' : met ? 'met' : 'NOT MET';
  const figure = Number.isNaN(measured) ? 'skipped' : `${formatNumber(measured)} ${unit}`;
  return `${part}  ${name.padEnd(50)} ${figure.padStart(20)}  ${wanted.padEnd(12)} ${verdict.padEnd(8)} ${note}`.trimEnd();
}

export function jsonRow(row: Row): string {
  const { measured, target, ...rest } = row;
  const wanted = target === undefined ? {} : { target: target.value, targetIs: target.kind, met: isMet(row) };
  return JSON.stringify({ ...rest, measured: Number.isNaN(measured) ? null : measured, ...wanted });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** The value below which this part of them lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;
}

/** The lowest and the highest round, for judging noise. */
export function spread(values: readonly number[]): string {
  return `${formatNumber(Math.min(...values))} to ${formatNumber(Math.max(...values))} in ${values.length} rounds`;
}

function formatNumber(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toFixed(2)));
}

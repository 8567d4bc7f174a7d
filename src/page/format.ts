/** Formats numbers and names for people. */
import type { NamespaceUsage } from '../control/usage.js';
import { containerTitle } from '../model/container.js';

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const rest = value / 1024 ** unit;
  return `${unit === 0 || rest >= 10 ? rest.toFixed(0) : rest.toFixed(1)} ${units[unit]}`;
}

export function count(value: number): string {
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value).toLocaleString('en');
}

export function percent(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} %`;
}

/**
 * Makes text that guests choose safe: invisible characters, and those that change the direction of
 * text, appear as \u{HEX}.
 */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** The pods and containers in a namespace. */
export function containersOf({ containers }: Pick<NamespaceUsage, 'containers'>): string {
  return containers.map((each) => containerTitle(each) || each.id.slice(0, 12)).join(', ');
}

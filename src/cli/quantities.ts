/** Numbers for people, in few characters. */

/** Formats a number with at most six characters: small fractions have one decimal, large numbers a unit. */
export function count(value: number): string {
  if (value < 10 && !Number.isInteger(value)) return value.toFixed(1);
  if (value < 100_000) return value.toFixed(0);
  return scaled(value, 1000, ['k', 'M', 'G', 'T']);
}

export function bytes(value: number): string {
  return value < 1024 ? `${value}B` : scaled(value, 1024, ['K', 'M', 'G', 'T']);
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = -1;
  let rest = value;
  while (rest >= base && unit < units.length - 1) {
    rest /= base;
    unit++;
  }
  return `${rest.toFixed(rest < 10 ? 1 : 0)}${units[unit]}`;
}

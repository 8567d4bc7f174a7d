/** Parsers for arguments of the command line. Each throws InvalidArgumentError, which commander reports. */
import { InvalidArgumentError } from 'commander';

export function hostIdArgument(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) < 1 || Number(text) > 0x7fffffff) {
    throw new InvalidArgumentError('A host id is a number greater than 0.');
  }
  return Number(text);
}

export function count(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) > 0xffffffff) throw new InvalidArgumentError('Not a number.');
  return Number(text);
}

export function pidArgument(text: string): string {
  if (!/^([1-9]\d*|self)$/.test(text)) throw new InvalidArgumentError('Not a process id.');
  return text;
}

/**
 * Converts values of one version of a structure to those of another: member by member, by their
 * names, as the BTF of the two says. New members are zero; those that are gone are left out.
 */
import { type Btf, BtfKind } from './btf.js';

/** A type, and the BTF that it is in. */
export interface Typed {
  readonly btf: Btf;
  readonly type: number;
}

/** Bytes that are copied as they are. */
interface Run {
  readonly from: number;
  readonly to: number;
  length: number;
}

/** Converts values of a type. Made once, used for many values. */
export class Conversion {
  /** Sizes of the values, in bytes. */
  readonly fromSize: number;
  readonly toSize: number;
  readonly #runs: Run[] = [];

  /**
   * @throws RangeError if a member is of another kind, has become narrower, or is an array with fewer elements:
   *   what it holds could be lost
   */
  constructor(from: Typed, to: Typed) {
    this.fromSize = from.btf.size(from.type);
    this.toSize = to.btf.size(to.type);
    this.#plan(from, to, 0, 0, to.btf.name(to.btf.resolve(to.type)));
  }

  /** Writes the converted value over all of `to`. */
  convert(from: Buffer, to: Buffer): void {
    to.fill(0);
    for (const run of this.#runs) from.copy(to, run.to, run.from, run.from + run.length);
  }

  #plan(from: Typed, to: Typed, fromAt: number, toAt: number, path: string): void {
    const kind = kindOf(to);
    if (kindOf(from) !== kind) throw new RangeError(`${path} is of another kind`);
    if (kind === 'structure') this.#planMembers(from, to, fromAt, toAt, path);
    else if (kind === 'array') this.#planElements(from, to, fromAt, toAt, path);
    else this.#copy(fromAt, toAt, scalarLength(from, to, path));
  }

  #planMembers(from: Typed, to: Typed, fromAt: number, toAt: number, path: string): void {
    const earlier = new Map(from.btf.members(from.type).map((member) => [member.name, member]));
    for (const { name, type, offset } of to.btf.members(to.type)) {
      const same = earlier.get(name);
      if (!same) continue;
      const at = `${path}.${name}`;
      this.#plan({ btf: from.btf, type: same.type }, { btf: to.btf, type }, fromAt + same.offset, toAt + offset, at);
    }
  }

  #planElements(from: Typed, to: Typed, fromAt: number, toAt: number, path: string): void {
    const earlier = from.btf.array(from.btf.resolve(from.type));
    const later = to.btf.array(to.btf.resolve(to.type));
    if (earlier.count > later.count) throw new RangeError(`${path} has fewer elements`);
    const [each, its] = [
      { btf: from.btf, type: earlier.element },
      { btf: to.btf, type: later.element },
    ];
    const [fromSize, toSize] = [each.btf.size(each.type), its.btf.size(its.type)];
    for (let i = 0; i < earlier.count; i++) this.#plan(each, its, fromAt + i * fromSize, toAt + i * toSize, path);
  }

  /** Joins what is side by side in both. */
  #copy(from: number, to: number, length: number): void {
    const last = this.#runs.at(-1);
    if (last && last.from + last.length === from && last.to + last.length === to) last.length += length;
    else this.#runs.push({ from, to, length });
  }
}

/** Whether both have the same members: nothing is new, and nothing is left out. Needed of a map's key. */
export function haveSameMembers(from: Typed, to: Typed): boolean {
  const names = ({ btf, type }: Typed): string =>
    kindOf({ btf, type }) === 'structure'
      ? btf
          .members(type)
          .map(({ name }) => name)
          .sort()
          .join()
      : '';
  return names(from) === names(to);
}

function kindOf({ btf, type }: Typed): 'structure' | 'array' | 'scalar' {
  const kind = btf.kind(btf.resolve(type));
  if (kind === BtfKind.struct) return 'structure';
  if (kind === BtfKind.array) return 'array';
  if (kind === BtfKind.int || kind === BtfKind.enum || kind === BtfKind.enum64) return 'scalar';
  throw new RangeError(`values of BTF kind ${kind} cannot be converted`);
}

/** How many bytes to copy. Both architectures are little-endian: a wider member gets the rest as zeros. */
function scalarLength(from: Typed, to: Typed, path: string): number {
  const [length, room] = [from.btf.size(from.type), to.btf.size(to.type)];
  if (length > room) throw new RangeError(`${path} has become narrower`);
  if (length < room && from.btf.isSigned(from.type)) throw new RangeError(`${path} has a sign and has become wider`);
  return length;
}

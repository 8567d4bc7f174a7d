/**
 * Reads BTF, the kernel's type format (Documentation/bpf/btf.rst): the layout of
 * structures by name. Input may come from a guest; anything malformed throws.
 */

const BTF_MAGIC = 0xeb9f;

/** The longest chain of types. A longer one counts as endless. */
const MAX_HOPS = 32;

/** Values of `kind` (include/uapi/linux/btf.h). */
export const BtfKind = {
  int: 1,
  ptr: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  fwd: 7,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  func: 12,
  funcProto: 13,
  var: 14,
  datasec: 15,
  float: 16,
  declTag: 17,
  typeTag: 18,
  enum64: 19,
} as const;

/** The number of bytes after the 12-byte header of a type: fixed, and per `vlen`. They lead to the next type. */
const extra: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  [BtfKind.int]: [4, 0],
  [BtfKind.ptr]: [0, 0],
  [BtfKind.array]: [12, 0],
  [BtfKind.struct]: [0, 12],
  [BtfKind.union]: [0, 12],
  [BtfKind.enum]: [0, 8],
  [BtfKind.fwd]: [0, 0],
  [BtfKind.typedef]: [0, 0],
  [BtfKind.volatile]: [0, 0],
  [BtfKind.const]: [0, 0],
  [BtfKind.restrict]: [0, 0],
  [BtfKind.func]: [0, 0],
  [BtfKind.funcProto]: [0, 8],
  [BtfKind.var]: [4, 0],
  [BtfKind.datasec]: [0, 12],
  [BtfKind.float]: [0, 0],
  [BtfKind.declTag]: [4, 0],
  [BtfKind.typeTag]: [0, 0],
  [BtfKind.enum64]: [0, 12],
};

export interface BtfMember {
  readonly name: string;
  /** The BTF type id of the member. */
  readonly type: number;
  /** The offset from the start of the structure, in bytes. */
  readonly offset: number;
}

/** A parsed BTF blob (not split BTF). */
export class Btf {
  readonly #data: Buffer;
  readonly #strings: Buffer;
  /** The offset in #data of each type's header. Type ids start at 1. */
  readonly #types: number[] = [0];

  /** @throws RangeError if the blob is truncated, is not BTF, or is newer than this reader */
  constructor(data: Buffer) {
    if (data.readUInt16LE(0) !== BTF_MAGIC) throw new RangeError('not BTF: wrong magic');
    const header = data.readUInt32LE(4);
    const typesAt = header + data.readUInt32LE(8);
    const typesEnd = typesAt + data.readUInt32LE(12);
    const stringsAt = header + data.readUInt32LE(16);
    if (typesEnd > data.length) throw new RangeError('BTF types are cut short');
    this.#data = data;
    this.#strings = data.subarray(stringsAt, stringsAt + data.readUInt32LE(20));
    for (let at = typesAt; at < typesEnd; ) {
      this.#types.push(at);
      const info = data.readUInt32LE(at + 4);
      const kind = (info >>> 24) & 0x1f;
      const size = extra[kind];
      if (!size) throw new RangeError(`unknown BTF kind ${kind}`);
      at += 12 + size[0] + size[1] * (info & 0xffff);
    }
  }

  #at(type: number): number {
    const at = this.#types[type];
    if (at === undefined || type === 0) throw new RangeError(`no BTF type ${type}`);
    return at;
  }

  #string(offset: number): string {
    const end = this.#strings.indexOf(0, offset);
    return this.#strings.toString('latin1', offset, end < 0 ? undefined : end);
  }

  kind(type: number): number {
    return type === 0 ? 0 : (this.#data.readUInt32LE(this.#at(type) + 4) >>> 24) & 0x1f;
  }

  name(type: number): string {
    return type === 0 ? '' : this.#string(this.#data.readUInt32LE(this.#at(type)));
  }

  /** The first type of this kind and name, or 0. */
  find(kind: number, name: string): number {
    for (let type = 1; type < this.#types.length; type++) {
      if (this.kind(type) === kind && this.name(type) === name) return type;
    }
    return 0;
  }

  /** `type` without typedefs and qualifiers. */
  resolve(type: number): number {
    let at = type;
    for (let hops = 0; hops < MAX_HOPS; hops++) {
      const kind = this.kind(at);
      const through =
        kind === BtfKind.typedef ||
        kind === BtfKind.volatile ||
        kind === BtfKind.const ||
        kind === BtfKind.restrict ||
        kind === BtfKind.typeTag;
      if (!through) return at;
      at = this.#data.readUInt32LE(this.#at(at) + 8);
    }
    throw new RangeError(`BTF type ${type} does not end`);
  }

  /** The size of an integer, enumeration, structure, pointer or array, in bytes. */
  size(type: number): number {
    let at = this.resolve(type);
    let elements = 1;
    for (let hops = 0; this.kind(at) === BtfKind.array; hops++) {
      if (hops === MAX_HOPS) throw new RangeError(`BTF type ${type} does not end`);
      const array = this.#at(at) + 12;
      elements *= this.#data.readUInt32LE(array + 8);
      at = this.resolve(this.#data.readUInt32LE(array));
    }
    return elements * (this.kind(at) === BtfKind.ptr ? 8 : this.#data.readUInt32LE(this.#at(at) + 8));
  }

  /** Whether an integer or enumeration has a sign. */
  isSigned(type: number): boolean {
    const at = this.#at(this.resolve(type));
    // An integer says it in its encoding, an enumeration in kind_flag.
    if (this.kind(this.resolve(type)) === BtfKind.int) return ((this.#data.readUInt32LE(at + 12) >>> 24) & 1) === 1;
    return this.#data.readUInt32LE(at + 4) >>> 31 === 1;
  }

  /** The type of an array's elements, and their number. */
  array(type: number): { readonly element: number; readonly count: number } {
    const at = this.#at(this.resolve(type)) + 12;
    return { element: this.#data.readUInt32LE(at), count: this.#data.readUInt32LE(at + 8) };
  }

  /** The members of a structure or union, without bit fields. */
  members(type: number): BtfMember[] {
    const at = this.#at(this.resolve(type));
    const info = this.#data.readUInt32LE(at + 4);
    const hasBitfields = info >>> 31 === 1;
    const found: BtfMember[] = [];
    for (let i = 0; i < (info & 0xffff); i++) {
      const member = at + 12 + i * 12;
      const bits = this.#data.readUInt32LE(member + 8);
      if (hasBitfields && bits >>> 24 !== 0) continue;
      found.push({
        name: this.#string(this.#data.readUInt32LE(member)),
        type: this.#data.readUInt32LE(member + 4),
        offset: (hasBitfields ? bits & 0xffffff : bits) / 8,
      });
    }
    return found;
  }

  /** The names and values of an enumeration (of at most 32 bits). */
  enumerators(type: number): Array<readonly [string, number]> {
    const at = this.#at(this.resolve(type));
    const count = this.#data.readUInt32LE(at + 4) & 0xffff;
    return Array.from({ length: count }, (_, i) => {
      const entry = at + 12 + i * 8;
      return [this.#string(this.#data.readUInt32LE(entry)), this.#data.readInt32LE(entry + 4)];
    });
  }

  /** The names of all types of this kind. */
  *names(kind: number): Generator<string> {
    for (let type = 1; type < this.#types.length; type++) if (this.kind(type) === kind) yield this.name(type);
  }

  /** Whether values of this type contain a pointer with a type tag: what the kernel takes for one of its own. */
  hasTaggedPointer(type: number, seen = new Set<number>()): boolean {
    if (type === 0 || seen.has(type)) return false;
    seen.add(type);
    const at = this.#at(type);
    const has = (other: number): boolean => this.hasTaggedPointer(other, seen);
    switch (this.kind(type)) {
      case BtfKind.ptr:
        return this.kind(this.#data.readUInt32LE(at + 8)) === BtfKind.typeTag;
      case BtfKind.array:
        return has(this.#data.readUInt32LE(at + 12));
      case BtfKind.struct:
      case BtfKind.union:
        return this.members(type).some((member) => has(member.type));
      case BtfKind.datasec:
        return this.variables(this.name(type)).some((variable) => has(variable.type));
      case BtfKind.var:
      case BtfKind.typedef:
      case BtfKind.volatile:
      case BtfKind.const:
      case BtfKind.restrict:
      case BtfKind.typeTag:
        return has(this.#data.readUInt32LE(at + 8));
      default:
        return false;
    }
  }

  /** The variables of a section such as ".rodata": name and offset. */
  variables(section: string): BtfMember[] {
    const type = this.find(BtfKind.datasec, section);
    if (type === 0) return [];
    const at = this.#at(type);
    const count = this.#data.readUInt32LE(at + 4) & 0xffff;
    return Array.from({ length: count }, (_, i) => {
      const entry = at + 12 + i * 12;
      const variable = this.#data.readUInt32LE(entry);
      return {
        name: this.name(variable),
        type: this.#data.readUInt32LE(this.#at(variable) + 8),
        offset: this.#data.readUInt32LE(entry + 4),
      };
    });
  }
}

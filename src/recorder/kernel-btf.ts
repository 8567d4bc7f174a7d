/** BTF of the kernel and its modules, which is visible in every namespace. Its number is its host id. */
import { type HostId, hostId, kinds } from '../model/ids.js';
import type { Namespace, Namespaces } from '../model/namespaces.js';
import { getNextId, mapDelete, mapLookup, mapUpdate, withObject } from '../sys/bpf.js';
import { btfInfo } from '../sys/btf-info.js';
import { bpfns_id_key } from '../sys/contract.gen.js';
import type { Budgets } from './budgets.js';
import { u32Key } from './keys.js';

export class KernelBtf {
  /** Told of a namespace in which one has no number, as the budget is used up. */
  onUnnumbered: (namespace: Namespace) => void = () => undefined;
  readonly #ids: number;
  readonly #model: Namespaces;
  readonly #budgets: Budgets;
  readonly #known: HostId[] = [];
  /** The newest BTF id that was looked at. */
  #newest = 0;

  /** @param ids the fd of that map */
  constructor(ids: number, model: Namespaces, budgets: Budgets) {
    this.#ids = ids;
    this.#model = model;
    this.#budgets = budgets;
    this.find();
    // An agent may have died between the creation of a namespace and the last number.
    for (const namespace of model.all().slice(1)) {
      for (const host of this.#known) {
        if (mapLookup(this.#ids, numberKey(namespace.id, host), u32Key(0)) >= 0) model.numberKernelBtf(namespace, host);
        else this.#numberLater(namespace, host);
      }
    }
  }

  /** Looks for more. @returns how many there are */
  find(): number {
    for (let id = getNextId('btf', this.#newest); id > 0; id = getNextId('btf', id)) {
      const info = withObject('btf', id, btfInfo);
      this.#newest = id;
      if (info?.isKernel) this.#known.push(hostId(id));
    }
    return this.#known.length;
  }

  /** Numbers in every namespace what came since, when a module was loaded. */
  update(): void {
    if (getNextId('btf', this.#newest) < 0) return;
    const known = this.#known.length;
    this.find();
    for (const host of this.#known.slice(known)) {
      for (const namespace of this.#model.all().slice(1)) this.#numberLater(namespace, host);
    }
  }

  /** Numbers all that were found, in a new namespace whose budget was charged for them. */
  numberAll(namespace: Namespace): void {
    for (const host of this.#known) this.#number(namespace, host);
  }

  /** Takes the numbers of a namespace that ends back. @returns how many */
  drop({ id, numbers }: Namespace): number {
    let count = 0;
    for (let next = numbers.btf.next(0); next; next = numbers.btf.next(next.id)) {
      mapDelete(this.#ids, numberKey(id, next.id));
      count++;
    }
    return count;
  }

  /** Beyond the budget it has no number there. */
  #numberLater(namespace: Namespace, host: HostId): void {
    if (this.#budgets.charge(namespace, 1)) this.#number(namespace, host);
    else this.onUnnumbered(namespace);
  }

  #number(namespace: Namespace, host: HostId): void {
    if (mapUpdate(this.#ids, numberKey(namespace.id, host), u32Key(host)) < 0) return;
    this.#model.numberKernelBtf(namespace, host);
  }
}

function numberKey(ns: number, id: number): Buffer {
  const key = Buffer.alloc(bpfns_id_key.sizeof);
  key.writeUInt32LE(ns, bpfns_id_key.ns);
  key.writeUInt32LE(kinds.indexOf('btf'), bpfns_id_key.kind);
  key.writeUInt32LE(id, bpfns_id_key.id);
  return key;
}

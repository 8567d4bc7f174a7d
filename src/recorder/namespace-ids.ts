/**
 * The ids of namespaces. None is used twice while the recorder is in place, so that what is left
 * of a namespace that ended, such as the mark of a task, never names another one.
 */
import { type NamespaceId, namespaceId } from '../model/ids.js';
import { mapLookup, mapUpdate } from '../sys/bpf.js';
import { BPFNS_NOWHERE } from '../sys/contract.gen.js';
import { check, E, Refusal } from '../sys/errno.js';
import { u32Key } from './keys.js';

const KEY = u32Key(0);

export class NamespaceIds {
  readonly #fd: number;
  #next: number;

  /** @param fd of the map "next_namespace". @throws SyscallError */
  constructor(fd: number) {
    this.#fd = fd;
    const value = Buffer.alloc(4);
    check(mapLookup(fd, KEY, value), 'bpf', 'cannot read the next id of a namespace');
    this.#next = Math.max(1, value.readUInt32LE(0));
  }

  /** The id that the next namespace will get. */
  get next(): number {
    return this.#next;
  }

  /**
   * A new id, noted in the map before it is used. @throws Refusal ENOSPC once all 4,294,967,294 were used: until
   * the last namespace has ended and the recorder is taken away
   */
  take(): NamespaceId {
    const id = this.#next;
    if (id >= BPFNS_NOWHERE) throw new Refusal(E.ENOSPC, 'create', 'no more namespaces: their ids are used up');
    check(mapUpdate(this.#fd, KEY, u32Key(id + 1)), 'bpf', 'cannot note the next id of a namespace');
    this.#next = id + 1;
    return namespaceId(id);
  }
}

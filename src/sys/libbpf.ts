/**
 * libbpf.so.1: loads CO-RE objects. Functions throw {@link SyscallError} with libbpf's last message, and
 * {@link Refusal} ENOMEM if there is no file descriptor left.
 */
import koffi from 'koffi';
import { E, errnoName, Refusal, SyscallError } from './errno.js';
import { Fd } from './fd.js';
import { runIterator } from './task-iterator.js';

const lib = koffi.load('libbpf.so.1');
const libc = koffi.load('libc.so.6');

const objectOpen = lib.func('bpf_object__open_file', 'void *', ['str', 'void *']) as (
  path: string,
  opts: null,
) => unknown;
const objectLoad = lib.func('bpf_object__load', 'int', ['void *']) as (object: unknown) => number;
const objectClose = lib.func('bpf_object__close', 'void', ['void *']) as (object: unknown) => void;
const findProgram = lib.func('bpf_object__find_program_by_name', 'void *', ['void *', 'str']) as (
  object: unknown,
  name: string,
) => unknown;
const findMap = lib.func('bpf_object__find_map_by_name', 'void *', ['void *', 'str']) as (
  object: unknown,
  name: string,
) => unknown;
const setAutoload = lib.func('bpf_program__set_autoload', 'int', ['void *', 'bool']) as (
  program: unknown,
  on: boolean,
) => number;
const setAttachTarget = lib.func('bpf_program__set_attach_target', 'int', ['void *', 'int', 'str']) as (
  program: unknown,
  fd: number,
  name: string,
) => number;
const programFd = lib.func('bpf_program__fd', 'int', ['void *']) as (program: unknown) => number;
const attach = lib.func('bpf_program__attach', 'void *', ['void *']) as (program: unknown) => unknown;
const attachPerfEvent = lib.func('bpf_program__attach_perf_event', 'void *', ['void *', 'int']) as (
  program: unknown,
  fd: number,
) => unknown;
const KprobeOptions = koffi.struct('bpf_kprobe_multi_opts', {
  sz: 'size_t',
  syms: 'str *',
  addrs: 'void *',
  cookies: 'void *',
  cnt: 'size_t',
  retprobe: 'bool',
});
const attachKprobeMulti = lib.func('bpf_program__attach_kprobe_multi_opts', 'void *', [
  'void *',
  'str',
  koffi.pointer(KprobeOptions),
]) as (program: unknown, pattern: null, options: object) => unknown;
const mapFd = lib.func('bpf_map__fd', 'int', ['void *']) as (map: unknown) => number;
const setPinPath = lib.func('bpf_map__set_pin_path', 'int', ['void *', 'str']) as (
  map: unknown,
  path: string,
) => number;
const reuseFd = lib.func('bpf_map__reuse_fd', 'int', ['void *', 'int']) as (map: unknown, fd: number) => number;
const setInitialValue = lib.func('bpf_map__set_initial_value', 'int', ['void *', 'void *', 'size_t']) as (
  map: unknown,
  value: Buffer,
  size: number,
) => number;
const linkPin = lib.func('bpf_link__pin', 'int', ['void *', 'str']) as (link: unknown, path: string) => number;
const linkFd = lib.func('bpf_link__fd', 'int', ['void *']) as (link: unknown) => number;
const iterCreate = lib.func('bpf_iter_create', 'int', ['int']) as (link: number) => number;
const linkDestroy = lib.func('bpf_link__destroy', 'int', ['void *']) as (link: unknown) => number;

/* libbpf's messages, kept for the error that follows them. */
const Print = koffi.proto('int BpfnsPrint(int level, str format, void *args)');
const setPrint = lib.func('libbpf_set_print', 'void *', [koffi.pointer(Print)]) as (callback: unknown) => unknown;
const format = libc.func('vsnprintf', 'int', ['void *', 'size_t', 'str', 'void *']) as (
  into: Buffer,
  size: number,
  text: string,
  args: unknown,
) => number;
const LIBBPF_DEBUG = 2;
const messages: string[] = [];
const line = Buffer.alloc(256 * 1024); // a verifier log is one message, with the verdict at its end
setPrint(
  koffi.register((level: number, text: string, args: unknown) => {
    if (level === LIBBPF_DEBUG) return 0;
    const length = format(line, line.length, text, args);
    messages.push(line.toString('utf8', 0, Math.min(length, line.length - 1)).trimEnd());
    if (messages.length > 20) messages.shift();
    return 0;
  }, koffi.pointer(Print)),
);

function fail(syscall: string, tried: string, errno = koffi.errno()): never {
  const words = messages.splice(0).filter((text) => text !== '');
  const tail = words.length > 0 ? ` (libbpf: ${words.join('; ').slice(-800)})` : '';
  // As with Fd: it says nothing about what was tried.
  if (errno === E.EMFILE || errno === E.ENFILE) throw new Refusal(E.ENOMEM, syscall, `${tried}: ${errnoName(errno)}`);
  throw new SyscallError(errno, syscall, tried + tail);
}

function needed(result: unknown, syscall: string, tried: string): unknown {
  return result ?? fail(syscall, tried);
}

function succeeded(result: number, syscall: string, tried: string): number {
  return result < 0 ? fail(syscall, tried, -result) : result;
}

/** An attached program. It stays attached while this object, its fd or its pin exists. */
export class Attached {
  readonly #link: unknown;
  constructor(link: unknown) {
    this.#link = link;
  }

  /** Pins the link at a bpffs path. It then stays attached beyond this process. */
  pin(path: string): void {
    succeeded(linkPin(this.#link, path), 'bpf_link__pin', `cannot pin a link at '${path}'`);
  }

  /** Opens a new iterator fd of an iterator link. The caller closes it. */
  iterate(): number {
    return succeeded(iterCreate(linkFd(this.#link)), 'bpf_iter_create', 'cannot create an iterator');
  }

  /** Runs an iterator that writes no output. @throws SyscallError if there is no memory or fd for it */
  runOverAll(): void {
    using iterator = new Fd(this.iterate());
    runIterator(iterator);
  }

  /** Closes this process's handle. The program is detached unless the link is pinned. */
  close(): void {
    linkDestroy(this.#link);
  }
}

/**
 * A BPF object file: open, configure, load, attach. Close it when done; this ends the fds and links
 * that were taken from it.
 */
export class BpfObject {
  readonly #object: unknown;
  readonly #path: string;

  constructor(path: string) {
    messages.length = 0;
    this.#path = path;
    this.#object = needed(objectOpen(path, null), 'bpf_object__open_file', `cannot open '${path}'`);
  }

  #program(name: string): unknown {
    return needed(
      findProgram(this.#object, name),
      'bpf_object__find_program_by_name',
      `no program '${name}' in '${this.#path}'`,
    );
  }

  #map(name: string): unknown {
    return needed(findMap(this.#object, name), 'bpf_object__find_map_by_name', `no map '${name}' in '${this.#path}'`);
  }

  /** Excludes a program from {@link load}. */
  skip(program: string): void {
    setAutoload(this.#program(program), false);
  }

  /** Sets the kernel function to which an fentry or fexit program attaches. */
  target(program: string, kernelFunction: string): void {
    succeeded(
      setAttachTarget(this.#program(program), 0, kernelFunction),
      'bpf_program__set_attach_target',
      `cannot attach '${program}' to ${kernelFunction}`,
    );
  }

  /** Pins the map at `path` when it is loaded, or uses the map that is pinned there already. */
  pinMap(map: string, path: string): void {
    succeeded(setPinPath(this.#map(map), path), 'bpf_map__set_pin_path', `cannot use the pin '${path}'`);
  }

  /** Uses an existing map. Its fd stays the caller's. */
  reuseMap(map: string, fd: number): void {
    succeeded(reuseFd(this.#map(map), fd), 'bpf_map__reuse_fd', `cannot use fd ${fd} as map '${map}'`);
  }

  /** Sets all read-only data of the programs, before {@link load}. */
  setReadOnlyData(data: Buffer): void {
    succeeded(
      setInitialValue(this.#map('.rodata'), data, data.length),
      'bpf_map__set_initial_value',
      `cannot set the read-only data of '${this.#path}'`,
    );
  }

  load(): void {
    succeeded(objectLoad(this.#object), 'bpf_object__load', `cannot load '${this.#path}'`);
  }

  /** This object owns the fd. */
  mapFd(map: string): number {
    return mapFd(this.#map(map));
  }

  /** This object owns the fd. */
  programFd(program: string): number {
    return programFd(this.#program(program));
  }

  attach(program: string): Attached {
    return new Attached(needed(attach(this.#program(program)), 'bpf_program__attach', `cannot attach '${program}'`));
  }

  /** Attaches a program to a perf event. The link takes over the fd. */
  attachPerfEvent(program: string, fd: number): Attached {
    const link = attachPerfEvent(this.#program(program), fd);
    return new Attached(needed(link, 'bpf_program__attach_perf_event', `cannot attach '${program}'`));
  }

  /** Attaches a program of type kprobe.multi to the entry or the return of a kernel function. */
  attachKprobe(program: string, kernelFunction: string, when: 'entry' | 'return'): Attached {
    const options = { sz: koffi.sizeof(KprobeOptions), syms: [kernelFunction], cnt: 1, retprobe: when === 'return' };
    const link = attachKprobeMulti(this.#program(program), null, options);
    const tried = `cannot attach '${program}' to the ${when} of ${kernelFunction}`;
    return new Attached(needed(link, 'bpf_program__attach_kprobe_multi_opts', tried));
  }

  close(): void {
    objectClose(this.#object);
  }
}

/* The verdict on a feature: 1 it is there, 0 it is not, else -errno. Needs CAP_BPF and CAP_PERFMON; without, "not there". */
const probeMap = lib.func('libbpf_probe_bpf_map_type', 'int', ['int', 'void *']) as (
  type: number,
  opts: null,
) => number;
const probeProgram = lib.func('libbpf_probe_bpf_prog_type', 'int', ['int', 'void *']) as (
  type: number,
  opts: null,
) => number;
const probeHelper = lib.func('libbpf_probe_bpf_helper', 'int', ['int', 'int', 'void *']) as (
  programType: number,
  helper: number,
  opts: null,
) => number;

/** Whether the kernel can create maps of a type: 1, 0 or -errno. A caller without CAP_BPF gets 0. */
export function hasMapType(type: number): number {
  return probeMap(type, null);
}

/** Like {@link hasMapType}, for a type of program. */
export function hasProgramType(type: number): number {
  return probeProgram(type, null);
}

/** Like {@link hasMapType}, for a helper function called by programs of that type. */
export function hasHelper(programType: number, helper: number): number {
  return probeHelper(programType, helper, null);
}

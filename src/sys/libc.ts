/**
 * The parts of the C library that are needed. Functions return what the kernel returns: a value >=
 * 0, or -errno. None throws unless its comment says so. Strings are passed as paths, memory as
 * Buffers, which are used only during the call unless a comment says otherwise.
 *
 * Long because it is one list.
 */
import koffi from 'koffi';
import { architecture } from './architecture.js';
import { SyscallError } from './errno.js';

const EMFILE = 24;
const lib = koffi.load('libc.so.6');

/** Set by {@link whenOutOfFds}. */
let makeRoom = (): boolean => false;

/**
 * Calls `make` when this thread finds no file descriptor left (EMFILE). The call is made once more
 * if it returns true.
 */
export function whenOutOfFds(make: () => boolean): void {
  makeRoom = make;
}

type Arg = number | bigint | string | Buffer | null;

function wrap<A extends readonly Arg[]>(
  name: string,
  returns: string,
  types: readonly string[],
): (...args: A) => number {
  const call = lib.func(name, returns, [...types]) as (...args: A) => number;
  return (...args) => {
    const result = call(...args);
    if (result >= 0) return result;
    const errno = koffi.errno();
    if (errno !== EMFILE || !makeRoom()) return -errno;
    const again = call(...args);
    return again < 0 ? -koffi.errno() : again;
  };
}

/** The raw system call, for system calls without a wrapper. Pass 0 for unused arguments. */
const long = 'long';
export const syscall0 = wrap<[number]>('syscall', long, [long]);
export const syscall1 = wrap<[number, number]>('syscall', long, [long, long]);
export const syscall2 = wrap<[number, number, number]>('syscall', long, [long, long, long]);
export const syscall5 = wrap<[number, number, number, number, number, number]>('syscall', long, [
  long,
  long,
  long,
  long,
  long,
  long,
]);

/**
 * The same for what every answer calls: without the list of arguments that wrap() makes. Pointers
 * are addresses (block.ts), which koffi passes on as they are.
 */
const direct3 = lib.func('syscall', long, Array<string>(4).fill(long)) as (...args: number[]) => number;
const direct4 = lib.func('syscall', long, Array<string>(5).fill(long)) as (...args: number[]) => number;
const direct6 = lib.func('syscall', long, Array<string>(7).fill(long)) as (...args: number[]) => number;

export function syscall3(number: number, a: number, b: number, c: number): number {
  const result = direct3(number, a, b, c);
  if (result >= 0) return result;
  const errno = koffi.errno();
  if (errno !== EMFILE || !makeRoom()) return -errno;
  const again = direct3(number, a, b, c);
  return again < 0 ? -koffi.errno() : again;
}

export function syscall4(number: number, a: number, b: number, c: number, d: number): number {
  const result = direct4(number, a, b, c, d);
  return result < 0 ? -koffi.errno() : result;
}

export function syscall6(number: number, a: number, b: number, c: number, d: number, e: number, f: number): number {
  const result = direct6(number, a, b, c, d, e, f);
  return result < 0 ? -koffi.errno() : result;
}

const directPoll = lib.func('poll', 'int', [long, long, 'int']) as (...args: number[]) => number;
const directEpollWait = lib.func('epoll_wait', 'int', ['int', long, 'int', 'int']) as (...args: number[]) => number;

/** @param fds the address of `count` struct pollfd */
export function poll(fds: number, count: number, timeout: number): number {
  const result = directPoll(fds, count, timeout);
  return result < 0 ? -koffi.errno() : result;
}

/** @param events the address of `most` struct epoll_event */
export function epollWait(epoll: number, events: number, most: number, timeout: number): number {
  const result = directEpollWait(epoll, events, most, timeout);
  return result < 0 ? -koffi.errno() : result;
}

/**
 * The argument is a value or an address. Makes no room for an fd: if SECCOMP_IOCTL_NOTIF_ADDFD fails
 * with EMFILE, that is the caller's limit.
 */
export function ioctl(fd: number, command: number, argument: number): number {
  const result = direct3(SYS.ioctl, fd, command, argument);
  return result < 0 ? -koffi.errno() : result;
}

/** For system calls with two pointers: capget(2), capset(2). */
export const syscallBuffers = wrap<[number, Buffer, Buffer]>('syscall', long, [long, 'void *', 'void *']);
export const syscallListLsm = wrap<[number, Buffer, Buffer, number]>('syscall', long, [
  long,
  'void *',
  'void *',
  'uint',
]);
export const syscallBpf = wrap<[number, number, Buffer, number]>('syscall', long, [long, 'int', 'void *', 'uint']);
export const syscallBpfCommon = wrap<[number, number, Buffer, number, null, number]>('syscall', long, [
  long,
  'int',
  'void *',
  'uint',
  'void *',
  'uint',
]);
export const syscallClone3 = wrap<[number, Buffer, number]>('syscall', long, [long, 'void *', long]);
export const syscallSeccomp = wrap<[number, number, number, Buffer | null]>('syscall', long, [
  long,
  'uint',
  'uint',
  'void *',
]);
export const syscallPerfEventOpen = wrap<[number, Buffer, number, number, number, number]>('syscall', long, [
  long,
  'void *',
  'int',
  'int',
  'int',
  'ulong',
]);
export const syscallOpenat2 = wrap<[number, number, Buffer, Buffer, number]>('syscall', long, [
  long,
  'int',
  'void *',
  'void *',
  long,
]);
export const syscallFaccessat2 = wrap<[number, number, string, number, number]>('syscall', long, [
  long,
  'int',
  'str',
  'int',
  'int',
]);
/** getgroups/setgroups of the calling thread alone. libc's functions change every thread. */
export const syscallGroups = wrap<[number, number, Buffer]>('syscall', long, [long, 'int', 'void *']);

export const open = wrap<[string, number]>('open', 'int', ['str', 'int']);
export const openat = wrap<[number, string, number]>('openat', 'int', ['int', 'str', 'int']);
export const close = wrap<[number]>('close', 'int', ['int']);
export const dup = wrap<[number]>('dup', 'int', ['int']);
export const read = wrap<[number, Buffer, number]>('read', long, ['int', 'void *', 'size_t']);
export const fcntl = wrap<[number, number, number]>('fcntl', 'int', ['int', 'int', 'int']);
export const flock = wrap<[number, number]>('flock', 'int', ['int', 'int']);
export const readlink = wrap<[string, Buffer, number]>('readlink', long, ['str', 'void *', 'size_t']);
export const readlinkat = wrap<[number, string, Buffer, number]>('readlinkat', long, [
  'int',
  'str',
  'void *',
  'size_t',
]);
export const processVmReadv = wrap<[number, Buffer, number, Buffer, number, number]>('process_vm_readv', long, [
  'int',
  'void *',
  'ulong',
  'void *',
  'ulong',
  'ulong',
]);
export const mount = wrap<[string, string, string, number, string | null]>('mount', 'int', [
  'str',
  'str',
  'str',
  'ulong',
  'str',
]);
export const syscallFsopen = wrap<[number, string, number]>('syscall', long, [long, 'str', 'uint']);
export const syscallFsconfig = wrap<[number, number, number, string | null, string | null, number]>('syscall', long, [
  long,
  'int',
  'uint',
  'str',
  'str',
  'int',
]);
export const syscallMoveMount = wrap<[number, number, string, number, string, number]>('syscall', long, [
  long,
  'int',
  'str',
  'int',
  'str',
  'uint',
]);
export const umount2 = wrap<[string, number]>('umount2', 'int', ['str', 'int']);
export const renameat2 = wrap<[number, string, number, string, number]>('renameat2', 'int', [
  'int',
  'str',
  'int',
  'str',
  'uint',
]);
export const setns = wrap<[number, number]>('setns', 'int', ['int', 'int']);
export const unshare = wrap<[number]>('unshare', 'int', ['int']);
/** Paths are Buffers that end with a NUL: they need not be UTF-8. */
export const unlinkat = wrap<[number, Buffer, number]>('unlinkat', 'int', ['int', 'void *', 'int']);
export const fchdir = wrap<[number]>('fchdir', 'int', ['int']);
export const chroot = wrap<[string]>('chroot', 'int', ['str']);
export const clockGettime = wrap<[number, Buffer]>('clock_gettime', 'int', ['int', 'void *']);
export const epollCreate1 = wrap<[number]>('epoll_create1', 'int', ['int']);
export const epollCtl = wrap<[number, number, number, Buffer]>('epoll_ctl', 'int', ['int', 'int', 'int', 'void *']);
export const memfdCreate = wrap<[string, number]>('memfd_create', 'int', ['str', 'uint']);
export const write = wrap<[number, Buffer, number]>('write', long, ['int', 'void *', 'size_t']);
export const lseek = wrap<[number, number, number]>('lseek', long, ['int', long, 'int']);
export const prctl = wrap<[number, number, number, number, number]>('prctl', 'int', [
  'int',
  'ulong',
  'ulong',
  'ulong',
  'ulong',
]);
export const prlimit = wrap<[number, number, Buffer | null, Buffer | null]>('prlimit', 'int', [
  'int',
  'int',
  'void *',
  'void *',
]);
export const signal = wrap<[number, number]>('signal', long, ['int', long]);
export const getsockopt = wrap<[number, number, number, Buffer, Buffer]>('getsockopt', 'int', [
  'int',
  'int',
  'int',
  'void *',
  'void *',
]);
export const openByHandleAt = wrap<[number, Buffer, number]>('open_by_handle_at', 'int', ['int', 'void *', 'int']);
export const socket = wrap<[number, number, number]>('socket', 'int', ['int', 'int', 'int']);
export const bind = wrap<[number, Buffer, number]>('bind', 'int', ['int', 'void *', 'uint']);
export const listen = wrap<[number, number]>('listen', 'int', ['int', 'int']);
export const accept4 = wrap<[number, null, null, number]>('accept4', 'int', ['int', 'void *', 'void *', 'int']);
export const sendmsg = wrap<[number, Buffer, number]>('sendmsg', long, ['int', 'void *', 'int']);
export const recvmsg = wrap<[number, Buffer, number]>('recvmsg', long, ['int', 'void *', 'int']);
export const setsockopt = wrap<[number, number, number, Buffer, number]>('setsockopt', 'int', [
  'int',
  'int',
  'int',
  'void *',
  'uint',
]);
export const madvise = wrap<[number, number, number]>('madvise', 'int', [long, 'size_t', 'int']);
const mallopt = wrap<[number, number]>('mallopt', 'int', ['int', 'int']);
export const ftruncate = wrap<[number, number]>('ftruncate', 'int', ['int', long]);
/**
 * Searches this process's PATH like a shell. `argv` and `envp` are arrays of C strings, see {@link
 * cStrings}. Returns only on failure.
 */
export const execvpe = wrap<[Buffer, Buffer, Buffer]>('execvpe', 'int', ['void *', 'void *', 'void *']);
/** The raw call, since libc's wrapper keeps two signals to itself. */
export const rtSigprocmask = wrap<[number, number, Buffer, null, number]>('syscall', long, [
  long,
  'int',
  'void *',
  'void *',
  'size_t',
]);

/** System call numbers. */
export const SYS = architecture.syscalls;

export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const O_DIRECTORY = architecture.directory;
export const W_OK = 2;
export const AT_EACCESS = 0x200;
export const AT_EMPTY_PATH = 0x1000;

/**
 * The address of a Buffer, for pointers in structures. Keep the Buffer referenced as long as the
 * pointer is used.
 */
export function addressOf(buffer: Buffer): bigint {
  return koffi.address(buffer);
}

/** A NULL-terminated array of C strings. Keep the result referenced while C uses it. */
export function cStrings(strings: readonly Buffer[]): { array: Buffer; keep: readonly Buffer[] } {
  const keep = strings.map((text) => Buffer.concat([text, Buffer.alloc(1)]));
  const array = Buffer.alloc((keep.length + 1) * 8);
  keep.forEach((text, index) => {
    array.writeBigUInt64LE(addressOf(text), index * 8);
  });
  return { array, keep };
}

const libcStatx = wrap<[number, string, number, number, Buffer]>('statx', 'int', [
  'int',
  'str',
  'int',
  'uint',
  'void *',
]);
const AT_STATX_DONT_SYNC = 0x4000;

/** Fills a struct statx with what the kernel knows already: a server of the file system is not asked. */
export function statx(fd: number, mask: number, into: Buffer): number {
  return libcStatx(fd, '', AT_EMPTY_PATH | AT_STATX_DONT_SYNC, mask, into);
}

const closeFunction = lib.symbol('close') as bigint;
const pthreadCreate = lib.func('pthread_create', 'int', ['void *', 'void *', 'void *', long]) as (
  thread: Buffer,
  attributes: null,
  start: bigint,
  argument: number,
) => number;
const pthreadTryJoin = lib.func('pthread_tryjoin_np', 'int', [long, 'void *']) as (
  thread: number,
  result: null,
) => number;

/**
 * Calls close(2) on a thread of its own. The number is free as soon as that begins, however long it
 * takes. @returns the thread, to be asked for by {@link hasEnded} until it has; undefined if there
 * can be none now
 */
export function closeOnThread(fd: number): number | undefined {
  const thread = Buffer.alloc(8);
  // close() is its first function: its argument and its result are words on all architectures.
  if (pthreadCreate(thread, null, closeFunction, fd) !== 0) return undefined;
  return Number(thread.readBigUInt64LE());
}

/** Whether a thread has ended. If so, it is forgotten: do not ask again. */
export function hasEnded(thread: number): boolean {
  return pthreadTryJoin(thread, null) === 0;
}

const M_TRIM_THRESHOLD = -1;
/** glibc's own first value, which it raises with each large block that is freed, up to 64 MiB. */
const TRIM_THRESHOLD = 128 * 1024;

/**
 * Has this process give freed memory back to the kernel from now on, whatever it freed before. For
 * processes that stay: loading the recorder takes 14 MiB for a moment.
 */
export function giveFreedMemoryBack(): void {
  mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
}

const mmap = lib.func('mmap', 'void *', ['void *', 'size_t', 'int', 'int', 'int', long]) as (
  ...args: [null, number, number, number, number, number]
) => bigint;
const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/** Maps part of a file for the life of the process. @throws SyscallError */
function map(fd: number, length: number, protection: number, offset: number): Buffer {
  const address = mmap(null, length, protection, MAP_SHARED, fd, offset);
  if (address === MAP_FAILED) throw new SyscallError(koffi.errno(), 'mmap', `cannot map ${length} bytes of fd ${fd}`);
  return Buffer.from(koffi.view(address, length));
}

/**
 * Maps the first `length` bytes of a file, shared with every other process that maps it, for the
 * life of this process. @throws SyscallError
 */
export function mapShared(fd: number, length: number): Buffer {
  return map(fd, length, PROT_READ_WRITE, 0);
}

/** Like {@link mapShared}, from `offset` on and read-only: a write is a fault. */
export function mapReadOnly(fd: number, length: number, offset: number): Buffer {
  return map(fd, length, PROT_READ, offset);
}

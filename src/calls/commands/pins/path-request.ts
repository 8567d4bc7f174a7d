/** What a thread of path-resolver.ts is given, and what it answers. */
import type { Capabilities } from '../../../sys/task.js';

/** A path as a caller names it. */
export interface CallerPath {
  /** The caller's directory in /proc, and a pidfd for its fds. Both are open until the answer. */
  readonly directory: number;
  readonly thread: number;
  /** The path as the caller passed it, without the NUL. */
  readonly path: Uint8Array;
  /** The caller's fd from which a relative path starts; undefined for its working directory. */
  readonly pathFd: number | undefined;
  /** The caller's effective capabilities in the init user namespace. */
  readonly capabilities: Capabilities;
}

export interface OpenPinRequest extends CallerPath {
  /** BPF_OBJ_GET's file_flags. */
  readonly flags: number;
}

export interface SeePathRequest {
  /** As in {@link OpenPinRequest}. */
  readonly directory: number;
  /** A link of uprobes. Open until the answer. */
  readonly link: number;
  /** The bytes for the path; 0: only its length is asked for. */
  readonly room: number;
}

/** The path of a link, as one task sees it. */
export interface SeenPath {
  /** 0 or -errno. */
  readonly result: number;
  /** With the NUL; empty if it was not asked for. */
  readonly path: Uint8Array;
  /** The length of the path, with the NUL, whether it was asked for or not. */
  readonly size: number;
}

/** What a thread is told to do. It answers an {@link OpenPinRequest} with an fd or -errno. */
export type PathRequest = OpenPinRequest | SeePathRequest | UprobeRequest;
export type PathAnswer = number | SeenPath | UprobeAnswer;

export interface Probe {
  readonly offset: number;
  /** Offset of a counter that the kernel keeps above 0 while there is the probe; 0 for none. */
  readonly semaphore: number;
  /** When the function returns that begins there. */
  readonly isReturn: boolean;
}

export interface UprobeRequest extends CallerPath {
  readonly probe: Probe;
  /** The type of the PMU. */
  readonly type: number;
  /** Whether the event is disabled at first. */
  readonly isDisabled: boolean;
  /** The task whose memory gets the breakpoint; -1 for all. */
  readonly pid: number;
  /** A pidfd of that task, open until the answer; -1 for all. */
  readonly pidfd: number;
  /** Whether the caller could kill that task anyway. */
  readonly mayKill: boolean;
  readonly cpu: number;
  /** A cgroup without tasks, open until the answer: an event for all tasks counts those in there. -errno for none. */
  readonly cgroup: number;
}

export interface UprobeAnswer {
  /** An fd, the receiver's to close, or -errno. */
  readonly result: number;
  /** Why we refused it, not the kernel; '' if we did not. */
  readonly refusal: string;
}

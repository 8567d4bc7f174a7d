/** The three answers of a probe. */
import { errnoName } from '../sys/errno.js';

export interface Answer {
  readonly answer: 'yes' | 'no' | 'unknown';
  /** The reason, where it is not obvious; otherwise ''. */
  readonly detail: string;
  /** The kernel has the feature, but a policy (lockdown, Yama, an LSM) denies it even to this caller. */
  readonly isRefused?: boolean;
}

export const yes: Answer = { answer: 'yes', detail: '' };

export function no(detail = ''): Answer {
  return { answer: 'no', detail };
}

export function unknown(detail: string): Answer {
  return { answer: 'unknown', detail };
}

export function refused(detail: string): Answer {
  return { answer: 'no', detail, isRefused: true };
}

/** Converts a verdict of src/sys: 1, 0 or -errno. */
export function fromVerdict(verdict: number): Answer {
  if (verdict > 0) return yes;
  return verdict === 0 ? no() : unknown(errnoName(-verdict));
}

/** unshare(2) with the RFC's flag. */
import { CLONE_NEWBPF_HIGH } from '../../filter/own-command.js';
import { E } from '../../sys/errno.js';
import type { Call, Reply } from '../call.js';
import type { Services } from '../services.js';
import { enterChild } from './child.js';

/**
 * The caller itself moves at once, as in the RFC. Other flags together with ours are refused: they
 * are in a register, which the agent cannot change.
 */
export function unshare(call: Call, services: Services): Reply {
  const { notification } = call;
  if (notification.argument(0) !== 0 || notification.argumentHigh(0) !== CLONE_NEWBPF_HIGH) return -E.EINVAL;
  return enterChild(call, services, { name: '', pinsAny: false });
}

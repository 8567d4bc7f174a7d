/** A worker thread of program-loader.ts: the verifier may take seconds, which the agent has not. */
import { parentPort } from 'node:worker_threads';
import { type PidLayout, readPidLayout } from '../../../sys/pid-layout.js';
import { load } from './load.js';
import type { LoadRequest, WarmUp } from './load-request.js';

let layout: PidLayout | undefined;
const readLayout = (): PidLayout => {
  layout ??= readPidLayout();
  return layout;
};

parentPort?.on('message', (request: LoadRequest | WarmUp) => {
  if (request === 'warm-up') readLayout();
  else parentPort?.postMessage(load(request, readLayout));
});

/** All engines that can run here. */
import { isSlow } from '../../support/slowness.js';
import { crun, crunByAnnotation, runc } from './bundle.js';
import { ctrClient } from './containerd.js';
import { cri } from './cri.js';
import { dockerAlone } from './docker.js';
import type { Engine } from './engine.js';
import { podmanAlone, podmanPod } from './podman.js';

/** Its root is downloaded, and larger than what the machines of `make test-vm` have room for. */
const downloaded: readonly Engine[] = isSlow ? [] : [dockerAlone];

export const engines: readonly Engine[] = [
  runc,
  crun,
  crunByAnnotation,
  podmanAlone,
  podmanPod,
  ctrClient,
  cri,
  ...downloaded,
];

/** All engines that can run here. */
import { crun, crunByAnnotation, runc } from './bundle.js';
import { ctrClient } from './containerd.js';
import { cri } from './cri.js';
import { dockerAlone } from './docker.js';
import type { Engine } from './engine.js';
import { podmanAlone, podmanPod } from './podman.js';

export const engines: readonly Engine[] = [
  runc,
  crun,
  crunByAnnotation,
  podmanAlone,
  podmanPod,
  ctrClient,
  cri,
  dockerAlone,
];

/** Makes a root file system and an image from this machine's own binaries: nothing is pulled. */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { guestPath, run } from '../../support/host.js';

export const imageName = 'localhost/bpfns-test:1';
/** The same image under another name: a container of it keeps a pod's namespaces open in containerd. */
export const pauseImageName = 'localhost/bpfns-pause:1';
/** Where every container has its own bpffs. */
export const pinMount = '/pins';

/** How long containers sleep: a number that only this test file uses, to recognise them. */
export const sleepSeconds = String(1_000_000 + process.pid);

const applets = ['sh', 'sleep', 'cat', 'id', 'grep', 'true', 'mkfifo'];
const guests = ['commands', 'attach', 'interrupted', 'preempted'];
const binaries = ['/usr/sbin/bpftool', ...guests.map(guestPath)];

/** Fills an empty directory. */
export function makeRoot(root: string): void {
  for (const directory of ['bin', 'proc', 'sys', 'dev', 'tmp', 'run', 'etc', 'root', pinMount.slice(1)]) {
    mkdirSync(`${root}/${directory}`, { recursive: true });
  }
  copyFileSync('/bin/busybox', `${root}/bin/busybox`);
  for (const applet of applets) symlinkSync('busybox', `${root}/bin/${applet}`);
  for (const binary of binaries) addBinary(root, binary);
  writeFileSync(`${root}/etc/passwd`, 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(`${root}/etc/group`, 'root:x:0:\n');
}

/** Adds a program as /bin/NAME, and the libraries that ld.so loads for it. */
function addBinary(root: string, binary: string): void {
  copyFileSync(binary, `${root}/bin/${basename(binary)}`);
  for (const [library = ''] of run(['ldd', binary]).stdout.matchAll(/\/\S+/g)) {
    mkdirSync(dirname(root + library), { recursive: true });
    copyFileSync(realpathSync(library), root + library);
  }
}

/** Makes a tar file in the format of `docker save`, which podman and containerd read. */
export function makeImage(root: string, tar: string): void {
  const parts = mkdtempSync(`${dirname(tar)}/image-`);
  run(['tar', '-C', root, '--sort=name', '--mtime=@0', '-cf', `${parts}/layer.tar`, '.']);
  const digest = createHash('sha256')
    .update(readFileSync(`${parts}/layer.tar`))
    .digest('hex');
  const config = {
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['/bin/sleep', sleepSeconds], Env: ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  const manifest = [{ Config: 'config.json', RepoTags: [imageName, pauseImageName], Layers: ['layer.tar'] }];
  writeFileSync(`${parts}/config.json`, JSON.stringify(config));
  writeFileSync(`${parts}/manifest.json`, JSON.stringify(manifest));
  run(['tar', '-C', parts, '-cf', tar, 'manifest.json', 'config.json', 'layer.tar']);
  rmSync(parts, { recursive: true });
}

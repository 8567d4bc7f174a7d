/** A root file system and an image made of this machine's own binaries: nothing is pulled. */
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
/** The same image again: containerd holds a pod's namespaces open with a container of this name. */
export const pauseImageName = 'localhost/bpfns-pause:1';
/** Where every container finds a bpffs of its own. */
export const pinMount = '/pins';

/** What containers sleep for: this test file's alone, so that they are told from others. */
export const sleepSeconds = String(1_000_000 + process.pid);

const applets = ['sh', 'sleep', 'cat', 'id', 'grep', 'true', 'mkfifo'];
const binaries = ['/usr/sbin/bpftool', guestPath('commands'), guestPath('attach')];

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

/** A program as /bin/NAME, and what ld.so would load for it. */
function addBinary(root: string, binary: string): void {
  copyFileSync(binary, `${root}/bin/${basename(binary)}`);
  for (const [library = ''] of run(['ldd', binary]).stdout.matchAll(/\/\S+/g)) {
    mkdirSync(dirname(root + library), { recursive: true });
    copyFileSync(realpathSync(library), root + library);
  }
}

/** A tar file as `docker save` writes it, which podman and containerd read. */
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

/** Boots a kernel under qemu. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

export interface Boot {
  readonly image: string;
  readonly initramfs: string;
  /** The kernel's messages are kept in this file. */
  readonly log: string;
  readonly timeoutSeconds: number;
  /** Called with what the guest prints, as it comes. */
  readonly show: (text: string) => void;
}

export interface Booted {
  readonly output: string;
  readonly kernelLog: string;
  /** How it came to a bad end, if it did. */
  readonly problems: readonly string[];
}

const MEMORY = '3G';

/**
 * No KVM: it is not everywhere, and emulation is slow rather than different. A panic ends
 * the machine at once; stalls are given more time than on a machine of their own. The
 * emulated TSC is the host's and a good clock, but looks unstable to the kernel, which would
 * take a slow one. Retpolines and a fifth level of page tables only cost time here.
 */
const kernelArguments = [
  'console=ttyS0 ignore_loglevel panic=-1 oops=panic watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120',
  'tsc=reliable spectre_v2=off retbleed=off rdinit=/init',
].join(' ');

/** Runs /etc/run of the initramfs to its end; a panic or the time limit ends it too. */
export async function boot(options: Boot): Promise<Booted> {
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ...['-accel', 'tcg,thread=single', '-cpu', 'max,la57=off', '-smp', '2', '-m', MEMORY],
      ...['-kernel', options.image, '-initrd', options.initramfs, '-append', kernelArguments],
      ...['-display', 'none', '-monitor', 'none', '-nic', 'none', '-no-reboot'],
      ...['-serial', `file:${options.log}`, '-serial', 'stdio'],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const kill = (): void => void qemu.kill('SIGKILL');
  process.once('exit', kill);
  const problems: string[] = [];
  const timer = setTimeout(() => {
    problems.push(`no end within ${options.timeoutSeconds} s`);
    kill();
  }, options.timeoutSeconds * 1000);
  let output = '';
  const decoder = new StringDecoder('utf8');
  qemu.stdout.on('data', (chunk: Buffer) => {
    const part = decoder.write(chunk);
    output += part;
    options.show(part);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    qemu.on('error', reject);
    qemu.on('close', resolve);
  });
  clearTimeout(timer);
  process.removeListener('exit', kill);
  if (code !== 0) problems.push(`qemu ended with ${code}`);
  return { output, kernelLog: readFileSync(options.log, 'utf8'), problems };
}

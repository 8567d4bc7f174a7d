/** Boots a kernel under qemu. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import type { Machine } from './machines.js';

export interface Boot {
  readonly machine: Machine;
  readonly image: string;
  readonly initramfs: string;
  /** The kernel's messages are written to this file. */
  readonly log: string;
  readonly timeoutSeconds: number;
  /** In qemu's notation, such as '3G'. It also holds the root file system. */
  readonly memory: string;
  /** Called with the guest's output as it arrives. */
  readonly show: (text: string) => void;
}

export interface Booted {
  readonly output: string;
  readonly kernelLog: string;
  /** What went wrong, if something did. */
  readonly problems: readonly string[];
}

/**
 * No KVM, which is not available everywhere; emulation is slower, but not different. A panic ends the
 * machine at once. Stall warnings come later than on real hardware. Arguments with a value that the
 * kernel does not know become environment variables of /init.
 */
const kernelArguments =
  'ignore_loglevel panic=-1 oops=panic watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120 rdinit=/init';

/** Runs /etc/run of the initramfs until it ends, the kernel panics, or the time limit is reached. */
export async function boot(options: Boot): Promise<Booted> {
  const { machine } = options;
  const append = `console=${machine.console} ${kernelArguments} ${machine.kernelArguments} BPFNS_TTY=${machine.tty}`;
  const qemu = spawn(
    machine.qemu,
    [
      // With a thread for each CPU, 2 of 11 boots of 7.3 ended in "Oops: int3" while the kernel patched itself.
      ...['-accel', 'tcg,thread=single', '-smp', '2', '-m', options.memory],
      ...['-kernel', options.image, '-initrd', options.initramfs, '-append', append],
      ...['-display', 'none', '-monitor', 'none', '-nic', 'none', '-no-reboot'],
      ...['-chardev', `file,id=console,path=${options.log}`, '-chardev', 'stdio,id=output'],
      ...machine.arguments,
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

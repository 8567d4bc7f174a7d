/** Boots a kernel under qemu and judges what it says. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
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

export interface Result {
  readonly passed: number;
  readonly failed: number;
  /** What went wrong besides failed tests. */
  readonly problems: readonly string[];
}

const MEMORY = '3G';

/**
 * No KVM: it is not everywhere, and emulation is slow rather than different. A panic ends
 * the machine at once; stalls are given more time than on a machine of their own.
 */
const kernelArguments =
  'console=ttyS0 ignore_loglevel panic=-1 oops=panic watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120 rdinit=/init';

/** Runs /etc/run of the initramfs to its end; a panic or the time limit ends it too. */
export async function boot(options: Boot): Promise<Result> {
  mkdirSync('build/vm/logs', { recursive: true });
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', MEMORY],
      ...['-kernel', options.image, '-initrd', options.initramfs, '-append', kernelArguments],
      ...['-display', 'none', '-monitor', 'none', '-nic', 'none', '-no-reboot'],
      ...['-serial', `file:${options.log}`, '-serial', 'stdio'],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const problems: string[] = [];
  const timer = setTimeout(() => {
    problems.push(`no end within ${options.timeoutSeconds} s`);
    qemu.kill('SIGKILL');
  }, options.timeoutSeconds * 1000);
  let text = '';
  const decoder = new StringDecoder('utf8');
  qemu.stdout.on('data', (chunk: Buffer) => {
    const part = decoder.write(chunk);
    text += part;
    options.show(part);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    qemu.on('error', reject);
    qemu.on('close', resolve);
  });
  clearTimeout(timer);
  if (code !== 0) problems.push(`qemu ended with ${code}`);
  return judge(text, readFileSync(options.log, 'utf8'), problems);
}

/** Lines by which a kernel says that something is wrong with itself. */
const complaint =
  /\b(WARNING: (CPU|possible|suspicious|inconsistent|held|bad)|BUG:|Oops\b|Kernel panic|general protection fault|INFO: task .* blocked|INFO: rcu|rcu: INFO|possible recursive locking|unregister_netdevice: waiting|UBSAN:|KASAN:|soft lockup|scheduling while atomic)/;

function judge(text: string, kernelLog: string, earlier: readonly string[]): Result {
  const problems = [...earlier];
  const status = /^status (\d+)$/m.exec(text)?.[1];
  const counts = [...text.matchAll(/^(\d+) passed, (\d+) failed/gm)].at(-1);
  const passed = Number(counts?.[1] ?? 0);
  const failed = Number(counts?.[2] ?? 0);
  if (status === undefined) problems.push('the guest has not told its exit status');
  else if (status !== '0' && failed === 0) problems.push(`exit status ${status}`);
  if (passed === 0) problems.push('no test has passed');
  for (const line of kernelLog.split('\n')) if (complaint.test(line)) problems.push(`kernel: ${line.trim()}`);
  return { passed, failed, problems };
}

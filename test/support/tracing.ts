/** What the tests of tracing share: users with CAP_BPF alone, and bpftrace's output. */
import { bpfnsPath, type Guest, start } from './host.js';

/** CAP_BPF and nothing else: bpftrace wants uid 0, which counts for nothing without capabilities. */
export const rootWithBpfAlone: readonly string[] = ['setpriv', '--bounding-set=-all,+bpf', '--inh-caps=-all,+bpf'];
export const nobodyWithBpfAlone: readonly string[] = [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--bounding-set=-all,+bpf',
  '--inh-caps=-all,+bpf',
  '--ambient-caps=-all,+bpf',
];

/** With CAP_PERFMON, too: what tracing=filtered is for. */
export const rootWithPerfmon: readonly string[] = [
  'setpriv',
  '--bounding-set=-all,+bpf,+perfmon',
  '--inh-caps=-all,+bpf,+perfmon',
];

/**
 * Ends bpftrace, whose pid is in $tracer. Before 0.18 it goes on for ever after a SIGINT that does not interrupt its
 * epoll_wait(2). A SIGUSR1 interrupts it too; at most the maps are printed twice.
 */
export const endTracer = `kill -INT $tracer 2>/dev/null || true
    while kill -USR1 $tracer 2>/dev/null; do sleep 0.1; done
    wait $tracer`;

/** Said by a timer of the script once it runs. */
const READY = 'interval:ms:200 /@ready == 0/ { printf("ready\\n"); @ready = 1; }';

/**
 * A namespace with tracing=own in which bpftrace runs a script, which prints its maps when the guest is
 * stopped. `beside` is a command of the shell there: asked for by a line, it ends with the line `done`.
 */
export function startBpftrace(
  script: string,
  options: { beside?: string; before?: readonly string[]; mode?: 'own' | 'filtered' } = {},
): Promise<Guest> {
  const shell = `
    bpftrace -e "$SCRIPT" 2>&1 &
    tracer=$!
    ${options.beside === undefined ? '' : `read -r _; ${options.beside}; echo done`}
    read -r _ || true
    ${endTracer}`;
  const { mode = 'own' } = options;
  const user = mode === 'own' ? rootWithBpfAlone : rootWithPerfmon;
  const command = [bpfnsPath, 'run', `--tracing=${mode}`, '--', ...user, 'sh', '-c', shell];
  return start([...(options.before ?? []), ...command], { SCRIPT: `${script} ${READY}` });
}

/** Maps as bpftrace prints them: "@[comm]: 5". */
export function counts(output: string): Record<string, number> {
  const found = [...output.matchAll(/^@\[(.*)\]: (\d+)$/gm)];
  return Object.fromEntries(found.map(([, key = '', count]) => [key, Number(count)]));
}

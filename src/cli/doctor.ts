/** `bpfns doctor`: what this machine supports, what is missing, and what follows from that. */
import { existsSync } from 'node:fs';
import { arch, release } from 'node:os';
import { paths } from '../config/paths.js';
import type { StatusReply } from '../control/protocol.js';
import { type Answer, type Feature, features } from '../kernel/features.js';
import { perfEventAdvice, perfEventParanoid } from '../kernel/perf-events.js';
import { measureTracepointCost } from '../kernel/tracepoint-cost.js';
import { type TracingMode, tracingModes } from '../model/namespaces.js';
import { type Backend, mayMiss } from '../recorder/hooks.js';
import { Recorder } from '../recorder/recorder.js';
import { installedEngines } from './engines.js';
import { agentStatus } from './host-view.js';
import { json, table } from './output.js';

export interface Diagnosis {
  readonly text: string;
  /** Whether `run` works. */
  readonly isReady: boolean;
}

interface Examined extends Answer {
  readonly feature: Feature;
}

const NOT_RUNNING = 'not running; it starts on demand';
const NOT_ASKED = 'only root, or a member of the read-only group, can ask it';

/** Tries every feature that bpfns uses. Leaves nothing behind. */
export async function doctor(asJson: boolean): Promise<Diagnosis> {
  const isRoot = process.geteuid?.() === 0;
  const examined = isRoot ? features.map((feature) => ({ feature, ...feature.probe() })) : [];
  const missing = examined.filter(({ feature, answer }) => feature.required && answer !== 'yes');
  const agent = (await agentStatus()) ?? null;
  const tried = isRoot && missing.length === 0 ? chooseRecorder(agent) : null;
  const recorder = tried && 'backend' in tried ? tried : null;
  const isReady = recorder !== null;
  const engines = installedEngines();
  const modes = isRoot ? tracingModesHere(examined) : [];
  if (asJson) {
    const kernel = { release: release(), arch: arch() };
    const hasThirdCopy = agent !== null && existsSync(paths.service);
    const found = examined.map(({ feature: { name, since, usedFor, without, required }, answer, detail }) => {
      return { name, since, usedFor, without, required, answer, detail };
    });
    return {
      isReady,
      text: json({
        ready: isReady,
        kernel,
        recorder,
        agent,
        listenersKeptByServiceManager: hasThirdCopy,
        perfEventParanoid: perfEventParanoid() ?? null,
        tracing: modes,
        features: found,
        engines,
      }),
    };
  }
  const perfAdvice = perfEventAdvice(perfEventParanoid());
  const lines = [
    `Linux ${release()}, ${arch()}, Node ${process.version}`,
    '',
    ...(isRoot ? [featureTable(examined), ''] : []),
    ...(recorder ? [`recorder: ${recorder.backend} hooks; ${recorder.cost}`] : []),
    ...(recorder?.misses ? [`recorder: ${recorder.misses}`] : []),
    ...modes.map(({ mode, missing: lacks }) => {
      return `tracing=${mode}: ${lacks.length === 0 ? `works here; ${MODES[mode].means}` : `does not work here: ${lacks.join('; ')}`}`;
    }),
    `agent: ${agent ? `running, pid ${agent.pid}, ${agent.namespaces - 1} namespaces` : isRoot ? NOT_RUNNING : NOT_ASKED}`,
    ...(agent && agent.lostObjects + agent.lostTasks > 0
      ? [
          `agent: ${agent.lostObjects} objects could not be recorded and belong to init; ${agent.lostTasks} tasks could not be marked and are in no namespace`,
        ]
      : []),
    ...(agent && agent.missedCalls + agent.missedForks > 0
      ? [
          `agent: its hooks missed up to ${agent.missedCalls} calls of bpf(2), whose creations belong to init, and ${agent.missedForks} forks`,
        ]
      : []),
    ...(agent ? [`listeners: ${listenerCopies()}`] : []),
    ...(perfAdvice === undefined ? [] : [`perf events: ${perfAdvice}`]),
    ...budgetNotes(agent),
    ...engines.map(({ name, version, advice }) => `${name} ${version}: ${advice.join('; ')}`),
    '',
    ...verdict(isRoot, missing, tried && 'failure' in tried ? tried.failure : undefined),
  ];
  return { isReady, text: lines.join('\n') };
}

/** Namespaces that wanted more than their budget. */
function budgetNotes(agent: StatusReply | null): string[] {
  return (agent?.budgets ?? [])
    .filter(({ unowned }) => unowned > 0)
    .map(
      ({ path, unowned, objects, maxObjects, numbers, maxNumbers }) =>
        `namespace '${path}': ${unowned} objects were created beyond its budget and belong to init ` +
        `(now ${objects} of ${maxObjects} objects, ${numbers} of ${maxNumbers} ids; see [limits] in bpfns.conf(5))`,
    );
}

function featureTable(examined: readonly Examined[]): string {
  return table(
    [
      { title: 'HERE', value: ({ answer }) => answer },
      { title: 'SINCE', align: 'right', value: ({ feature }) => feature.since },
      { title: 'FEATURE', value: ({ feature }) => feature.name },
      {
        title: 'NOTE',
        value: ({ feature, answer, detail }) =>
          answer === 'yes' ? feature.usedFor : [detail, feature.without].filter((text) => text !== '').join('; '),
      },
    ],
    examined,
  );
}

interface Chosen {
  readonly backend: Backend;
  readonly cost: string;
  /** When its hooks can miss what they are for; null: never. */
  readonly misses: string | null;
}

/** The recorder's hooks, what they cost and miss. Tries them if no agent uses them now. */
function chooseRecorder(agent: StatusReply | null): Chosen | { failure: string } {
  try {
    const backend = agent?.backend ?? Recorder.rehearse();
    return { backend, cost: costOf(backend), misses: mayMiss(backend) ? MISSES : null };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

interface ModeHere {
  readonly mode: TracingMode;
  /** What the kernel lacks for it. */
  readonly missing: readonly string[];
}

/** What each mode means, and the features that it needs besides those that are required. */
const MODES: Readonly<Record<TracingMode, { readonly means: string; readonly needs: readonly string[] }>> = {
  host: { means: 'a guest with CAP_PERFMON traces the whole machine', needs: [] },
  own: {
    means: 'a guest with CAP_BPF alone traces its own tasks',
    needs: ['system call tracepoints', "stack use in the verifier's log"],
  },
  filtered: { means: 'a guest with CAP_PERFMON sees its own tasks; no wall', needs: [] },
  none: { means: 'no guest traces', needs: [] },
};

function tracingModesHere(examined: readonly Examined[]): ModeHere[] {
  return tracingModes.map((mode) => {
    const lacks = examined.filter(
      ({ feature, answer }) => answer !== 'yes' && (feature.required || MODES[mode].needs.includes(feature.name)),
    );
    return {
      mode,
      missing: lacks.map(({ feature, detail }) => `${feature.name} (Linux ${feature.since}): ${detail || 'missing'}`),
    };
  });
}

const MISSES =
  'this kernel may preempt tasks inside itself: then these hooks miss creations and forks at times. ' +
  "They do not with preempt=voluntary, or with 'bpf' in lsm= and Linux 6.14 (CONFIG_FPROBE)";

function costOf(backend: Backend): string {
  if (backend !== 'tracepoint') return 'only bpf(2) takes longer';
  const cost = measureTracepointCost();
  const measured = cost === undefined ? '' : ` (${cost} ns, measured now)`;
  return `every system call of the machine takes longer while there is a namespace${measured}`;
}

/** Who has them, so that calls survive the death of the others. */
function listenerCopies(): string {
  const two = 'the agent and its supervisor have them';
  return existsSync(paths.service)
    ? `${two}, and the service manager's fd store, so that calls survive the death of both`
    : `${two}; with packaging/systemd/bpfns.service systemd would too: if both are killed at once, trapped calls give ENOSYS`;
}

function verdict(isRoot: boolean, missing: readonly Examined[], failure: string | undefined): string[] {
  if (!isRoot) return ['Run it as root: most features can be tried only by root.'];
  if (failure !== undefined)
    return ["'bpfns run' does not work here: the recorder cannot be put in place", `  ${failure}`];
  if (missing.length === 0) return ["'bpfns run' works here."];
  return [
    "'bpfns run' does not work here:",
    ...missing.map(
      ({ feature, detail }) => `  ${feature.name}, in Linux since ${feature.since}: ${detail || 'missing'}`,
    ),
  ];
}

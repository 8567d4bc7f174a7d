/**
 * A thread of the agent that examines every object of the host while somebody asks for it. It is a
 * thread, since 20,000 objects take longer than a guest's call may wait.
 */
import { parentPort } from 'node:worker_threads';
import type { NamespaceCost, NamespaceUsage, ObjectUsage, Usage } from '../control/usage.js';
import { readProcesses } from '../host/namespaces.js';
import { Inspector } from '../recorder/inspector.js';
import { type AgentView, type Job, monotonicMs, type Outcome, type Results, type UsageJob } from './jobs.js';
import { objectReport, reportLines } from './reports.js';
import { Samples } from './samples.js';
import { shortened } from './shortened.js';
import { isCounting, Survey, withTasks } from './survey.js';

const survey = new Survey();
const samples = new Samples();
/** Loaded while somebody gets samples: to load it for each would take longer than the rest. */
const inspector = new Inspector();
const subscribers = new Set<number>();
let lookedAt = Number.NEGATIVE_INFINITY;

/** @param since an earlier look does not do */
function look(since: number): void {
  if (lookedAt >= since) return;
  lookedAt = monotonicMs();
  survey.look();
}

function costs({ calls }: AgentView): NamespaceCost[] {
  return survey.namespaces().map((namespace) => {
    const { calls: answered = 0, refused = 0 } = calls.get(namespace.id) ?? {};
    return { ...namespace, calls: answered, refused };
  });
}

function namespaces(view: AgentView): NamespaceUsage[] {
  const found = costs(view);
  return withTasks(found, found.length > 1 ? readProcesses(inspector) : []);
}

function usage({ view, programs: most }: UsageJob): Usage {
  const programs: ObjectUsage[] = [];
  if (most > 0) {
    for (const object of survey.objects()) {
      if (object.kind === 'prog' && programs.push(object) === most) break;
    }
  }
  return { counting: view.counting || isCounting(), namespaces: costs(view), programs };
}

function run(job: Job): Results[keyof Results] {
  switch (job.op) {
    case 'sample': {
      const { view, subscriber, objects, since } = job;
      subscribers.add(subscriber);
      look(since);
      const counting = view.counting || isCounting();
      return samples.lines(subscriber, objects, { counting, namespaces: namespaces(view), objects: survey.objects() });
    }
    case 'usage':
      look(job.since);
      return usage(job);
    case 'who': {
      const report = objectReport(job.kind, job.hostId);
      return report && shortened(report);
    }
    case 'report':
      return reportLines(job.request);
    case 'forget':
      samples.forget(job.subscriber);
      subscribers.delete(job.subscriber);
      if (subscribers.size === 0) inspector.close();
      return undefined;
  }
}

parentPort?.on('message', (job: Job) => {
  let outcome: Outcome;
  try {
    outcome = { result: run(job) };
  } catch (error) {
    outcome = { failure: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(outcome);
});

/**
 * A thread of the agent that examines every object of the host while somebody asks for it. It is a
 * thread, since 20,000 objects take longer than a guest's call may wait.
 */
import { parentPort } from 'node:worker_threads';
import type { NamespaceUsage, ObjectUsage, Usage } from '../control/usage.js';
import { objectReport } from '../host/report.js';
import type { AgentView, Job, Numbered, Outcome, Results, UsageJob } from './jobs.js';
import { Samples } from './samples.js';
import { isCounting, Survey } from './survey.js';

/** Requests within this many ms share one look. */
const FRESH = 100;

const survey = new Survey();
const samples = new Samples();
let lookedAt = Number.NEGATIVE_INFINITY;

function look(): void {
  if (performance.now() - lookedAt < FRESH) return;
  survey.look();
  lookedAt = performance.now();
}

function namespaces({ calls }: AgentView): NamespaceUsage[] {
  return survey.namespaces().map((namespace) => {
    const { calls: answered = 0, refused = 0 } = calls.get(namespace.id) ?? {};
    return { ...namespace, calls: answered, refused };
  });
}

function usage({ view, programs: most }: UsageJob): Usage {
  const programs: ObjectUsage[] = [];
  if (most > 0) {
    for (const object of survey.objects()) {
      if (object.kind === 'prog' && programs.push(object) === most) break;
    }
  }
  return { counting: view.counting || isCounting(), namespaces: namespaces(view), programs };
}

function run(job: Job): Results[keyof Results] {
  switch (job.op) {
    case 'sample': {
      look();
      const { view, subscriber, objects } = job;
      const counting = view.counting || isCounting();
      return samples.lines(subscriber, objects, { counting, namespaces: namespaces(view), objects: survey.objects() });
    }
    case 'usage':
      look();
      return usage(job);
    case 'who':
      return objectReport(job.kind, job.hostId);
    case 'forget':
      samples.forget(job.subscriber);
      return undefined;
  }
}

parentPort?.on('message', ({ number, job }: Numbered<Job>) => {
  let outcome: Outcome;
  try {
    outcome = { number, result: run(job) };
  } catch (error) {
    outcome = { number, failure: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(outcome);
});

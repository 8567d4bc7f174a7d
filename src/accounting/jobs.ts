/** The requests of the agent to its accounting thread, and the answers. */
import type { Usage } from '../control/usage.js';
import type { ObjectReport } from '../model/host-object.js';
import type { Kind } from '../model/ids.js';
import type { ReportRequest } from './reports.js';

/** Counters of trapped calls of one namespace. */
export interface Calls {
  readonly calls: number;
  readonly refused: number;
}

/** Information that only the agent has. */
export interface AgentView {
  /** Whether the agent makes the kernel count run time. */
  readonly counting: boolean;
  /** By the id of the namespace. */
  readonly calls: ReadonlyMap<number, Calls>;
}

export interface SampleJob {
  readonly op: 'sample';
  readonly subscriber: number;
  readonly objects: boolean;
  /** What is shown must not be older. A time of `monotonicMs`. */
  readonly since: number;
  readonly view: AgentView;
}

export interface UsageJob {
  readonly op: 'usage';
  /** As of {@link SampleJob}. */
  readonly since: number;
  readonly view: AgentView;
  /** The most programs to report, from the lowest host id on. */
  readonly programs: number;
}

export interface WhoJob {
  readonly op: 'who';
  readonly kind: Kind;
  readonly hostId: number;
}

export interface ReportJob {
  readonly op: 'report';
  readonly request: ReportRequest;
}

export interface ForgetJob {
  readonly op: 'forget';
  readonly subscriber: number;
}

export type Job = SampleJob | UsageJob | WhoJob | ReportJob | ForgetJob;

/** By the op of the job. */
export interface Results {
  /** Lines of text. */
  readonly sample: string;
  readonly usage: Usage;
  readonly who: ObjectReport | undefined;
  /** Lines of text; undefined if there is no such object. */
  readonly report: string | undefined;
  readonly forget: undefined;
}

/** In ms, the same in every thread. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export type Outcome = { readonly result: Results[keyof Results] } | { readonly failure: string };

/**
 * What is read anew for each question: by the agent's thread, and by the commands where no agent serves.
 * All throw SyscallError.
 */
import type { GraphRequest, ObjectsRequest, ProcessesRequest, ReportLine } from '../control/protocol.js';
import type { NamespaceUsage } from '../control/usage.js';
import { aliveGraph } from '../host/graph.js';
import { inventory, readRecords } from '../host/inventory.js';
import { readProcesses } from '../host/namespaces.js';
import type { Graph, HostObject, NamespaceProcess } from '../model/host-object.js';
import type { Kind } from '../model/ids.js';
import { Inspector } from '../recorder/inspector.js';
import { shortened } from './shortened.js';
import { Survey, withTasks } from './survey.js';

export { objectReport } from '../host/report.js';

/** Every object of a kind. */
export function objects(kind: Kind): HostObject[] {
  return inventory([kind], readRecords());
}

/** Undefined if there is no such object. */
export function graph(kind: Kind, id: number): Graph | undefined {
  return aliveGraph(kind, id, readRecords());
}

/** Every process in a namespace other than init. */
export function processes(): NamespaceProcess[] {
  const inspector = new Inspector();
  try {
    return readProcesses(inspector);
  } finally {
    inspector.close();
  }
}

/** Every namespace, without the calls that only an agent counts. */
export function namespaces(): NamespaceUsage[] {
  const survey = new Survey();
  survey.look();
  const found = survey.namespaces().map((each) => ({ ...each, calls: 0, refused: 0 }));
  return withTasks(found, found.length > 1 ? processes() : []);
}

export type ReportRequest = ObjectsRequest | GraphRequest | ProcessesRequest;

/** The answer as lines of the protocol; undefined if there is no such object. */
export function reportLines(request: ReportRequest): string | undefined {
  const items = reportItems(request);
  return items && [...items, { item: 'end' }].map((line) => `${JSON.stringify(shortened(line))}\n`).join('');
}

function reportItems(request: ReportRequest): ReportLine[] | undefined {
  switch (request.op) {
    case 'objects':
      return objects(request.kind).map((object) => ({ item: 'object', ...object }));
    case 'processes':
      return processes().map((process) => ({ item: 'process', ...process }));
    case 'graph': {
      const found = graph(request.kind, request.hostId);
      return (
        found && [
          ...found.nodes.map((node) => ({ item: 'node' as const, ...node })),
          ...found.edges.map((edge) => ({ item: 'edge' as const, ...edge })),
        ]
      );
    }
  }
}

/** A graph in the language of Graphviz' dot(1). Pure. */
import { printable } from '../control/printable.js';
import type { Graph, GraphNode } from '../model/host-object.js';

const shapes: Readonly<Record<GraphNode['type'], string>> = {
  object: 'box',
  process: 'ellipse',
  pin: 'note',
  cgroup: 'folder',
};

/** A quoted string: guests choose names, and neither ends the string nor writes what dot would expand. */
function quoted(...lines: readonly string[]): string {
  return `"${lines.map((line) => printable(line).replace(/[\\"]/g, '\\$&')).join('\\n')}"`;
}

export function dot({ nodes, edges }: Graph): string {
  return [
    'digraph "kept alive" {',
    '  rankdir=LR;',
    '  node [fontname="sans-serif"]; edge [fontname="sans-serif", fontsize=10];',
    ...nodes.map(({ id, type, label }, i) => {
      const style = i === 0 ? ', style=filled, fillcolor="#cfe3ff"' : '';
      return `  ${quoted(id)} [shape=${shapes[type]}, label=${quoted(...label)}${style}];`;
    }),
    ...edges.map(({ from, to, label }) => `  ${quoted(from)} -> ${quoted(to)} [label=${quoted(label)}];`),
    '}',
  ].join('\n');
}

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { dot } from './dot.js';

describe('a graph for dot', () => {
  const map = { id: 'map 41', type: 'object', label: ["map 41 'm'", 'hash', 'map 1 in web'] } as const;

  test('has a node for each thing, and an edge from what keeps to what is kept', () => {
    const text = dot({
      nodes: [map, { id: 'process 7', type: 'process', label: ['sh[7]'] }],
      edges: [{ from: 'process 7', to: 'map 41', label: 'fd' }],
    });
    assert.match(text, /^digraph "kept alive" \{\n/);
    assert.match(text, /^ {2}"map 41" \[shape=box, label="map 41 'm'\\nhash\\nmap 1 in web", style=filled/m);
    assert.match(text, /^ {2}"process 7" -> "map 41" \[label="fd"\];$/m);
  });

  test('is one whatever things are called: no name ends its string', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const text = dot({
          nodes: [map, { id: name, type: 'pin', label: [name] }],
          edges: [{ from: name, to: 'map 41', label: 'pin' }],
        });
        const outside = text.replace(/"(?:[^"\\]|\\.)*"/g, '""').split('\n');
        assert.equal(outside.length, 7);
        assert.deepEqual(outside.slice(4), ['  "" [shape=note, label=""];', '  "" -> "" [label=""];', '}']);
      }),
    );
  });
});

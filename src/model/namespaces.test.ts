/** The model against the specification, written down as naively as it reads. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hostId, INIT, type Kind, kinds, type NamespaceId, namespaceId } from './ids.js';
import { isSameOrAncestor, type Namespace, Namespaces } from './namespaces.js';

interface NaiveObject {
  readonly kind: Kind;
  readonly host: number;
  /** Index of the owner, or 'kernel' for BTF that is visible everywhere. */
  readonly owner: number | 'kernel';
  isAlive: boolean;
}

/** Rules of the model, one method each. Namespace 0 is init. */
class Specification {
  readonly parents: number[] = [-1];
  /** In the order of creation; a dead one stays, as its ids stay used. */
  readonly objects: NaiveObject[] = [];
  /** How many objects there were when each namespace began, and the newest host id. */
  readonly begun: number[] = [0];
  readonly floors: number[] = [0];

  isSameOrAncestor(upper: number, lower: number): boolean {
    for (let at = lower; at >= 0; at = this.parents[at] ?? -1) if (at === upper) return true;
    return false;
  }

  /** "Visible in N iff N is the owner or an ancestor of the owner"; kernel BTF everywhere. */
  isVisible(object: NaiveObject, namespace: number): boolean {
    return object.isAlive && (object.owner === 'kernel' || this.isSameOrAncestor(namespace, object.owner));
  }

  /**
   * Numbers are counted from 1, without those that kernel BTF has, up to the newest host id there was when
   * the namespace began; behind that, and for kernel BTF, an object's number is its host id.
   */
  numbers(namespace: number, kind: Kind): Map<NaiveObject, number> {
    const all = this.objects.filter((object) => object.kind === kind);
    const kernels = all.filter(({ owner }) => owner === 'kernel');
    const numbers = new Map(kernels.map((object) => [object, object.host]));
    let counted = 0;
    for (const object of all) {
      if (this.objects.indexOf(object) < (this.begun[namespace] ?? 0)) continue;
      if (object.owner === 'kernel' || !this.isSameOrAncestor(namespace, object.owner)) continue;
      do counted++;
      while (kernels.some(({ host }) => host === counted));
      numbers.set(object, counted <= (this.floors[namespace] ?? 0) ? counted : object.host);
    }
    return numbers;
  }

  /** Init's ids are the kernel's own. */
  idIn(namespace: number, object: NaiveObject): number {
    if (namespace === 0) return object.host;
    return this.isVisible(object, namespace) ? (this.numbers(namespace, object.kind).get(object) ?? 0) : 0;
  }
}

type Step =
  | { readonly op: 'namespace'; readonly parent: number }
  | { readonly op: 'object'; readonly kind: Kind; readonly owner: number }
  | { readonly op: 'kernel btf' }
  | { readonly op: 'death'; readonly which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ op: fc.constant('namespace'), parent: fc.nat(40) }) },
  {
    weight: 6,
    arbitrary: fc.record({ op: fc.constant('object'), kind: fc.constantFrom(...kinds), owner: fc.nat(40) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('kernel btf') }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('death'), which: fc.nat(100) }) },
);

/** Carries steps out on both. Records reach the model in the order of `delays`, as from a ring that several CPUs fill. */
function carryOut(steps: readonly Step[], delays: readonly number[]): { spec: Specification; model: Namespaces } {
  const spec = new Specification();
  const model = new Namespaces();
  const at = (index: number): Namespace => model.get(namespaceId(index)) as Namespace;
  const deliveries: Array<() => void> = [];
  const deaths: NaiveObject[] = [];
  let host = 5;
  for (const each of steps) {
    const count = spec.parents.length;
    switch (each.op) {
      case 'namespace': {
        const parent = each.parent % count;
        spec.parents.push(parent);
        spec.begun.push(spec.objects.length);
        spec.floors.push(host - 1);
        assert.ok(model.add(namespaceSpec(count, parent)));
        const kernelBtf = spec.objects.filter(({ owner }) => owner === 'kernel');
        for (const btf of kernelBtf) model.numberKernelBtf(at(count), hostId(btf.host));
        break;
      }
      case 'object': {
        const object: NaiveObject = { kind: each.kind, host: host++, owner: each.owner % count, isAlive: true };
        spec.objects.push(object);
        const owner = each.owner % count;
        const ids = chain(spec, owner).map((ns) => spec.idIn(ns, object));
        deliveries.push(() => model.record(object.kind, hostId(object.host), at(owner), ids));
        break;
      }
      case 'kernel btf': {
        const object: NaiveObject = { kind: 'btf', host: host++, owner: 'kernel', isAlive: true };
        spec.objects.push(object);
        for (let ns = 1; ns < count; ns++) model.numberKernelBtf(at(ns), hostId(object.host));
        break;
      }
      case 'death': {
        const mortal = spec.objects.filter(({ owner }) => owner !== 'kernel');
        const victim = mortal[each.which % Math.max(mortal.length, 1)];
        if (victim) deaths.push(victim);
      }
    }
  }
  const order = deliveries.map((deliver, i) => ({ deliver, delay: delays[i % delays.length] ?? 0 }));
  for (const { deliver } of order.sort((a, b) => a.delay - b.delay)) deliver();
  for (const object of deaths) {
    object.isAlive = false;
    model.forget(object.kind, hostId(object.host));
  }
  return { spec, model };
}

/** From init down to a namespace. */
function chain(spec: Specification, namespace: number): number[] {
  return namespace === 0 ? [0] : [...chain(spec, spec.parents[namespace] ?? 0), namespace];
}

function namespaceSpec(id: number, parent: number): Parameters<Namespaces['add']>[0] {
  return {
    id: namespaceId(id),
    parent: namespaceId(parent),
    name: '',
    pinsAny: false,
    userNs: 0,
    ownerUid: 0,
    createdNs: 0n,
    keep: false,
    tracing: 'host',
    maxNamespaces: 0,
  };
}

const byNumber = (a: number, b: number): number => a - b;

/** Checks `what` for every namespace of many random histories. */
function always(what: (spec: Specification, model: Namespaces, namespace: Namespace, index: number) => void): void {
  const delays = fc.array(fc.nat(50), { minLength: 1, maxLength: 20, size: 'max' });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), delays, (steps, wanted) => {
      const { spec, model } = carryOut(steps, wanted);
      spec.parents.forEach((_, index) => {
        what(spec, model, model.get(namespaceId(index)) as Namespace, index);
      });
    }),
    { numRuns: 200 },
  );
}

describe('the namespace model, in any history', () => {
  test('an object has the id that counting gives where it is visible, and 0 elsewhere', () => {
    always((spec, model, namespace, index) => {
      for (const object of spec.objects) {
        assert.equal(model.idIn(namespace, object.kind, hostId(object.host)), spec.idIn(index, object));
      }
    });
  });

  test('iterating a namespace yields exactly the visible objects, in the order of their ids', () => {
    always((spec, _model, namespace, index) => {
      if (index === 0) return; // init asks the kernel itself
      for (const kind of kinds) {
        const seen: number[] = [];
        for (let next = namespace.numbers[kind].next(0); next; next = namespace.numbers[kind].next(next.id)) {
          seen.push(next.host);
        }
        const numbers = [...spec.numbers(index, kind)].filter(([object]) => spec.isVisible(object, index));
        assert.deepEqual(
          seen,
          numbers.sort(([, a], [, b]) => a - b).map(([{ host }]) => host),
        );
      }
    });
  });

  test('an id resolves to the one visible object that has it as its id or as its host id, any other to none', () => {
    always((spec, _model, namespace, index) => {
      if (index === 0) return;
      for (const kind of kinds) {
        const visible = spec.objects.filter((object) => object.kind === kind && spec.isVisible(object, index));
        for (let id = 1; id <= spec.objects.length + 10; id++) {
          const meant = visible.filter((object) => spec.idIn(index, object) === id || object.host === id);
          assert.ok(meant.length <= 1);
          assert.equal(
            namespace.numbers[kind].resolve(id, () => assert.fail()),
            meant[0]?.host,
          );
        }
      }
    });
  });

  test('the owner is the namespace of the creator for as long as the object lives', () => {
    always((spec, model, namespace, index) => {
      for (const { kind, host, owner, isAlive } of spec.objects) {
        if (owner === index && isAlive) assert.equal(model.ownerOf(kind, hostId(host)), namespace);
      }
      for (const kind of kinds) {
        const living = spec.objects.filter((o) => o.kind === kind && o.owner === index && o.isAlive);
        assert.deepEqual([...namespace.owned[kind]].sort(byNumber), living.map(({ host }) => host).sort(byNumber));
      }
    });
  });

  test('ancestry is a matter of the chain, not of the depth', () => {
    always((spec, model, namespace, index) => {
      spec.parents.forEach((_, other) => {
        const found = isSameOrAncestor(namespace, model.get(namespaceId(other)) as Namespace);
        assert.equal(found, spec.isSameOrAncestor(index, other));
      });
    });
  });

  test('descendants are counted at any depth', () => {
    always((spec, _model, namespace, index) => {
      const below = spec.parents.filter((_, other) => other !== index && spec.isSameOrAncestor(index, other));
      assert.equal(namespace.descendants, below.length);
    });
  });

  test('every namespace is found by its id and by its path', () => {
    always((_spec, model, namespace) => {
      assert.equal(model.find(String(namespace.id)), namespace);
      // A path of numbers only is that of a nameless namespace below init, which is its id.
      assert.equal(model.find(namespace.path), namespace);
    });
  });

  test('namespaces are listed parents first', () => {
    always((_spec, model, namespace) => {
      const all = model.all();
      if (namespace.parent) assert.ok(all.indexOf(namespace.parent) < all.indexOf(namespace));
    });
  });
});

describe('the namespace tree', () => {
  test('a namespace without a known parent is not added', () => {
    const model = new Namespaces();
    assert.equal(model.add(namespaceSpec(1, 7)), undefined);
    assert.equal(model.get(namespaceId(1)), undefined);
  });

  test('a removed namespace is gone from its parent too', () => {
    const model = new Namespaces();
    const child = model.add(namespaceSpec(1, 0)) as Namespace;
    model.remove(child);
    assert.equal(model.get(namespaceId(1)), undefined);
    assert.equal(model.init.children.size, 0);
  });

  test('a path joins the names from below init; the nameless stand as their ids', () => {
    const model = new Namespaces();
    model.add({ ...namespaceSpec(1, 0), name: 'web' });
    model.add(namespaceSpec(2, 1));
    const deepest = model.add({ ...namespaceSpec(3, 2), name: 'build' });
    assert.equal(deepest?.path, 'web/2/build');
    assert.equal(model.find('web/2/build'), deepest);
    assert.equal(model.find('build'), undefined);
    assert.equal(model.find('init'), model.init);
  });

  test('a child is found by its name directly below its parent; the nameless are not', () => {
    const model = new Namespaces();
    const web = model.add({ ...namespaceSpec(1, 0), name: 'web' }) as Namespace;
    const build = model.add({ ...namespaceSpec(2, 1), name: 'build' });
    model.add(namespaceSpec(3, 0));
    assert.equal(model.init.childCalled('web'), web);
    assert.equal(web.childCalled('build'), build);
    assert.equal(model.init.childCalled('build'), undefined);
    assert.equal(model.init.childCalled(''), undefined);
  });

  test('what nothing was recorded for belongs to init', () => {
    const model = new Namespaces();
    assert.equal(model.ownerOf('map', hostId(3)), model.init);
    assert.equal(model.isRecorded('map', hostId(3)), false);
    assert.equal(model.get(INIT as NamespaceId), model.init);
  });

  test('forgetting an object that was never recorded changes nothing', () => {
    const model = new Namespaces();
    model.forget('prog', hostId(9));
    assert.deepEqual([...model.everything()], []);
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { layout, NODE_HEIGHT } from "../src/layout.ts";

interface Step {
  id: string;
  needs: string[];
}

const DIAMOND = stepsOf("a; b<a; c<a; d<b,c");
const LONG = stepsOf("a; b<a; c<b; d<c; e<a,d");

function stepsOf(text: string): Step[] {
  return text.split(";").map((part) => {
    const [id = "", needs] = part.trim().split("<");
    return { id, needs: needs ? needs.split(",") : [] };
  });
}

/** Graphs of up to 30 steps, each of which needs some of those before it; the same ones every time. */
function* graphs(): Generator<Step[]> {
  let seed = 7;
  const next = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
  for (let times = 0; times < 60; times++) {
    const count = 1 + next(30);
    yield Array.from({ length: count }, (_, index) => ({
      id: `s${index}`,
      needs: Array.from({ length: Math.min(index, next(4)) }, () => `s${next(index)}`),
    }));
  }
}

for (const down of [false, true]) {
  const way = down ? "from top to bottom" : "from left to right";

  test(`each step stands behind all that it needs, ${way}`, () => {
    for (const steps of graphs()) {
      const at = new Map(layout(steps, down).nodes.map((node) => [node.id, down ? node.y : node.x]));
      for (const { id, needs } of steps) for (const need of needs) assert.ok(at.get(need)! < at.get(id)!, `${need} before ${id}`);
    }
  });

  test(`no two steps overlap, and none stands outside, ${way}`, () => {
    for (const steps of graphs()) {
      const { nodes, nodeWidth, width, height } = layout(steps, down);
      for (const [index, one] of nodes.entries()) {
        assert.ok(one.x >= 0 && one.y >= 0 && one.x + nodeWidth <= width && one.y + NODE_HEIGHT <= height);
        for (const other of nodes.slice(index + 1)) {
          assert.ok(Math.abs(one.x - other.x) >= nodeWidth || Math.abs(one.y - other.y) >= NODE_HEIGHT, `${one.id} on ${other.id}`);
        }
      }
    }
  });

  test(`there is a line for each need, ${way}`, () => {
    for (const steps of graphs()) {
      const drawn = layout(steps, down).lines.map(({ from, to }) => `${from} ${to}`);
      assert.deepEqual(drawn.sort(), steps.flatMap(({ id, needs }) => needs.map((need) => `${need} ${id}`)).sort());
    }
  });
}

test("steps that may run at once stand in one layer", () => {
  const at = new Map(layout(DIAMOND, false).nodes.map((node) => [node.id, node]));
  assert.equal(at.get("b")!.x, at.get("c")!.x);
  assert.notEqual(at.get("b")!.y, at.get("c")!.y);
});

test("a line that passes layers goes by the steps in them", () => {
  const { nodes, lines } = layout(LONG, false);
  const long = lines.find(({ from, to }) => from === "a" && to === "e")!;
  const bends = [...long.path.matchAll(/L(\d+\.?\d*) (\d+\.?\d*)/g)].map((found) => Number(found[2]));
  assert.equal(bends.length, 3);
  for (const id of ["b", "c", "d"]) {
    const node = nodes.find((one) => one.id === id)!;
    for (const y of bends) assert.ok(y < node.y || y > node.y + NODE_HEIGHT, `${y} is in ${id}`);
  }
});

test("a need that is no step is left out", () => {
  const { nodes, lines } = layout([{ id: "a", needs: ["gone"] }], false);
  assert.deepEqual([nodes.length, lines], [1, []]);
});

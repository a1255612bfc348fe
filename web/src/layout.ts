// Where the steps of a run stand when they are drawn: each behind what it needs, with few lines that cross. (Pure.)

export interface Placed {
  id: string;
  x: number;
  y: number;
}

export interface Line {
  from: string;
  to: string;
  /** The `d` of an SVG path. */
  path: string;
}

export interface Drawing {
  nodeWidth: number;
  nodes: Placed[];
  lines: Line[];
  width: number;
  height: number;
}

export const NODE_HEIGHT = 48;
const WIDE = 176;
/** From top to bottom two stand beside each other on a phone. */
const SLIM = 144;
const BETWEEN_LAYERS = 48;
const BETWEEN_ROWS = 16;
const MARGIN = 2;
const SWEEPS = 4;

interface Needing {
  id: string;
  needs: readonly string[];
}

/** A place in a layer: a step, or a bend of a line that passes the layer. */
interface Spot {
  key: string;
  layer: number;
  before: Spot[];
  after: Spot[];
  row: number;
}

/** `down` draws from top to bottom, else from left to right. Needs that are no steps are left out. */
export function layout(steps: readonly Needing[], down: boolean): Drawing {
  const layers = layersOf(steps);
  const spots = new Map(steps.map((step) => [step.id, spotOf(step.id, layers.get(step.id) ?? 0)]));
  const chains = steps.flatMap((step) =>
    step.needs.filter((need) => spots.has(need)).map((need) => chain(spots.get(need)!, spots.get(step.id)!)),
  );
  const rows = ordered([...new Set([...spots.values(), ...chains.flat()])]);
  const most = Math.max(1, ...rows.map((row) => row.length));
  const place = (spot: Spot) => placed(spot, most, down);
  return {
    nodes: [...spots].map(([id, spot]) => ({ id, ...place(spot) })),
    lines: chains.map((spotsOn) => ({ from: spotsOn[0]!.key, to: spotsOn.at(-1)!.key, path: pathOf(spotsOn.map(place), down) })),
    nodeWidth: widthOf(down),
    ...sizeOf(rows.length, most, down),
  };
}

/** How many steps lie before each, on the longest way to it. */
function layersOf(steps: readonly Needing[]): Map<string, number> {
  const byId = new Map(steps.map((step) => [step.id, step]));
  const found = new Map<string, number>();
  const layerOf = (id: string): number => {
    const known = found.get(id);
    if (known !== undefined) return known;
    found.set(id, 0); // a circle, which no workflow has, would end here
    const needs = byId.get(id)!.needs.filter((need) => byId.has(need));
    const layer = needs.length ? 1 + Math.max(...needs.map(layerOf)) : 0;
    found.set(id, layer);
    return layer;
  };
  for (const { id } of steps) layerOf(id);
  return found;
}

function spotOf(key: string, layer: number): Spot {
  return { key, layer, before: [], after: [], row: 0 };
}

/** The spots of a line, with a bend in each layer that it passes. */
function chain(from: Spot, to: Spot): Spot[] {
  const bends = Array.from({ length: Math.max(0, to.layer - from.layer - 1) }, (_, index) =>
    spotOf(`${from.key} ${to.key} ${index}`, from.layer + 1 + index),
  );
  const all = [from, ...bends, to];
  for (const [index, spot] of all.slice(1).entries()) {
    spot.before.push(all[index]!);
    all[index]!.after.push(spot);
  }
  return all;
}

/** The layers, each in an order in which its spots stand near what they hang on. */
function ordered(spots: Spot[]): Spot[][] {
  const layers: Spot[][] = [];
  for (const spot of spots) (layers[spot.layer] ??= []).push(spot);
  for (const layer of layers) numbered(layer);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forth = sweep % 2 === 0;
    for (const layer of forth ? layers : [...layers].reverse()) {
      const wish = new Map(layer.map((spot) => [spot, mean(forth ? spot.before : spot.after) ?? spot.row]));
      numbered(layer.sort((one, other) => wish.get(one)! - wish.get(other)!));
    }
  }
  return layers;
}

function numbered(layer: Spot[]): void {
  for (const [row, spot] of layer.entries()) spot.row = row - (layer.length - 1) / 2;
}

function mean(spots: Spot[]): number | null {
  return spots.length ? spots.reduce((sum, spot) => sum + spot.row, 0) / spots.length : null;
}

function placed(spot: Spot, most: number, down: boolean): { x: number; y: number } {
  const across = spot.row + (most - 1) / 2;
  const [alongStep, acrossStep] = stepsOf(down);
  const along = MARGIN + spot.layer * alongStep;
  return down ? { x: MARGIN + across * acrossStep, y: along } : { x: along, y: MARGIN + across * acrossStep };
}

function widthOf(down: boolean): number {
  return down ? SLIM : WIDE;
}

function stepsOf(down: boolean): [along: number, across: number] {
  const [along, across] = down ? [NODE_HEIGHT, SLIM] : [WIDE, NODE_HEIGHT];
  return [along + BETWEEN_LAYERS, across + BETWEEN_ROWS];
}

function sizeOf(layers: number, most: number, down: boolean): { width: number; height: number } {
  const [alongStep, acrossStep] = stepsOf(down);
  const along = 2 * MARGIN + layers * alongStep - BETWEEN_LAYERS;
  const across = 2 * MARGIN + most * acrossStep - BETWEEN_ROWS;
  return down ? { width: across, height: along } : { width: along, height: across };
}

/** A curve from the end of the first place to the begin of the last, straight through the bends between. */
function pathOf(places: { x: number; y: number }[], down: boolean): string {
  const begin = places[0]!;
  const wide = widthOf(down);
  let [x, y] = down ? [begin.x + wide / 2, begin.y + NODE_HEIGHT] : [begin.x + wide, begin.y + NODE_HEIGHT / 2];
  const parts = [`M${x} ${y}`];
  for (const [index, place] of places.slice(1).entries()) {
    const [toX, toY] = down ? [place.x + wide / 2, place.y] : [place.x, place.y + NODE_HEIGHT / 2];
    const half = down ? (toY - y) / 2 : (toX - x) / 2;
    parts.push(down ? `C${x} ${y + half} ${toX} ${toY - half} ${toX} ${toY}` : `C${x + half} ${y} ${toX - half} ${toY} ${toX} ${toY}`);
    [x, y] = [toX, toY];
    if (index < places.length - 2) {
      [x, y] = down ? [x, y + NODE_HEIGHT] : [x + wide, y];
      parts.push(`L${x} ${y}`);
    }
  }
  return parts.join("");
}

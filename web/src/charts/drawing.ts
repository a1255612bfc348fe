// What a chart draws by itself on uPlot's canvas: stacked bars with textures, and the marks of lines. Lengths: canvas pixels.

import type uPlot from "uplot";
import type { Colours } from "./colours";
import type { Look, Mark, Texture } from "./look";
import { stacked } from "./series";

type Values = readonly (number | null)[];
export interface Drawn {
  values: Values;
  look: Look;
}

const TILE = 6;
const BAR_SHARE = 0.72;
const WIDEST_BAR = 44;
const GAP = 1;
const MARKS_AT_MOST = 32;

/** Bars from the bottom up, one on top of the other. */
export function drawBars(plot: uPlot, traces: readonly Drawn[], colours: Colours): void {
  const { ctx, bbox } = plot;
  const tops = stacked(traces.map(({ values }) => values));
  const room = bbox.width / Math.max(1, tops[0]?.length ?? 0);
  const width = Math.max(1, Math.min(WIDEST_BAR * devicePixelRatio, room * BAR_SHARE));
  ctx.save();
  traces.forEach(({ values, look }, level) => {
    ctx.fillStyle = fillOf(ctx, look, colours);
    values.forEach((value, index) => {
      if (!value) return;
      const top = plot.valToPos(tops[level]![index]!, "y", true);
      const bottom = plot.valToPos(tops[level]![index]! - value, "y", true);
      const gap = level > 0 && bottom - top > 3 * GAP ? GAP : 0;
      ctx.fillRect(Math.round(plot.valToPos(index, "x", true) - width / 2), top, Math.round(width), Math.max(1, bottom - top - gap));
    });
  });
  ctx.restore();
}

function fillOf(ctx: CanvasRenderingContext2D, look: Look, colours: Colours): CanvasPattern | string {
  const colour = colours.series[look.tint]!;
  if (look.texture === "plain") return colour;
  const size = TILE * devicePixelRatio;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const brush = tile.getContext("2d")!;
  brush.fillStyle = colour;
  brush.fillRect(0, 0, size, size);
  brush.scale(size / TILE, size / TILE);
  brush.globalAlpha = 0.6;
  brush.strokeStyle = brush.fillStyle = colours.surface;
  scratch(brush, look.texture);
  return ctx.createPattern(tile, "repeat") ?? colour;
}

/** The lines of a texture, as paths of SVG in a tile of 6 by 6. */
export const SCRATCHES: Record<Exclude<Texture, "plain">, string> = {
  rising: "M-1 7 7-1M-1 1 1-1M5 7 7 5",
  falling: "M-1-1 7 7M5-1 7 1M-1 5 1 7",
  level: "M0 3H6",
  grid: "M3 0V6M0 3H6",
  dots: "M3 2.200v1.600",
};

function scratch(brush: CanvasRenderingContext2D, texture: Exclude<Texture, "plain">): void {
  brush.lineWidth = texture === "dots" ? 1.8 : 1.1;
  brush.stroke(new Path2D(SCRATCHES[texture]));
}

/** A mark at the points of each line: at all of a few, and wherever a point stands alone. */
export function drawMarks(plot: uPlot, traces: readonly Drawn[], colours: Colours): void {
  const { ctx } = plot;
  ctx.save();
  ctx.lineWidth = 1.5 * devicePixelRatio;
  traces.forEach(({ values, look }, level) => {
    const every = Math.ceil(values.length / MARKS_AT_MOST);
    values.forEach((value, index) => {
      if (value === null || (!isAlone(values, index) && (index + level) % every)) return;
      drawMark(ctx, look.mark, plot.valToPos(index, "x", true), plot.valToPos(value, "y", true), colours.series[look.tint]!, colours.surface);
    });
  });
  ctx.restore();
}

function isAlone(values: Values, index: number): boolean {
  return (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;
}

function drawMark(ctx: CanvasRenderingContext2D, mark: Mark, x: number, y: number, colour: string, surface: string): void {
  const scale = devicePixelRatio;
  ctx.setTransform(scale, 0, 0, scale, x, y);
  ctx.lineWidth = 1.5;
  ctx.strokeStyle = colour;
  ctx.fillStyle = mark === "ring" ? surface : colour;
  const path = new Path2D(MARK_PATHS[mark]);
  if (mark !== "cross") ctx.fill(path);
  ctx.stroke(path);
  ctx.setTransform(1, 0, 0, 1, 0, 0);
}

/** Around the middle at 0, 0, as paths of SVG. */
export const MARK_PATHS: Record<Mark, string> = {
  disc: "M-2.200 0a2.200 2.200 0 1 0 4.400 0a2.200 2.200 0 1 0-4.400 0Z",
  square: "M-2.200-2.200h4.400v4.400h-4.400Z",
  triangle: "M0-2.900 2.900 2.200H-2.900Z",
  diamond: "M0-3.200 3.200 0 0 3.200-3.200 0Z",
  ring: "M-2.600 0a2.600 2.600 0 1 0 5.200 0a2.600 2.600 0 1 0-5.200 0Z",
  cross: "M-2.400-2.400 2.400 2.400M2.400-2.400-2.400 2.400",
};

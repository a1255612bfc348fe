// The canvas of a chart: uPlot draws axes, lines and the cursor. Steps of time stand at equal distances, by their number.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { type Colours, coloursOf, useThemeTurn } from "./colours";
import { drawBars, drawMarks } from "./drawing";
import type { Look } from "./look";
import { everyOf, type Plotted } from "./points";
import { stacked, stepMark } from "./series";

const HEIGHT = 220;
const MARK_WIDTH = 64;
const CHARACTER = 6.600;

interface PlotProps {
  of: Plotted;
  point: number | null;
  setPoint: (index: number | null) => void;
}

export function Plot({ of, point, setPoint }: PlotProps): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const turn = useThemeTurn();
  useEffect(() => {
    const room = frame.current!;
    const made = (plot.current = new uPlot(optionsOf(of, coloursOf(room), setPoint), dataOf(of), room));
    const fit = () => made.setSize({ width: room.clientWidth, height: HEIGHT });
    const watch = new ResizeObserver(fit);
    watch.observe(room);
    fit();
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, [of, turn]);
  useEffect(() => moveCursor(plot.current, point), [point, of, turn]);
  return <div class="plot" ref={frame} aria-hidden="true" />;
}

function moveCursor(plot: uPlot | null, point: number | null): void {
  if (!plot || (plot.cursor.idx ?? null) === point) return;
  plot.setCursor(point === null ? { left: -10, top: -10 } : { left: plot.valToPos(point, "x"), top: 0 }, false);
}

function dataOf({ at, traces }: Plotted): uPlot.AlignedData {
  return [at.map((_, index) => index), ...traces.map(({ values }) => [...values])];
}

function optionsOf(of: Plotted, colours: Colours, setPoint: (index: number | null) => void): uPlot.Options {
  const draw = of.kind === "bars" ? drawBars : drawMarks;
  return {
    width: 300,
    height: HEIGHT,
    padding: [10, 22, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: false, range: [-0.5, Math.max(0, of.at.length - 1) + 0.5] },
      y: { range: [0, highest(of)] },
    },
    axes: [axisOfTime(of, colours), axisOfValues(of, colours)],
    series: [{}, ...of.traces.map(({ look }) => lineOf(of.kind, look, colours))],
    hooks: {
      draw: [(plot) => draw(plot, of.traces, colours)],
      setCursor: [(plot) => setPoint(plot.cursor.idx ?? null)],
    },
  };
}

function highest({ kind, traces, top }: Plotted): number {
  if (top !== undefined) return top * 1.02;
  const lists = traces.map(({ values }) => values);
  const values = (kind === "bars" ? stacked(lists) : lists).flat();
  return values.reduce<number>((most, value) => Math.max(most, value ?? 0), 0) * 1.06 || 1;
}

function lineOf(kind: Plotted["kind"], look: Look, colours: Colours): uPlot.Series {
  if (kind === "bars") return { paths: () => null, points: { show: false } };
  return { stroke: colours.series[look.tint]!, width: 1.75, dash: [...look.dash], points: { show: false } };
}

function axisOf(colours: Colours): uPlot.Axis {
  return {
    stroke: colours.faint,
    font: `12px ${colours.font}`,
    grid: { stroke: colours.line, width: 1 },
    ticks: { show: false },
  };
}

function axisOfTime({ at, step }: Plotted, colours: Colours): uPlot.Axis {
  return {
    ...axisOf(colours),
    grid: { show: false },
    size: 28,
    splits: (plot) => everyOf(at.length, Math.max(1, Math.floor(plot.bbox.width / devicePixelRatio / MARK_WIDTH))),
    values: (_, splits) => splits.map((index) => stepMark(at[index] ?? "", step)),
  };
}

function axisOfValues({ format }: Plotted, colours: Colours): uPlot.Axis {
  return {
    ...axisOf(colours),
    space: 44,
    size: (_, values) => 16 + CHARACTER * Math.max(2, ...(values ?? []).map((value) => value.length)),
    values: (_, splits) => splits.map(format),
  };
}

// A chart with its words: what it says in a sentence, the value of each series at a point of time, and all of it as a table.
// The plot is a slider over its points for the keyboard and for screen readers, which hear the values of each.

import type { JSX, TargetedKeyboardEvent } from "preact";
import { useId, useState } from "preact/hooks";
import { Table } from "../components/table";
import { Plot } from "./plot";
import { type Plotted, pointAfter, spoken } from "./points";
import { stepName } from "./series";
import { Swatch } from "./swatch";

interface ChartProps {
  title: string;
  /** What it says, in a sentence. */
  summary: string;
  of: Plotted;
  /** What stands beside the name of a series while no point is chosen: its value over the whole time. */
  whole: (name: string) => string;
  /** What can be chosen about it. */
  controls?: JSX.Element | undefined;
  /** Of its heading: 3 within a section, 2 where it is one itself. */
  level: 2 | 3;
}

export function Chart({ title, summary, of, whole, controls, level }: ChartProps): JSX.Element {
  const [asTable, setAsTable] = useState(false);
  const heading = useId();
  const Title = `h${level}` as const;
  return (
    <figure class="card chart" aria-labelledby={heading}>
      <div class="chart-head">
        <div>
          <Title id={heading}>{title}</Title>
          <p class="faint">{summary}</p>
        </div>
        <div class="chart-controls">
          {controls}
          <button type="button" class="quiet" aria-pressed={asTable} aria-label={`Show as table: ${title}`} onClick={() => setAsTable(!asTable)}>
            Show as table
          </button>
        </div>
      </div>
      {asTable ? <Numbers title={title} of={of} /> : <Picture title={title} of={of} whole={whole} />}
    </figure>
  );
}

function Picture({ title, of, whole }: { title: string; of: Plotted; whole: (name: string) => string }): JSX.Element {
  const [chosen, setPoint] = useState<number | null>(null);
  const last = of.at.length - 1;
  const point = chosen === null ? null : Math.min(chosen, last);
  const press = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const next = pointAfter(event.key, point, last);
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    setPoint(next);
  };
  return (
    <>
      <div
        class="picture"
        role="slider"
        tabIndex={0}
        aria-label={`${title}: point of time`}
        aria-valuemin={0}
        aria-valuemax={last}
        aria-valuenow={point ?? last}
        aria-valuetext={spoken(of, point ?? last)}
        onKeyDown={press}
        onBlur={() => setPoint(null)}
      >
        <Plot of={of} point={point} setPoint={setPoint} />
      </div>
      <Legend of={of} point={point} whole={whole} />
    </>
  );
}

interface LegendProps {
  of: Plotted;
  point: number | null;
  whole: (name: string) => string;
}

function Legend({ of, point, whole }: LegendProps): JSX.Element {
  return (
    <div class="legend" aria-hidden="true">
      <span class="legend-time">{point === null ? "Whole period" : stepName(of.at[point] ?? "", of.step)}</span>
      <ul>
        {of.traces.map(({ name, look, values }) => (
          <li key={name}>
            <Swatch kind={of.kind} look={look} />
            <span class="cut">{name}</span>
            <b>{point === null ? whole(name) : of.format(values[point] ?? null)}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Numbers({ title, of }: { title: string; of: Plotted }): JSX.Element {
  const columns = [
    { head: of.step === "hour" ? "Hour" : "Day (UTC)", cell: (index: number) => stepName(of.at[index]!, of.step) },
    ...of.traces.map(({ name, values }) => ({
      head: name,
      cell: (index: number) => of.format(values[index] ?? null),
      kind: "number" as const,
    })),
  ];
  return (
    <div class="listed numbers" role="region" aria-label={`${title}, as a table`} tabIndex={0}>
      <Table caption={title} columns={columns} rows={of.at.map((_, index) => index)} rowKey={(index) => index} />
    </div>
  );
}

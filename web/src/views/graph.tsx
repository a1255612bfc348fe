// The graph of a run, drawn. The list of steps below it tells the same in words.

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { standing } from "../components/badge";
import { Icon } from "../components/icons";
import { words } from "../format";
import { layout, NODE_HEIGHT, type Placed } from "../layout";
import { useMedia } from "../media";
import type { Step } from "../shapes";

const PIXELS_OF_CHARACTER = 7.5;
const ICON_AT = 9;
const NAME_AT = 31;

interface GraphProps {
  steps: readonly Step[];
  chosen: string | null;
  choose: (id: string) => void;
}

export function Graph({ steps, chosen, choose }: GraphProps): JSX.Element {
  const down = useMedia("(max-width: 639px)");
  const shape = steps.map((step) => `${step.id}<${(step.needs ?? []).join()}`).join();
  const drawing = useMemo(() => layout(steps.map(({ id, needs }) => ({ id, needs: needs ?? [] })), down), [shape, down]);
  const byId = new Map(steps.map((step) => [step.id, step]));
  const { width, height } = drawing;
  return (
    <div class="graph" tabIndex={0} role="region" aria-label="Graph of the steps; the list of steps tells the same">
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="presentation">
        {drawing.lines.map(({ from, to, path }) => (
          <path key={`${from} ${to}`} d={path} class={`graph-line ${byId.get(from)?.status === "completed" ? "passed" : ""}`} />
        ))}
        {drawing.nodes.map((node) => (
          <Node key={node.id} at={node} width={drawing.nodeWidth} step={byId.get(node.id)!} chosen={node.id === chosen} choose={choose} />
        ))}
      </svg>
    </div>
  );
}

interface NodeProps {
  at: Placed;
  width: number;
  step: Step;
  chosen: boolean;
  choose: (id: string) => void;
}

function Node({ at, width, step, chosen, choose }: NodeProps): JSX.Element {
  const { tone, icon } = standing(step.status);
  const room = Math.floor((width - NAME_AT) / PIXELS_OF_CHARACTER);
  const name = step.id.length > room ? `${step.id.slice(0, room - 1)}…` : step.id;
  return (
    <g class={`graph-node is-${tone} ${chosen ? "chosen" : ""} ${step.kind}`} transform={`translate(${at.x} ${at.y})`} onClick={() => choose(step.id)}>
      <title>{`${step.id}: ${words(step.status)}`}</title>
      <rect width={width} height={NODE_HEIGHT} rx={8} />
      <svg x={ICON_AT} y={16} width={16} height={16} overflow="visible">
        <Icon name={icon} />
      </svg>
      <text x={NAME_AT} y={21} class="graph-name">
        {name}
      </text>
      <text x={NAME_AT} y={37} class="graph-state">
        {words(step.status)}
      </text>
    </g>
  );
}

// The runs of workflows.

import type { JSX } from "preact";
import { Status } from "../components/badge";
import { Choice, Filters, Search, useFilter } from "../components/filters";
import { Head } from "../components/head";
import { Pager } from "../components/pager";
import { Block, Loading, Read } from "../components/states";
import { type Column, Table } from "../components/table";
import { TableFrame } from "../components/table_frame";
import { Ago } from "../components/time";
import { useData } from "../desk";
import { count, duration, words } from "../format";
import { hashOf } from "../route";
import { type Listed, type RunRow, TASK_STATUSES } from "../shapes";
import type { ViewProps } from "../views";

const ROWS = 25;

const COLUMNS: readonly Column<RunRow>[] = [
  { head: "Workflow", cell: (run) => run.workflow },
  { head: "Status", cell: (run) => <Status of={run.status} /> },
  { head: "Failure", kind: "wide", from: "medium", cell: (run) => <span class="soft">{run.error?.message ?? ""}</span> },
  { head: "Run", from: "large", cell: (run) => <span class="mono soft">{run.id.slice(0, 8)}</span> },
  { head: "Version", kind: "number", from: "large", cell: (run) => run.version },
  { head: "Took", kind: "number", from: "medium", cell: (run) => duration(tookOf(run)) },
  { head: "Started", kind: "number", cell: (run) => <Ago at={run.created_at} /> },
];

export function tookOf(run: RunRow): number | null {
  return run.ended_at ? Date.parse(run.ended_at) - Date.parse(run.created_at) : null;
}

export function Runs({ route }: ViewProps): JSX.Element {
  const filter = useFilter(route);
  const { status = "", workflow = "" } = route.query;
  const offset = Number(route.query.offset) || 0;
  const runs = useData<Listed<RunRow>>("/api/runs", { status, workflow, limit: ROWS, offset }, ["runs"]);
  const filtered = Boolean(status || workflow);
  return (
    <>
      <Head title="Runs" note={runs.data ? `${count(runs.data.meta.total)} ${filtered ? "found" : "in all"}` : "\u00a0"} />
      <Filters clear={filtered ? () => filter({ status: null, workflow: null }) : undefined}>
        <Search label="Name of a workflow" value={workflow} set={(text) => filter({ workflow: text })} />
        <Choice label="Status" all="Any status" value={status} options={TASK_STATUSES.map((name) => [name, words(name)] as const)} set={(to) => filter({ status: to })} />
      </Filters>
      <Read from={runs} loading={<Loading lines={10} />}>
        {({ data, meta }) => (
          <>
            {data.length ? (
              <TableFrame>
                <Table caption="Runs, newest first" columns={COLUMNS} rows={data} rowKey={(run) => run.id} to={(run) => hashOf("runs", run.id)} busy={runs.loading} />
              </TableFrame>
            ) : (
              <Block icon="runs" title={filtered ? "No run fits these filters" : "No runs yet"}>
                {filtered ? "Choose others, or clear them." : "Start a workflow with the tool workflow_run, or POST /api/workflows/{name}/runs."}
              </Block>
            )}
            {(meta.total > ROWS || meta.offset > 0) && <Pager meta={meta} shown={data.length} turn={(to) => filter({ offset: to || null })} />}
          </>
        )}
      </Read>
    </>
  );
}

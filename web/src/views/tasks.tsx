// The tasks: found, filtered, followed while they run, and the way to a new one.

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { type Query, withQuery } from "../backend";
import type { BrowserBackend } from "../browser";
import { more, useAgents } from "../components/agent_field";
import { Status } from "../components/badge";
import { Choice, Filters, Search, useFilter, When } from "../components/filters";
import { Head } from "../components/head";
import { Icon } from "../components/icons";
import { Pager } from "../components/pager";
import { Block, Loading, Read } from "../components/states";
import { type Column, Table } from "../components/table";
import { TableFrame } from "../components/table_frame";
import { Ago } from "../components/time";
import { useData, useDesk } from "../desk";
import { count, duration, money, words } from "../format";
import { useKeys } from "../keys";
import { hashOf, type Route } from "../route";
import { type Listed, TASK_STATUSES, TASK_TYPES, type TaskRow } from "../shapes";
import { spanOf } from "../span";
import type { ViewProps } from "../views";
import { NewTask } from "./new_task";

const ROWS = 25;
const FILTERS = ["query", "status", "agent_id", "provider", "task_type"] as const;
const TIMES = ["when", "since", "until"] as const;
const NAMED = (names: readonly string[]) => names.map((name) => [name, words(name)] as const);

const COLUMNS: readonly Column<TaskRow>[] = [
  { head: "Prompt", kind: "wide", cell: (task) => task.prompt },
  { head: "Status", cell: (task) => <Status of={task.status} /> },
  { head: "Model", from: "medium", cell: (task) => <Model of={task} /> },
  { head: "Type", from: "large", cell: (task) => <span class="soft">{words(task.task_type)}</span> },
  { head: "Agent", from: "large", cell: (task) => <span class="soft">{task.agent}</span> },
  { head: "Cost", kind: "number", from: "medium", cell: (task) => money(task.cost_usd) },
  { head: "Took", kind: "number", from: "medium", cell: (task) => duration(task.total_ms) },
  { head: "Created", kind: "number", cell: (task) => <Ago at={task.created_at} /> },
];

export function Tasks({ route }: ViewProps): JSX.Element {
  const { may } = useDesk();
  const filter = useFilter(route);
  const [writing, setWriting] = useState(false);
  const { when, since, until } = route.query;
  const span = useMemo(() => spanOf(route.query, Date.now()), [when, since, until]);
  const chosen = { ...Object.fromEntries(FILTERS.map((name) => [name, route.query[name]])), ...span };
  const offset = Number(route.query.offset) || 0;
  const tasks = useData<Listed<TaskRow>>("/api/tasks", { ...chosen, limit: ROWS, offset }, ["tasks"]);
  const filtered = [...FILTERS, ...TIMES].some((name) => route.query[name]);
  const submits = may("task_submit");
  useKeys(submits ? { n: () => setWriting(true) } : {});
  return (
    <>
      <Head title="Tasks" note={tasks.data ? `${count(tasks.data.meta.total)} ${filtered ? "found" : "in all"}` : "\u00a0"}>
        <Export query={chosen} />
        {submits && (
          <button type="button" class="primary" onClick={() => setWriting(true)}>
            <Icon name="plus" />
            New task
          </button>
        )}
      </Head>
      <TaskFilters route={route} filtered={filtered} />
      <Read from={tasks} loading={<Loading lines={12} />}>
        {({ data, meta }) => (
          <>
            {data.length ? (
              <TableFrame>
                <Table caption="Tasks, newest first" columns={COLUMNS} rows={data} rowKey={(task) => task.id} to={(task) => hashOf("tasks", task.id)} busy={tasks.loading} />
              </TableFrame>
            ) : (
              <Nothing filtered={filtered} submits={submits} />
            )}
            {(meta.total > ROWS || meta.offset > 0) && <Pager meta={meta} shown={data.length} turn={(to) => filter({ offset: to || null })} />}
          </>
        )}
      </Read>
      {writing && <NewTask close={() => setWriting(false)} />}
    </>
  );
}

function Nothing({ filtered, submits }: { filtered: boolean; submits: boolean }): JSX.Element {
  if (filtered) return <Block icon="search" title="No task fits these filters">Choose others, or clear them.</Block>;
  return (
    <Block icon="tasks" title="No tasks yet">
      {submits ? "Submit one here, or with the tool task_submit of your MCP client." : "Tasks that you may see stand here as soon as there are some."}
    </Block>
  );
}

function TaskFilters({ route, filtered }: { route: Route; filtered: boolean }): JSX.Element {
  const filter = useFilter(route);
  const agents = useAgents();
  const providers = useData<{ data: { provider: string }[] }>("/api/providers");
  const value = (name: (typeof FILTERS)[number]) => route.query[name] ?? "";
  const set = (name: (typeof FILTERS)[number]) => (to: string | null) => filter({ [name]: to });
  const asOptions = (names: readonly string[]) => names.map((name) => [name, name] as const);
  const ofAgents = (agents.data?.data ?? []).map(({ name }) => name);
  const ofProviders = (providers.data?.data ?? []).map(({ provider }) => provider);
  return (
    <Filters clear={filtered ? () => filter(Object.fromEntries([...FILTERS, ...TIMES].map((name) => [name, null]))) : undefined}>
      <Search label="Search prompts" value={value("query")} set={set("query")} />
      <Choice label="Status" all="Any status" value={value("status")} options={NAMED(TASK_STATUSES)} set={set("status")} />
      {more(agents) ? (
        <Search label="Agent" further offers={ofAgents} value={value("agent_id")} set={set("agent_id")} />
      ) : (
        <Choice label="Agent" all="Any agent" value={value("agent_id")} options={asOptions(ofAgents)} set={set("agent_id")} />
      )}
      <Choice label="Provider" all="Any provider" value={value("provider")} options={asOptions(ofProviders)} set={set("provider")} />
      <Choice label="Task type" all="Any type" value={value("task_type")} options={NAMED(TASK_TYPES)} set={set("task_type")} />
      <When route={route} />
    </Filters>
  );
}

/** The tasks that are found, as a table for elsewhere. */
function Export({ query }: { query: Query }): JSX.Element | null {
  const { backend, toast } = useDesk();
  if (backend.home !== "browser") return null;
  const save = async () => {
    try {
      await (backend as BrowserBackend).save(withQuery("/api/tasks/export", { ...query, format: "csv" }), "tasks.csv");
    } catch (problem) {
      toast(problem instanceof Error ? problem.message : String(problem), "bad");
    }
  };
  return (
    <button type="button" onClick={save}>
      <Icon name="down" />
      Export CSV
    </button>
  );
}

export function Model({ of }: { of: { provider: string | null; model: string | null } }): JSX.Element {
  if (!of.model) return <span class="faint">–</span>;
  return (
    <span class="soft" title={`${of.provider}/${of.model}`}>
      {of.model.split("/").at(-1)}
    </span>
  );
}

// Who did what to what, and when; and the proof that nobody changed the record of it.

import "./audit.css";

import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { type Query, withQuery } from "../backend";
import type { BrowserBackend } from "../browser";
import { Dialog } from "../components/dialog";
import { Facts } from "../components/facts";
import { Filters, Search, useFilter, When } from "../components/filters";
import { Head } from "../components/head";
import { Icon } from "../components/icons";
import { Pager } from "../components/pager";
import { Block, Loading, Read } from "../components/states";
import { type Column, Table } from "../components/table";
import { TableFrame } from "../components/table_frame";
import { Copy, Text } from "../components/text";
import { Ago } from "../components/time";
import { asRefusal, useData, useDesk } from "../desk";
import { count, exact, words } from "../format";
import { go, hashOf, Link } from "../route";
import type { AuditEntry, Listed, Verdict } from "../shapes";
import { spanOf } from "../span";
import type { ViewProps } from "../views";
import { Proven } from "./verdict";

const ROWS = 50;
const FILTERS = ["action", "principal", "subject"] as const;
const TIMES = ["when", "since", "until"] as const;
const VIEWS_OF: Record<string, string> = { task: "tasks", run: "runs" };
const ACTIONS = [
  "task_submitted",
  "route_decided",
  "provider_called",
  "task_completed",
  "task_failed",
  "task_cancelled",
  "task_rated",
  "run_started",
  "run_completed",
  "run_failed",
  "approval_requested",
  "approval_decided",
  "budget_set",
  "budget_refused",
  "agent_updated",
  "signed_in",
  "sign_in_failed",
  "token_issued",
  "request_refused",
];

export function Audit({ route }: ViewProps): JSX.Element {
  const { may } = useDesk();
  const filter = useFilter(route);
  const { when, since, until, entry } = route.query;
  const span = useMemo(() => spanOf(route.query, Date.now()), [when, since, until]);
  const chosen = { ...Object.fromEntries(FILTERS.map((name) => [name, route.query[name]])), ...span };
  const offset = Number(route.query.offset) || 0;
  const entries = useData<Listed<AuditEntry>>("/api/audit", { ...chosen, limit: ROWS, offset }, ["audit"]);
  const filtered = [...FILTERS, ...TIMES].some((name) => route.query[name]);
  const clear = () => filter(Object.fromEntries([...FILTERS, ...TIMES].map((name) => [name, null])));
  const shown = useChosen(entries.data?.data ?? [], entry);
  const to = (row: AuditEntry) => hashOf("audit", null, { ...route.query, entry: row.sequence });
  return (
    <>
      <Head title="Audit" note={entries.data ? `${count(entries.data.meta.total)} ${filtered ? "entries found" : "entries"}` : "\u00a0"}>
        {may("audit_export") && <Export query={chosen} />}
        <Verify />
      </Head>
      <Filters clear={filtered ? clear : undefined}>
        <Search label="Action" value={route.query.action ?? ""} offers={ACTIONS} set={(text) => filter({ action: text })} />
        <Search label="Principal" further value={route.query.principal ?? ""} set={(text) => filter({ principal: text })} />
        <Search label="Subject" further value={route.query.subject ?? ""} set={(text) => filter({ subject: text })} />
        <When route={route} />
      </Filters>
      <Read from={entries} loading={<Loading lines={12} />}>
        {({ data, meta }) => (
          <>
            {data.length ? (
              <TableFrame>
                <Table caption="Entries of the audit trail, newest first" columns={COLUMNS} rows={data} rowKey={(row) => row.sequence} to={to} busy={entries.loading} />
              </TableFrame>
            ) : (
              <Block icon="audit" title={filtered ? "No entry fits these filters" : "The trail is empty"}>
                {filtered ? "Names of actions, principals and subjects are taken whole, as they stand in the trail." : undefined}
              </Block>
            )}
            {(meta.total > ROWS || meta.offset > 0) && <Pager meta={meta} shown={data.length} turn={(next) => filter({ offset: next || null })} />}
          </>
        )}
      </Read>
      {shown && <Entry entry={shown} close={() => go(hashOf("audit", null, { ...route.query, entry: null }), true)} />}
    </>
  );
}

/** The row of this number; it stays when newer entries push it off the page. */
function useChosen(rows: readonly AuditEntry[], sequence: string | undefined): AuditEntry | null {
  const last = useRef<AuditEntry | null>(null);
  last.current = [...rows, ...(last.current ? [last.current] : [])].find((row) => String(row.sequence) === sequence) ?? null;
  return last.current;
}

const COLUMNS: readonly Column<AuditEntry>[] = [
  { head: "Action", cell: (entry) => words(entry.action) },
  { head: "Subject", cell: (entry) => <Subject of={entry.subject} /> },
  { head: "Principal", cell: (entry) => entry.principal },
  { head: "Details", kind: "wide", from: "medium", cell: (entry) => <span class="mono soft">{Object.keys(entry.payload).length > 0 && JSON.stringify(entry.payload)}</span> },
  { head: "Entry", kind: "number", from: "large", cell: (entry) => <span class="faint">{count(entry.sequence)}</span> },
  { head: "When", kind: "number", cell: (entry) => <Ago at={entry.at} /> },
];

function Subject({ of, whole }: { of: string; whole?: boolean }): JSX.Element {
  const [kind = "", id = ""] = of.split(":", 2);
  const view = VIEWS_OF[kind];
  const text = whole || id.length < 20 ? of : `${kind}:${id.slice(0, 8)}…`;
  if (!view || !id) return <span class="mono">{text}</span>;
  return (
    <Link to={hashOf(view, id)} class="mono" title={of}>
      {text}
    </Link>
  );
}

function Entry({ entry, close }: { entry: AuditEntry; close: () => void }): JSX.Element {
  return (
    <Dialog title={words(entry.action)} close={close} drawer>
      <Facts
        of={[
          ["Entry", count(entry.sequence)],
          ["When", exact(entry.at)],
          ["Principal", entry.principal],
          ["Subject", <Subject of={entry.subject} whole />],
        ]}
      />
      <h3>Details</h3>
      <Text of={entry.payload} label="Details" />
      <h3>Hash</h3>
      <p class="hash mono">
        {entry.hash}
        <Copy text={entry.hash} what="Hash" />
      </p>
      <p class="faint">The hash is of this entry and of the hash before it: to change an entry, all later ones would have to be made anew.</p>
    </Dialog>
  );
}

function Verify(): JSX.Element {
  const { backend, announce } = useDesk();
  const [state, setState] = useState<{ verdict?: Verdict; problem?: string; busy: boolean; at?: string }>({ busy: false });
  const [open, setOpen] = useState(false);
  const verify = async () => {
    setState({ busy: true });
    try {
      const verdict: Verdict = await backend.get("/api/audit/verify");
      setState({ verdict, busy: false, at: new Date().toISOString() });
      announce(verdict.ok ? "The chain holds." : "The chain is broken.");
    } catch (problem) {
      setState({ problem: asRefusal(problem).message, busy: false });
    }
    setOpen(true);
  };
  return (
    <>
      <button type="button" class="primary" disabled={state.busy} onClick={verify}>
        <Icon name="audit" />
        {state.busy ? "Verifying…" : "Verify chain"}
      </button>
      {open && (
        <Dialog title="Verification" close={() => setOpen(false)}>
          {state.verdict && <Proven verdict={state.verdict} />}
          {state.problem && <p class="fault">{state.problem}</p>}
        </Dialog>
      )}
    </>
  );
}

/** The entries that are found, as a file. */
function Export({ query }: { query: Query }): JSX.Element | null {
  const { backend, toast } = useDesk();
  if (backend.home !== "browser") return null;
  const save = async (format: "jsonl" | "csv") => {
    try {
      await (backend as BrowserBackend).save(withQuery("/api/audit/export", { ...query, format }), `audit.${format}`);
    } catch (problem) {
      toast(asRefusal(problem).message, "bad");
    }
  };
  return (
    <>
      <button type="button" onClick={() => void save("csv")}>
        <Icon name="down" />
        CSV
      </button>
      <button type="button" title="JSON Lines with a seal at the end, which can be verified elsewhere" onClick={() => void save("jsonl")}>
        <Icon name="down" />
        Sealed JSON
      </button>
    </>
  );
}

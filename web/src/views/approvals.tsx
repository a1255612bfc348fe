// What waits for a person's word, and the word itself.

import "./approvals.css";

import type { JSX } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { DECIDE, type Decision } from "../actions";
import type { Json } from "../backend";
import { Badge } from "../components/badge";
import { Head } from "../components/head";
import { Icon } from "../components/icons";
import { Pager } from "../components/pager";
import { Block, Read } from "../components/states";
import { Text } from "../components/text";
import { Ago } from "../components/time";
import { useFilter } from "../components/filters";
import { useAction, useData, useDesk } from "../desk";
import { plural } from "../format";
import { hashOf, Link } from "../route";
import type { Approval, Listed } from "../shapes";
import type { ViewProps } from "../views";

const ROWS = 20;
const LONGEST_COMMENT = 2000;

export function Approvals({ route }: ViewProps): JSX.Element {
  const filter = useFilter(route);
  const offset = Number(route.query.offset) || 0;
  const waiting = useData<Listed<Approval>>("/api/approvals", { limit: ROWS, offset }, ["approvals"]);
  const decided = useRef(new Map<string, number>());
  const stay = useStaying(waiting.data?.data ?? [], decided.current);
  const total = waiting.data?.meta.total;
  return (
    <>
      <Head title="Approvals" note={total === undefined ? "\u00a0" : total ? `${plural(total, "decision")} waiting, oldest first` : "Nothing waits"} />
      <Read from={waiting}>
        {({ data, meta }) => (
          <>
            {stay.map((approval, place) => (
              <Waits key={keyOf(approval)} approval={approval} linked decided={() => decided.current.set(keyOf(approval), place)} />
            ))}
            {!stay.length && (
              <Block icon="approvals" title="Nothing waits for your decision">
                Steps of workflows that ask a person stand here until somebody decides.
              </Block>
            )}
            {(meta.total > ROWS || meta.offset > 0) && <Pager meta={meta} shown={data.length} turn={(to) => filter({ offset: to || null })} />}
          </>
        )}
      </Read>
    </>
  );
}

function keyOf({ run, step, asked_at }: Approval): string {
  return `${run} ${step} ${asked_at}`;
}

/** What waits, and at its old place what was decided here: no other question moves under a finger that has just pressed. */
function useStaying(rows: readonly Approval[], decided: ReadonlyMap<string, number>): Approval[] {
  const seen = useRef(new Map<string, Approval>());
  for (const row of rows) seen.current.set(keyOf(row), row);
  const shown = rows.filter((row) => !decided.has(keyOf(row)));
  for (const [key, place] of [...decided].sort((one, other) => one[1] - other[1])) shown.splice(place, 0, seen.current.get(key)!);
  return shown;
}

interface WaitsProps {
  approval: Approval;
  /** Its run is elsewhere. */
  linked?: boolean;
  decided?: () => void;
}

/** One approval, and the two answers to it. */
export function Waits({ approval, linked, decided }: WaitsProps): JSX.Element {
  const { may, toast } = useDesk();
  const title = useId();
  const [comment, setComment] = useState("");
  const [answered, setAnswered] = useState<string | null>(null);
  const decide = useAction(DECIDE, ["approvals", "runs", "tasks", "audit"]);
  const answer = async (approve: boolean) => {
    const decision = { run: approval.run, step: approval.step, approve, comment: comment.trim() || null };
    const run = await decide.run(decision);
    if (run === undefined) return;
    if (stillWaits(run, approval.step)) return toast(`Nobody decided: ${approval.step} still waits.`, "bad");
    decided?.();
    setAnswered(told(run, decision));
  };
  return (
    <article class="waits card" aria-labelledby={title} aria-busy={decide.busy}>
      <header>
        <h2 id={title}>
          {approval.step}
          {linked && (
            <>
              {" "}
              <span class="soft">in</span> <Link to={hashOf("runs", approval.run)}>{approval.workflow}</Link>
            </>
          )}
        </h2>
        {answered ? (
          <Badge tone="neutral" icon="check">
            Decided
          </Badge>
        ) : (
          <Badge tone="warn" icon="hand">
            {approval.human ? "A person must decide" : "Waits for a decision"}
          </Badge>
        )}
        <span class="faint waits-since">
          {approval.asked_at && (
            <>
              asked <Ago at={approval.asked_at} />
            </>
          )}
          {approval.due_at && (
            <>
              , else {approval.on_timeout === "approve" ? "approves" : "rejects"} itself <Ago at={approval.due_at} />
            </>
          )}
        </span>
      </header>
      <Text of={approval.prompt ?? "It asks without words."} label={`What ${approval.step} asks`} />
      {answered && (
        <p class="waits-answered" role="status">
          {answered}
        </p>
      )}
      {!answered && may("run_change") && (
        <form class="waits-answer" onSubmit={(event) => event.preventDefault()}>
          <label>
            <span class="unseen">Comment on {approval.step}</span>
            <input value={comment} maxLength={LONGEST_COMMENT} placeholder="Comment, if you like" disabled={decide.busy} onInput={(event) => setComment(event.currentTarget.value)} />
          </label>
          <button type="button" class="danger" disabled={decide.busy} aria-describedby={title} onClick={() => void answer(false)}>
            <Icon name="cross" />
            Reject
          </button>
          <button type="button" class="primary" disabled={decide.busy} aria-describedby={title} onClick={() => void answer(true)}>
            <Icon name="check" />
            Approve
          </button>
        </form>
      )}
      <p class="problem" role="alert">
        {decide.error?.message}
      </p>
    </article>
  );
}

/** What was decided: a client that asks the person itself may bring another answer than the one that was pressed. */
function told(run: Json, { step, approve }: Decision): string {
  const approved = stepOf(run, step)?.output?.approved ?? approve;
  return approved ? `Approved ${step}: the run goes on.` : `Rejected ${step}.`;
}

/** A client that asks the person itself may bring no answer. */
function stillWaits(run: Json, step: string): boolean {
  return stepOf(run, step)?.status === "awaiting_approval";
}

function stepOf(run: Json, step: string): Json {
  return Array.isArray(run?.steps) ? run.steps.find((row: Json) => row.id === step) : undefined;
}

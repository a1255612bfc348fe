// The agent of a form: chosen of all that there are, or typed where they are too many to list.

import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { type Data, useData } from "../desk";
import type { Listed } from "../shapes";

interface Agent {
  name: string;
  status: string;
}

/** As many as an answer has at most. */
const LISTED = 100;

/** The newest agents. */
export function useAgents(): Data<Listed<Agent>> {
  return useData<Listed<Agent>>("/api/agents", { limit: LISTED });
}

/** Whether there are more agents than are listed. */
export function more({ data }: Data<Listed<Agent>>): boolean {
  return data !== null && data.meta.total > data.data.length;
}

interface AgentFieldProps {
  name: string;
  /** Only those that take work. */
  active?: boolean;
  /** What is chosen unless another is. */
  initial?: string;
}

export function AgentField({ name, active, initial }: AgentFieldProps): JSX.Element {
  const list = useId();
  const agents = useAgents();
  const rows = agents.data?.data ?? [];
  const names = agents.data ? rows.filter((agent) => !active || agent.status === "active").map((agent) => agent.name) : initial ? [initial] : [];
  const options = names.map((each) => (
    <option key={each} value={each} selected={each === initial}>
      {each}
    </option>
  ));
  return (
    <label>
      Agent
      {more(agents) ? (
        <>
          <input name={name} list={list} required maxLength={200} defaultValue={initial ?? ""} placeholder="Its name" spellcheck={false} />
          <datalist id={list}>{options}</datalist>
        </>
      ) : (
        <select name={name} required>
          {options}
        </select>
      )}
    </label>
  );
}

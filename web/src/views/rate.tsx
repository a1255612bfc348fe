// How good an answer was, from 1 to 5: the router learns from it.

import type { JSX } from "preact";
import { RATE } from "../actions";
import { Section } from "../components/head";
import { Icon } from "../components/icons";
import { useAction, useData, useDesk } from "../desk";
import type { AuditEntry, Listed } from "../shapes";

const WORDS = ["useless", "poor", "fair", "good", "perfect"];

export function Rate({ task }: { task: string }): JSX.Element | null {
  const { may } = useDesk();
  // The trail is where ratings are told.
  const trail = useData<Listed<AuditEntry>>(may("audit_read") ? "/api/audit" : null, { action: "task_rated", subject: `task:${task}`, limit: 1 });
  const rate = useAction(RATE, ["tasks", "audit"], "Rated. The router learns from it.");
  if (!may("task_change")) return null;
  const last = Number(trail.data?.data[0]?.payload.rating ?? 0);
  return (
    <Section title="Rating" note={last ? `${last} of 5, ${WORDS[last - 1]}` : "not rated yet"}>
      <div class="stars" role="group" aria-label="Rate the answer">
        {WORDS.map((word, index) => (
          <button
            key={word}
            type="button"
            class={`quiet only-icon ${index < last ? "on" : ""}`}
            aria-label={`${index + 1} of 5: ${word}`}
            title={`${index + 1}: ${word}`}
            aria-pressed={last === index + 1}
            disabled={rate.busy}
            onClick={() => void rate.run({ id: task, rating: index + 1 }).then(trail.reload)}
          >
            <Icon name="star" filled={index < last} />
          </button>
        ))}
      </div>
    </Section>
  );
}

// An alert as the API answers it, and the order in which alerts are to be seen. Pure.

export interface Alert {
  id: string;
  kind: string;
  severity: "warning" | "critical";
  subject: string;
  message: string;
  opened_at: string;
  closed_at: string | null;
  acknowledged_at: string | null;
  acknowledged_by: string | null;
}

const RANK = { critical: 0, warning: 1 };

/** What nobody has seen yet first, then what is critical, then the newest. */
export function inOrder(alerts: readonly Alert[]): Alert[] {
  const seen = (alert: Alert) => Number(alert.acknowledged_at !== null);
  return [...alerts].sort((a, b) => seen(a) - seen(b) || RANK[a.severity] - RANK[b.severity] || b.opened_at.localeCompare(a.opened_at));
}

/** "Latency: openai/gpt-5"; a budget's subject is already "budget of user ada per day". */
export function titleOf({ subject }: Alert, kind: string | undefined): string {
  return kind ? `${kind}: ${subject}` : subject.charAt(0).toUpperCase() + subject.slice(1);
}

// Budgets: how much of each is spent, where it goes, when it begins anew; set and removed by whoever may.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Action, withQuery } from "../backend";
import { Meter } from "../charts/meter";
import { Dialog } from "../components/dialog";
import { Section } from "../components/head";
import { Icon } from "../components/icons";
import { Block, Read } from "../components/states";
import { Ago, useNow } from "../components/time";
import { inBrowser } from "../app";
import { useAction, useData, useDesk } from "../desk";
import { money, words } from "../format";
import { BudgetForm } from "./budget_form";
import { type Budget, budgetText, paceOf } from "./usage";

const OF_SETTINGS = "VEL_TUTOR_BUDGET_USD_DAY";

const REMOVE: Action<Budget> = {
  name: "remove a budget",
  rest: ({ scope, subject_id, period }) => ({ method: "DELETE", path: withQuery("/api/budgets", { scope, subject: subject_id, period }) }),
};

export function Budgets(): JSX.Element {
  const { may, backend } = useDesk();
  const budgets = useData<{ data: Budget[] }>(may("budget_read") ? "/api/budgets" : null, {}, ["usage"]);
  const [setting, setSetting] = useState(false);
  const mayWrite = may("budget_write");
  const add = mayWrite && backend.home === "browser" && (
    <button type="button" onClick={() => setSetting(true)}>
      <Icon name="plus" />
      Set a budget
    </button>
  );
  return (
    <Section title="Budgets" note="marks at 80% and 100%" actions={add}>
      {may("budget_read") ? (
        <Read from={budgets}>{({ data }) => (data.length ? <List budgets={data} mayRemove={mayWrite && backend.home === "browser"} /> : <None mayWrite={mayWrite} />)}</Read>
      ) : (
        <Block icon="lock" title="You have no permission to see budgets" />
      )}
      {mayWrite && backend.home === "app" && <p class="elsewhere">{inBrowser("set or remove a budget")}</p>}
      {setting && <BudgetForm close={() => setSetting(false)} done={budgets.reload} />}
    </Section>
  );
}

function None({ mayWrite }: { mayWrite: boolean }): JSX.Element {
  return (
    <Block icon="costs" title="There are no budgets">
      <p>{mayWrite ? "A hard budget is never passed: what would go beyond it is refused. A soft one only warns." : "Whoever may set them has set none."}</p>
    </Block>
  );
}

function List({ budgets, mayRemove }: { budgets: Budget[]; mayRemove: boolean }): JSX.Element {
  const [removing, setRemoving] = useState<Budget | null>(null);
  return (
    <>
      <ul class="budgets">
        {budgets.map((budget) => (
          <li key={`${budget.scope} ${budget.subject_id} ${budget.period} ${budget.set_by}`}>
            <Card budget={budget} remove={mayRemove && budget.set_by !== OF_SETTINGS ? () => setRemoving(budget) : null} />
          </li>
        ))}
      </ul>
      {removing && <Removal budget={removing} close={() => setRemoving(null)} />}
    </>
  );
}

function nameOf({ scope, subject }: Budget): string {
  return `${words(scope)} ${subject}`;
}

function Card({ budget, remove }: { budget: Budget; remove: (() => void) | null }): JSX.Element {
  const pace = paceOf(budget, useNow());
  const aside = (100 * budget.reserved_usd) / budget.limit_usd;
  const projected = pace === null ? null : (100 * pace) / budget.limit_usd;
  const name = `${nameOf(budget)}, a ${budget.period}`;
  return (
    <article class="card budget" aria-label={`Budget of ${name}`}>
      <header>
        <div>
          <h3>{nameOf(budget)}</h3>
          <p class="faint">
            {budget.kind === "hard" ? "Hard limit" : "Soft limit"} per {budget.period}
            {budget.set_by === OF_SETTINGS && `, set by ${OF_SETTINGS}`}
          </p>
        </div>
        {remove && (
          <button type="button" class="quiet only-icon" aria-label={`Remove the budget of ${name}`} title="Remove" onClick={remove}>
            <Icon name="cross" />
          </button>
        )}
      </header>
      <div class="budget-amounts">
        <span>
          <b>{money(budget.spent_usd)}</b> of {money(budget.limit_usd)}
        </span>
        <span class="soft">{Math.round(budget.percent)}%</span>
      </div>
      <Meter label={`Spent of the budget of ${name}`} spent={budget.percent} aside={aside} projected={projected} text={budgetText(budget, pace)} />
      <p class="budget-note">
        {pace !== null && <>At this pace {money(pace)}. </>}
        {budget.reserved_usd > 0 && <>{money(budget.reserved_usd)} set aside for open calls. </>}
        {budget.begins_anew && (
          <>
            Renews <Ago at={budget.begins_anew} />.
          </>
        )}
      </p>
    </article>
  );
}

function Removal({ budget, close }: { budget: Budget; close: () => void }): JSX.Element {
  const remove = useAction(REMOVE, ["usage"], "Budget removed.");
  const go = async () => {
    if ((await remove.run(budget)) !== undefined) close();
  };
  return (
    <Dialog title="Remove this budget?" close={close}>
      <p>
        {nameOf(budget)} may then spend without this limit of {money(budget.limit_usd)} per {budget.period}.
      </p>
      <div class="actions">
        <button type="button" onClick={close}>
          Keep it
        </button>
        <button type="button" class="danger" disabled={remove.busy} onClick={() => void go()}>
          Remove the budget
        </button>
      </div>
    </Dialog>
  );
}

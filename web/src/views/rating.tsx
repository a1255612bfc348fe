// How good an answer was, from 1 to 5, as a group of radio buttons: arrow keys choose, and what one rests on is sent.

import type { JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { RATE } from "../actions";
import { useAction, useDesk } from "../desk";

const WORDS = ["useless", "poor", "fair", "good", "perfect"];
/** Who moves along with the arrow keys passes ratings that are not meant. */
const REST_MILLISECONDS = 600;

interface RatingProps {
  task: string;
  rating: number | null;
  /** Whose answer it is. */
  name: string;
  locked: boolean;
}

export function Rating({ task, rating, name, locked }: RatingProps): JSX.Element {
  const { announce } = useDesk();
  const rate = useAction(RATE, ["comparisons", "tasks"]);
  const [chosen, setChosen] = useState<number | null>(null);
  const waiting = useRef<{ value: number; timer: ReturnType<typeof setTimeout> } | null>(null);
  const group = useId();
  useEffect(() => setChosen(null), [rating]);
  const send = async (value: number) => {
    if ((await rate.run({ id: task, rating: value })) === undefined) setChosen(null);
    else announce(`${name} is rated ${value}, ${WORDS[value - 1]}.`);
  };
  const rest = () => {
    if (!waiting.current) return;
    const { value, timer } = waiting.current;
    waiting.current = null;
    clearTimeout(timer);
    void send(value);
  };
  const choose = (value: number) => {
    setChosen(value);
    clearTimeout(waiting.current?.timer);
    waiting.current = { value, timer: setTimeout(rest, REST_MILLISECONDS) };
  };
  // Whoever leaves has made up their mind.
  useEffect(() => rest, []);
  const shown = chosen ?? rating;
  return (
    <fieldset class="rating" disabled={locked}>
      <legend>
        Rating<span class="unseen"> of {name}</span>
      </legend>
      {WORDS.map((word, index) => (
        <label key={word} title={word}>
          <input type="radio" name={group} checked={shown === index + 1} onChange={() => choose(index + 1)} aria-label={`${index + 1}, ${word}`} />
          <span aria-hidden="true">{index + 1}</span>
        </label>
      ))}
      <span class="said">{shown ? WORDS[shown - 1] : "not rated"}</span>
    </fieldset>
  );
}

import type { JSX } from "preact";
import { Block } from "../components/states";
import { Head } from "../components/head";
import type { ViewProps } from "../views";

export function Tasks({ route }: ViewProps): JSX.Element {
  return (
    <>
      <Head title="Tasks" />
      <Block icon="tasks" title={`${route.view} is being built`} />
    </>
  );
}

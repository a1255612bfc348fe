import type { JSX } from "preact";
import { Block } from "../components/states";
import { Head } from "../components/head";
import type { ViewProps } from "../views";

export function Approvals({ route }: ViewProps): JSX.Element {
  return (
    <>
      <Head title="Approvals" />
      <Block icon="tasks" title={`${route.view} is being built`} />
    </>
  );
}

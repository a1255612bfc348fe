import type { JSX } from "preact";
import { Block } from "../components/states";
import { Head } from "../components/head";
import type { ViewProps } from "../views";

export function Audit({ route }: ViewProps): JSX.Element {
  return (
    <>
      <Head title="Audit" />
      <Block icon="tasks" title={`${route.view} is being built`} />
    </>
  );
}

import type { JSX } from "preact";
import { Block } from "../components/states";
import { Head } from "../components/head";
import type { ViewProps } from "../views";

export function Costs({ route }: ViewProps): JSX.Element {
  return (
    <>
      <Head title="Costs" />
      <Block icon="costs" title={`${route.view} is being built`} />
    </>
  );
}

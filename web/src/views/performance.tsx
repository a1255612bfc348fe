import type { JSX } from "preact";
import { Block } from "../components/states";
import { Head } from "../components/head";
import type { ViewProps } from "../views";

export function Performance({ route }: ViewProps): JSX.Element {
  return (
    <>
      <Head title="Performance" />
      <Block icon="performance" title={`${route.view} is being built`} />
    </>
  );
}

import type { JSX } from "preact";
import { Block } from "../components/states";
import { Head } from "../components/head";
import type { ViewProps } from "../views";

export function Compare({ route }: ViewProps): JSX.Element {
  return (
    <>
      <Head title="Compare" />
      <Block icon="compare" title={`${route.view} is being built`} />
    </>
  );
}

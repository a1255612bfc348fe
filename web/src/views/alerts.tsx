import type { JSX } from "preact";
import { Block } from "../components/states";
import { Head } from "../components/head";
import type { ViewProps } from "../views";

export function Alerts({ route }: ViewProps): JSX.Element {
  return (
    <>
      <Head title="Alerts" />
      <Block icon="alerts" title={`${route.view} is being built`} />
    </>
  );
}

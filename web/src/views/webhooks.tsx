import type { JSX } from "preact";
import { Block } from "../components/states";
import { Head } from "../components/head";
import type { ViewProps } from "../views";

export function Webhooks({ route }: ViewProps): JSX.Element {
  return (
    <>
      <Head title="Webhooks" />
      <Block icon="webhooks" title={`${route.view} is being built`} />
    </>
  );
}

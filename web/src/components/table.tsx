// A table that is one of cards on a phone. Rows lead somewhere by their first link; arrow keys move among these.

import type { ComponentChildren, JSX, TargetedKeyboardEvent, TargetedMouseEvent } from "preact";
import { useRef } from "preact/hooks";
import { step } from "../keys";
import { go, Link } from "../route";

export interface Column<Row> {
  head: string;
  cell: (row: Row) => ComponentChildren;
  /** Numbers stand at the end. `wide` takes the room that is left, and cuts what does not fit. */
  kind?: "number" | "wide";
  /** Left out below this width of the page. */
  from?: "medium" | "large";
}

interface TableProps<Row> {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string | number;
  /** Where a row leads: its first cell becomes the link. */
  to?: (row: Row) => string;
  busy?: boolean;
}

export function Table<Row>({ caption, columns, rows, rowKey, to, busy }: TableProps<Row>): JSX.Element {
  const body = useRef<HTMLTableSectionElement>(null);
  const move = (event: TargetedKeyboardEvent<HTMLTableSectionElement>) => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : null;
    if (by === null || !(event.target as HTMLElement).matches(".row-link")) return;
    event.preventDefault();
    step([...event.currentTarget.querySelectorAll<HTMLElement>(".row-link")], by);
  };
  // Tables that are laid out as cards are no tables to some screen readers, unless their roles are told.
  return (
    <table role="table" aria-busy={busy ?? false}>
      <caption class="unseen">{caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map((column) => (
            <th scope="col" role="columnheader" key={column.head} class={classOf(column)}>
              {column.head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup" ref={body} onKeyDown={move}>
        {rows.map((row) => (
          <Row key={rowKey(row)} row={row} columns={columns} to={to?.(row)} />
        ))}
      </tbody>
    </table>
  );
}

function Row<Row>({ row, columns, to }: { row: Row; columns: readonly Column<Row>[]; to: string | undefined }): JSX.Element {
  const follow = (event: TargetedMouseEvent<HTMLTableRowElement>) => {
    if (!to || (event.target as HTMLElement).closest("a, button, input, select, summary")) return;
    if (!getSelection()?.toString()) go(to);
  };
  return (
    <tr role="row" class={to ? "leads" : ""} onClick={follow}>
      {columns.map((column, index) => (
        <td role="cell" key={column.head} class={classOf(column)} data-label={column.head}>
          {to && index === 0 ? (
            <Link to={to} class="row-link">
              {column.cell(row)}
            </Link>
          ) : (
            column.cell(row)
          )}
        </td>
      ))}
    </tr>
  );
}

function classOf<Row>(column: Column<Row>): string {
  return [column.kind ?? "", column.from ? `from-${column.from}` : ""].join(" ").trim();
}

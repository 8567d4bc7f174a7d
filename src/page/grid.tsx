/**
 * A table of any length: only the rows in sight are in the document. Arrow keys move, Enter opens. The grid has
 * the focus and names its active row (ARIA's grid pattern), which the linter's rules for single elements do not know.
 */
import type { ComponentChildren, JSX } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

const ROW = 28; // px; the same in style.css

export interface GridColumn<T> {
  readonly title: string;
  readonly isNumber?: boolean;
  /** Of the room that the columns share. */
  readonly share?: 'small' | 'large';
  readonly cell: (row: T) => ComponentChildren;
}

export interface GridProps<T> {
  readonly label: string;
  readonly columns: ReadonlyArray<GridColumn<T>>;
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  readonly selected: string | undefined;
  readonly onSelect: (row: T) => void;
  /** For a tree: a row's level from 1, and whether the rows below it are shown. */
  readonly level?: (row: T) => number;
  readonly isOpen?: (row: T) => boolean | undefined;
  readonly onToggle?: (row: T, open: boolean) => void;
  readonly empty: string;
}

export function Grid<T>(props: GridProps<T>): JSX.Element {
  const { label, columns, rows, keyOf, selected, onSelect, level, isOpen, onToggle, empty } = props;
  const body = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 400 });
  const [focus, setFocus] = useState<string>();
  useLayoutEffect(() => {
    if (body.current) setView({ top: body.current.scrollTop, height: body.current.clientHeight });
  }, []);

  const first = Math.max(0, Math.floor(view.top / ROW) - 5);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW) + 5);
  const found = rows.findIndex((row) => keyOf(row) === (focus ?? selected));
  const current = Math.max(0, found);

  const go = (index: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    const row = rows[next];
    const element = body.current;
    if (!row || !element) return;
    setFocus(keyOf(row));
    if (next * ROW < element.scrollTop) element.scrollTop = next * ROW;
    if ((next + 1) * ROW > element.scrollTop + element.clientHeight)
      element.scrollTop = (next + 1) * ROW - element.clientHeight;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(view.height / ROW) - 1);
    const row = rows[current];
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -rows.length,
      End: rows.length,
    };
    const step = steps[event.key];
    if (step !== undefined) go(current + step);
    else if (event.key === 'Enter' && row) onSelect(row);
    else if ((event.key === 'ArrowLeft' || event.key === 'ArrowRight') && row)
      onToggle?.(row, event.key === 'ArrowRight');
    else return;
    event.preventDefault();
  };

  const active = rows[current] ? `${label}-${keyOf(rows[current])}` : undefined;
  return (
    <div
      class="grid"
      role={level ? 'treegrid' : 'grid'}
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-activedescendant={active}
      tabIndex={0}
      onKeyDown={onKeyDown}
    >
      <div role="row" aria-rowindex={1} class="titles">
        {columns.map((column) => (
          <span role="columnheader" class={classOf(column)}>
            {column.title}
          </span>
        ))}
      </div>
      <div
        class="rows"
        role="rowgroup"
        ref={body}
        onScroll={({ currentTarget }) => setView({ top: currentTarget.scrollTop, height: currentTarget.clientHeight })}
      >
        {rows.length === 0 ? <p class="empty">{empty}</p> : null}
        <Space rows={first} />
        {rows.slice(first, last).map((row, i) => {
          const key = keyOf(row);
          const open = isOpen?.(row);
          return (
            <div
              role="row"
              key={key}
              id={`${label}-${key}`}
              aria-rowindex={first + i + 2}
              aria-selected={key === selected}
              aria-level={level?.(row)}
              aria-expanded={open}
              class={`row${first + i === current ? ' current' : ''} level-${level?.(row) ?? 1}`}
              onClick={() => {
                setFocus(key);
                onSelect(row);
              }}
            >
              {columns.map((column, at) => (
                <span role="gridcell" class={classOf(column)} title={titleOf(column.cell(row))}>
                  {at === 0 && level ? (
                    <>
                      <span class="indent">{'\u00a0'.repeat(3 * ((level(row) ?? 1) - 1))}</span>
                      <Toggle open={open} onClick={() => onToggle?.(row, !open)} />
                    </>
                  ) : null}
                  {column.cell(row)}
                </span>
              ))}
            </div>
          );
        })}
        <Space rows={rows.length - last} />
      </div>
    </div>
  );
}

function classOf<T>({ isNumber, share }: GridColumn<T>): string {
  return [isNumber ? 'number' : '', share ?? ''].join(' ').trim();
}

/** The whole text, for who points at what is cut. */
function titleOf(content: ComponentChildren): string | undefined {
  return typeof content === 'string' && content !== '' ? content : undefined;
}

/** The height of rows that are not there. Set through the DOM: the policy of the page allows no style attribute. */
function Space({ rows }: { readonly rows: number }): JSX.Element {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (element.current) element.current.style.height = `${Math.max(0, rows) * ROW}px`;
  }, [rows]);
  return <div ref={element} aria-hidden="true" />;
}

function Toggle({ open, onClick }: { readonly open: boolean | undefined; readonly onClick: () => void }): JSX.Element {
  if (open === undefined) return <span class="toggle" aria-hidden="true" />;
  return (
    <button
      type="button"
      class="toggle"
      tabIndex={-1}
      aria-label={open ? 'fold' : 'unfold'}
      onClick={(event) => {
        event.stopPropagation();
        onClick();
      }}
    >
      {open ? '▾' : '▸'}
    </button>
  );
}

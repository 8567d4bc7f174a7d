/** A plot over the last minutes. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';

export interface PlotProps {
  readonly title: string;
  readonly times: readonly number[];
  readonly labels: readonly string[];
  readonly values: ReadonlyArray<readonly number[]>;
  readonly format: (value: number) => string;
}

/** Told apart in light and dark, and by most who see colours otherwise (Okabe and Ito's). */
const colours = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#888888'];
const HEIGHT = 170;
/** In seconds: a page that was just opened does not stretch its first moments. */
const SHORTEST = 60;

export function Plot({ title, times, labels, values, format }: PlotProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const names = labels.join('\n');

  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    // Asked at each drawing: the user may change from light to dark.
    const ink = (): string => getComputedStyle(element).color;
    const axis: uPlot.Axis = { stroke: ink, grid: { stroke: '#8884', width: 1 }, ticks: { show: false } };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        axes: [
          { ...axis, space: 80, values: (_plot, ticks) => ticks.map(clock) },
          { ...axis, size: 70, values: (_plot, ticks) => ticks.map(format) },
        ],
        scales: {
          x: { range: (_plot, min, max) => [Math.min(min, max - SHORTEST), max] },
          y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] },
        },
        series: [
          {},
          ...labels.map((label, i): uPlot.Series => {
            return { label, stroke: colours[i % colours.length] ?? 'gray', width: 1.5, points: { show: false } };
          }),
        ],
      },
      [[], ...labels.map(() => [])],
      element,
    );
    plot.current = made;
    const onResize = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    onResize.observe(element);
    return () => {
      onResize.disconnect();
      made.destroy();
    };
  }, [names]);

  useEffect(() => {
    plot.current?.setData([[...times], ...values.map((each) => [...each])]);
  }, [times, values]);

  return (
    <figure>
      <figcaption>{title}</figcaption>
      <div class="plot" ref={place} role="img" aria-label={`${title}: ${describe(labels, values, format)}`} />
      <ul class="legend" aria-hidden="true">
        {labels.map((label, i) => (
          <li class={`colour-${i % colours.length}`}>{label}</li>
        ))}
      </ul>
    </figure>
  );
}

/** UTC, as everywhere on the page. */
function clock(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(11, 19);
}

function describe(labels: readonly string[], values: PlotProps['values'], format: (value: number) => string): string {
  return labels.map((label, i) => `${label} ${format(values[i]?.at(-1) ?? 0)}`).join(', ');
}

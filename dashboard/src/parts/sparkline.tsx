/** A line of values, the newest at the right. It says nothing by itself: the figure beside it does. */
export function Sparkline({ values, slots = 60 }: { values: number[]; slots?: number }) {
  const top = Math.max(1, ...values);
  const first = slots - values.length;
  const points = values.map((value, i) => {
    const x = ((first + i) / (slots - 1)) * 100;
    return `${x.toFixed(2)},${(27 - (value / top) * 24).toFixed(2)}`;
  });
  const from = ((Math.max(0, first) / (slots - 1)) * 100).toFixed(2);
  return (
    <svg aria-hidden viewBox="0 0 100 28" preserveAspectRatio="none" className="h-7 w-full text-accent">
      <line x1="0" x2="100" y1="27.5" y2="27.5" stroke="var(--line)" vectorEffect="non-scaling-stroke" />
      {points.length > 1 && (
        <>
          <polygon points={`${from},28 ${points.join(" ")} 100,28`} fill="currentColor" opacity="0.12" />
          <polyline
            points={points.join(" ")}
            fill="none"
            stroke="currentColor"
            strokeWidth="1.5"
            vectorEffect="non-scaling-stroke"
          />
        </>
      )}
    </svg>
  );
}

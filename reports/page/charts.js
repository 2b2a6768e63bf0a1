// Charts as data (the page's JSON) to Vega specifications, and those to drawings. Colours are variables of the style
// sheet and shades are opacities, so that light, dark and print need no second drawing.
const charts = (() => {
  const palette = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => `var(--c${i})`);
  const dashes = [[], [6, 3], [2, 3], [8, 3, 2, 3], [], [6, 3], [2, 3], [8, 3, 2, 3]];
  const kMostPoints = 300;  // drawn per series
  let vega = null;

  function load() {
    if (vega) return vega;
    if (typeof modules === 'undefined') return null;
    const need = modules.require;
    Object.assign(need('vega-dataflow').transforms, need('vega-transforms'), need('vega-view-transforms'), need('vega-encode'));
    vega = { parse: need('vega-parser').parse, View: need('vega-view').View };
    return vega;
  }

  const finite = (v) => typeof v === 'number' && Number.isFinite(v);

  // Four significant digits; what is tiny or huge with an exponent.
  function number(v) {
    if (v === null || v === undefined) return '';
    if (typeof v !== 'number') return String(v);
    if (Number.isInteger(v) && Math.abs(v) < 1e15) return v.toLocaleString('en-US');
    const size = Math.abs(v);
    return size < 1e-3 || size >= 1e6 ? v.toExponential(3).replace(/\.?0+e/, 'e') : String(Number(v.toPrecision(4)));
  }

  // Every point as one row, with the text that its tooltip shows. What a logarithmic axis cannot show is left out.
  function rows(chart) {
    const out = [];
    chart.series.forEach((series, s) => {
      for (let i = 0; i < series.y.length; ++i) {
        const x = series.x && series.x.length ? series.x[i] : i, y = series.y[i];
        const label = series.labels && series.labels[i] !== undefined ? series.labels[i] : null;
        if (!finite(y) || (!finite(x) && label === null)) continue;
        const low = series.low && finite(series.low[i]) ? series.low[i] : null;
        const high = series.high && finite(series.high[i]) ? series.high[i] : null;
        out.push({ s, name: series.name, i, x, y, low, high, label, text: words(chart, series, x, y, low, high, label) });
      }
    });
    return out;
  }

  function words(chart, series, x, y, low, high, label) {
    const lines = [];
    if (series.name) lines.push(series.name);
    if (label !== null) lines.push(label);
    if (series.x && series.x.length && chart.kind !== 'heatmap' && !(label !== null && chart.kind === 'bar'))
      lines.push(`${chart.x.title || 'x'}: ${number(x)}`);
    if (chart.texts && chart.texts[series.name] !== undefined) lines.push(chart.texts[series.name]);
    lines.push(`${chart.y.title || 'value'}: ${number(y)}`);
    if (low !== null && high !== null) lines.push(`${number(low)} to ${number(high)}`);
    return lines.join('\n');
  }

  const drawable = (chart, row) => (!chart.x.log || row.x > 0) && (!chart.y.log || row.y > 0);

  // At most kMostPoints of a series, keeping the lowest and the highest of every stretch.
  function thin(points) {
    if (points.length <= kMostPoints) return points;
    const out = [], stretch = points.length / (kMostPoints / 2);
    for (let from = 0; from < points.length; from += stretch) {
      const part = points.slice(Math.floor(from), Math.floor(from + stretch));
      if (!part.length) continue;
      let low = part[0], high = part[0];
      for (const p of part) { if (p.y < low.y) low = p; if (p.y > high.y) high = p; }
      out.push(...(low === high ? [low] : low.i < high.i ? [low, high] : [high, low]));
    }
    if (out[out.length - 1] !== points[points.length - 1]) out.push(points[points.length - 1]);
    return out;
  }

  function extent(values) {
    let low = Infinity, high = -Infinity;
    for (const v of values) { if (!finite(v)) continue; if (v < low) low = v; if (v > high) high = v; }
    return low <= high ? [low, high] : [0, 1];
  }

  function scale(name, axis, values, range, zero) {
    let [low, high] = extent(values);
    if (axis.log) {
      if (low === high) { low /= 2; high *= 2; }
      return { name, type: 'log', domain: [low, high], range, nice: high / low > 8, zero: false };
    }
    if (low === high) { low -= Math.abs(low) * 0.1 || 0.5; high += Math.abs(high) * 0.1 || 0.5; }
    return { name, type: 'linear', domain: [low, high], range, nice: name === 'y', zero };
  }

  function axisFormat(axis, values) {
    const [low, high] = extent(values);
    if (axis.log) return low < 0.01 || high > 1e5 ? '~e' : '~g';
    const size = Math.max(Math.abs(low), Math.abs(high));
    if (size === 0) return '~g';
    return size < 1e-3 || size >= 1e6 ? '.2~e' : Number.isInteger(low) && Number.isInteger(high) ? ',~r' : '~g';
  }

  // Where a logarithmic axis spans several decades, only they are marked.
  function powersOfTen(values) {
    const [low, high] = extent(values), first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
    if (high / low < 100) return null;
    const every = Math.ceil((last - first) / 8), out = [];
    for (let decade = first; decade <= last; decade += every) out.push(Number(`1e${decade}`));
    return out;
  }

  function axis(orient, name, described, values, extra = {}) {
    const decades = described.log ? powersOfTen(values) : null;
    return { orient, scale: name, title: described.title || null, format: axisFormat(described, values), grid: orient === 'left',
      ...(decades ? { values: decades } : { tickCount: orient === 'left' ? 5 : 8 }), labelOverlap: true, ...extra };
  }

  const config = {
    font: 'system-ui, "Segoe UI", Roboto, sans-serif', aria: false,
    axis: { labelColor: 'var(--quiet)', titleColor: 'var(--quiet)', gridColor: 'var(--line)', domainColor: 'var(--line)',
      tickColor: 'var(--line)', labelFontSize: 11, titleFontSize: 12, titleFontWeight: 'normal', labelLimit: 260, titlePadding: 8 },
    legend: { labelColor: 'var(--ink)', titleColor: 'var(--quiet)', labelFontSize: 12, orient: 'top', direction: 'horizontal',
      columnPadding: 14, symbolType: 'stroke', symbolStrokeWidth: 2, labelLimit: 220 },
    title: { color: 'var(--ink)' },
    text: { fill: 'var(--ink)' },
  };

  const frame = (width, height, more) => ({ width, height, padding: 2, autosize: { type: 'fit-x', contains: 'padding' }, config, ...more });

  function legend(chart, width, fills) {
    if (chart.series.length < 2) return [];
    const columns = Math.max(1, Math.floor(width / (34 + 6.4 * Math.max(...chart.series.map((s) => s.name.length)))));
    return [fills ? { fill: 'color', symbolType: 'square', columns } : { stroke: 'color', strokeDash: 'dash', columns }];
  }

  function colors(chart) {
    const names = chart.series.map((s) => s.name);
    const chosen = chart.series.map((s, i) => (s.hue ? `var(--${s.hue})` : palette[i % palette.length]));
    const dash = chart.series.map((s, i) => s.dash || dashes[i % dashes.length]);
    return [{ name: 'color', type: 'ordinal', domain: names, range: chosen }, { name: 'dash', type: 'ordinal', domain: names, range: dash }];
  }

  function lines(chart, width, height) {
    const all = rows(chart).filter((r) => drawable(chart, r));
    const bySeries = chart.series.map((_, s) => all.filter((r) => r.s === s));
    const points = [].concat(...bySeries.map((part) => (chart.kind === 'line' ? thin(part.sort((a, b) => a.x - b.x)) : part)));
    const banded = points.some((r) => r.low !== null && r.high !== null);
    const xs = points.map((r) => r.x), ys = points.map((r) => r.y);
    if (banded) points.forEach((r) => { if (r.low !== null && (!chart.y.log || r.low > 0)) ys.push(r.low); if (r.high !== null) ys.push(r.high); });
    const [lowest, highest] = extent(ys);
    const zero = !chart.y.log && lowest >= 0 && lowest < 0.6 * highest;
    const at = { x: { scale: 'x', field: 'x' }, y: { scale: 'y', field: 'y' } };
    const facet = { facet: { name: 'one', data: 'points', groupby: 's' } };
    const few = Math.max(...bySeries.map((part) => part.length)) <= 60;
    const marks = [];
    if (chart.kind === 'line') {
      const inside = [];
      if (banded)
        inside.push({ type: 'area', from: { data: 'one' }, encode: { update: { x: at.x, y: { scale: 'y', field: chart.y.log ? 'lowDrawn' : 'low' },
          y2: { scale: 'y', field: 'high' }, fill: { scale: 'color', field: 'name' }, fillOpacity: { value: 0.16 },
          defined: { signal: 'datum.low !== null && datum.high !== null' } } } });
      inside.push({ type: 'line', from: { data: 'one' }, encode: { update: { ...at, stroke: { scale: 'color', field: 'name' },
        strokeDash: { scale: 'dash', field: 'name' }, strokeWidth: { value: 1.8 }, strokeCap: { value: 'round' } } } });
      marks.push({ type: 'group', from: facet, marks: inside });
    } else if (banded) {
      marks.push({ type: 'rule', from: { data: 'points' }, encode: { update: { x: at.x, y: { scale: 'y', field: chart.y.log ? 'lowDrawn' : 'low' },
        y2: { scale: 'y', field: 'high' }, stroke: { scale: 'color', field: 'name' }, opacity: { signal: 'datum.low === null ? 0 : 0.6' } } } });
    }
    const points_of = (size, opacity, more, hover) => ({ type: 'symbol', from: { data: 'points' }, encode: { update: { ...at,
      fill: { scale: 'color', field: 'name' }, size: { value: size }, fillOpacity: { value: opacity }, ...more }, ...hover } });
    const said = { tooltip: { field: 'text' } };
    if (chart.kind === 'scatter') {
      marks.push(points_of(30, 0.75, said, { hover: { fillOpacity: { value: 1 } } }));
    } else {
      if (few) marks.push(points_of(14, 1, {}, {}));
      // What the pointer has to hit is larger than what is drawn.
      marks.push(points_of(150, 0, said, { hover: { fillOpacity: { value: 0.35 } } }));
    }
    const floor = chart.y.log ? extent(ys)[0] : 0;
    points.forEach((r) => { r.lowDrawn = r.low !== null && r.low > 0 ? r.low : floor; });
    return frame(width, height, {
      data: [{ name: 'points', values: points }],
      scales: [scale('x', chart.x, xs, 'width', false), scale('y', chart.y, ys, 'height', zero), ...colors(chart)],
      axes: [axis('left', 'y', chart.y, ys), axis('bottom', 'x', chart.x, xs)],
      legends: legend(chart, width, false), marks,
    });
  }

  // Bars over categories; lying where their names would not fit side by side.
  function categories(chart, width, height) {
    const all = rows(chart).filter((r) => !chart.y.log || r.y > 0);
    const names = [...new Set(all.map((r) => r.label))];
    const longest = Math.max(1, ...names.map((n) => n.length)), groups = chart.series.length;
    const lying = names.length * Math.max(longest * 6.6 + 10, groups * 9) > width - 60;
    const ys = all.flatMap((r) => [r.y, ...(r.low !== null && (!chart.y.log || r.low > 0) ? [r.low] : []), ...(r.high !== null ? [r.high] : [])]);
    const zero = !chart.y.log;
    const base = chart.y.log ? { scale: 'y', signal: "domain('y')[0]" } : { scale: 'y', value: 0 };
    const tall = lying ? names.length * Math.max(18, groups * 9 + 6) : height;
    const [along, across, size] = lying ? ['x', 'y', 'height'] : ['y', 'x', 'width'];
    const bar = { [along]: { scale: 'y', field: 'y' }, [`${along}2`]: base, [across]: { scale: 'inner', field: 's' },
      [size]: { scale: 'inner', band: 1 }, fill: { scale: 'color', field: 'name' }, tooltip: { field: 'text' } };
    const inside = [{ type: 'rect', from: { data: 'group' }, encode: { update: { ...bar, fillOpacity: { value: 0.9 } }, hover: { fillOpacity: { value: 0.6 } } } }];
    if (all.some((r) => r.low !== null))
      inside.push({ type: 'rule', from: { data: 'group' }, encode: { update: { [along]: { scale: 'y', field: 'low' }, [`${along}2`]: { scale: 'y', field: 'high' },
        [across]: { scale: 'inner', field: 's', band: 0.5 }, stroke: { value: 'var(--ink)' }, opacity: { signal: 'datum.low === null ? 0 : 1' } } } });
    const y = { ...scale('y', chart.y, ys, lying ? 'width' : 'height', zero), nice: true };
    return frame(width, tall, {
      data: [{ name: 'bars', values: all }],
      scales: [{ name: 'x', type: 'band', domain: names, range: lying ? 'height' : 'width', padding: 0.2 }, y, ...colors(chart)],
      axes: lying
        ? [axis('bottom', 'y', chart.y, ys, { grid: true }), { orient: 'left', scale: 'x', title: chart.x.title || null, ticks: false }]
        : [axis('left', 'y', chart.y, ys), { orient: 'bottom', scale: 'x', title: chart.x.title || null, ticks: false }],
      legends: legend(chart, width, true),
      marks: [{ type: 'group', from: { facet: { name: 'group', data: 'bars', groupby: 'label' } },
        encode: { update: { [across]: { scale: 'x', field: 'label' }, [size]: { scale: 'x', band: 1 } } },
        signals: [{ name: size, update: "bandwidth('x')" }],
        scales: [{ name: 'inner', type: 'band', domain: chart.series.map((_, i) => i), range: size, padding: groups > 1 ? 0.08 : 0 }],
        marks: inside }],
    });
  }

  // Smallest distance of neighbours: the width of a bar or a cell over a numeric axis.
  function pitch(xs) {
    const sorted = [...new Set(xs)].sort((a, b) => a - b);
    let least = Infinity;
    for (let i = 1; i < sorted.length; ++i) least = Math.min(least, sorted[i] - sorted[i - 1]);
    return Number.isFinite(least) ? least : 1;
  }

  function histogram(chart, width, height) {
    const all = rows(chart).filter((r) => drawable(chart, r));
    const step = pitch(all.map((r) => r.x)), groups = chart.series.length, each = step / groups;
    all.forEach((r) => { r.from = chart.x.log ? r.x : r.x - step / 2 + r.s * each; r.to = chart.x.log ? r.x * 1.02 : r.from + each; });
    const xs = all.flatMap((r) => [r.from, r.to]), ys = all.map((r) => r.y);
    return frame(width, height, {
      data: [{ name: 'bars', values: all }],
      scales: [scale('x', chart.x, xs, 'width', false), { ...scale('y', chart.y, ys, 'height', !chart.y.log), nice: true }, ...colors(chart)],
      axes: [axis('left', 'y', chart.y, ys), axis('bottom', 'x', chart.x, all.map((r) => r.x))],
      legends: legend(chart, width, true),
      marks: [{ type: 'rect', from: { data: 'bars' }, encode: { update: { x: { scale: 'x', field: 'from' }, x2: { scale: 'x', field: 'to' },
        y: { scale: 'y', field: 'y' }, y2: chart.y.log ? { scale: 'y', signal: "domain('y')[0]" } : { scale: 'y', value: 0 },
        fill: { scale: 'color', field: 'name' }, fillOpacity: { value: 0.85 }, tooltip: { field: 'text' } }, hover: { fillOpacity: { value: 0.55 } } } }],
    });
  }

  // A row per series. Cells over named columns, or over numbers at equal distances.
  function heatmap(chart, width) {
    const all = rows(chart), named = all.some((r) => r.label !== null);
    const log = chart.y.log, [low, high] = extent(all.filter((r) => !log || r.y > 0).map((r) => r.y));
    const shade = (v) => {
      if (v === 0 && low >= 0) return 0;  // nothing there
      const part = log ? Math.log(v / low) / (Math.log(high / low) || 1) : (v - Math.min(low, 0)) / ((high - Math.min(low, 0)) || 1);
      return 0.12 + 0.88 * Math.max(0, Math.min(1, low === high ? 1 : part));
    };
    const step = named ? 1 : pitch(all.map((r) => r.x));
    const columns = named ? [...new Set(chart.columns || all.map((r) => r.label))] : [];
    all.forEach((r) => {
      const hue = chart.hues && r.label in chart.hues ? chart.hues[r.label] : 'c0';
      r.shade = r.y > 0 && (hue === 'bad' || hue === 'warn') ? Math.max(0.6, shade(r.y)) : shade(r.y);  // one failure must be seen
      r.hue = `var(--${hue})`;
      r.from = r.x - step / 2;
      r.to = r.x + step / 2;
      r.written = number(r.y);
    });
    const names = chart.series.map((s) => s.name), rowHeight = names.length > 60 ? 13 : 19;
    const longest = Math.max(1, ...names.map((n) => n.length));
    const cell = named ? (width - Math.min(260, longest * 6.4) - 20) / columns.length : 0;
    const write = named && all.length <= 600 && cell >= 6.4 * Math.max(1, ...all.map((r) => r.written.length)) + 4;
    const xs = all.flatMap((r) => [r.from, r.to]);
    const place = named ? { x: { scale: 'x', field: 'label' }, width: { scale: 'x', band: 1 } } : { x: { scale: 'x', field: 'from' }, x2: { scale: 'x', field: 'to' } };
    const bottom = named
      ? { orient: names.length > 14 ? 'top' : 'bottom', scale: 'x', title: chart.x.title || null, ticks: false, domain: false,
        ...(cell < 6.4 * Math.max(1, ...columns.map((c) => c.length)) ? { labelAngle: names.length > 14 ? 40 : -40, labelAlign: 'right', labelLimit: 130 } : {}) }
      : { orient: 'bottom', scale: 'x', title: chart.x.title || null, tickCount: Math.max(2, Math.floor(width / 90)), labelOverlap: true, domain: false,
        ...(chart.x.powers ? { encode: { labels: { update: { text: { signal: "datum.value === 0 ? '1' : '2^' + datum.value" } } } } } : {}) };
    const marks = [{ type: 'rect', from: { data: 'cells' }, encode: { update: { ...place, y: { scale: 'y', field: 'name' }, height: { scale: 'y', band: 1 },
      fill: { field: 'hue' }, fillOpacity: { field: 'shade' }, stroke: { value: null }, tooltip: { field: 'text' } }, hover: { stroke: { value: 'var(--ink)' } } } }];
    if (write)
      marks.push({ type: 'text', interactive: false, from: { data: 'cells' }, encode: { update: { x: { scale: 'x', field: 'label', band: 0.5 }, y: { scale: 'y', field: 'name', band: 0.5 },
        text: { field: 'written' }, align: { value: 'center' }, baseline: { value: 'middle' }, fontSize: { value: 11 },
        fill: { signal: "datum.shade > 0.55 ? 'var(--page)' : 'var(--ink)'" }, opacity: { signal: 'datum.y === 0 ? 0.45 : 1' } } } });
    if (finite(chart.rule))
      marks.push({ type: 'rule', encode: { update: { x: { scale: 'x', value: chart.rule }, y: { value: 0 }, y2: { signal: 'height' }, stroke: { value: 'var(--bad)' }, strokeWidth: { value: 1.5 } } } });
    return frame(width, Math.max(1, names.length) * rowHeight, {
      data: [{ name: 'cells', values: all }],
      scales: [
        named ? { name: 'x', type: 'band', domain: columns, range: 'width', padding: 0.04 } : { name: 'x', type: 'linear', domain: extent(xs), range: 'width', zero: false },
        { name: 'y', type: 'band', domain: names, range: 'height', padding: 0.06 }],
      axes: [{ orient: 'left', scale: 'y', title: null, ticks: false, domain: false, labelColor: 'var(--ink)', labelPadding: 5 }, bottom], marks,
    });
  }

  function specification(chart, width) {
    const height = chart.height || 240;
    if (chart.kind === 'heatmap') return heatmap(chart, width);
    if (chart.kind === 'bar') return rows(chart).some((r) => r.label !== null) ? categories(chart, width, height) : histogram(chart, width, height);
    return lines(chart, width, height);
  }

  // The tooltip: one element of the page that follows the pointer. Text only: what a report says is never markup.
  const tip = { element: null };
  function tooltip(_, event, __, value) {
    if (!tip.element) {
      tip.element = document.createElement('div');
      tip.element.id = 'tooltip';
      tip.element.setAttribute('role', 'tooltip');
      document.body.append(tip.element);
    }
    tip.element.hidden = value === null || value === undefined || value === '';
    if (tip.element.hidden) return;
    tip.element.textContent = value;
    const box = tip.element.getBoundingClientRect();
    tip.element.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 8))}px`;
    tip.element.style.top = `${event.clientY + 16 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 16}px`;
  }

  // Draws into a figure's plot; a second call replaces the first drawing. False where Vega is not embedded.
  function draw(figure, chart, width) {
    const plot = figure.querySelector('.plot'), library = load();
    if (!library) return false;
    if (figure.view) figure.view.finalize();
    plot.textContent = '';
    if (!rows(chart).some((r) => chart.kind === 'heatmap' || drawable(chart, r))) {
      plot.textContent = rows(chart).length ? 'zero throughout: nothing to draw on a logarithmic scale' : 'no finite values';
      plot.classList.add('quiet');
      return true;
    }
    plot.classList.remove('quiet');
    figure.view = new library.View(library.parse(specification(chart, Math.max(220, Math.floor(width)))), { renderer: 'svg' });
    figure.view.tooltip(tooltip).initialize(plot).hover().run();
    return true;
  }

  return { draw, rows, number };
})();

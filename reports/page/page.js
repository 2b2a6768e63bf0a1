// What the page does beside showing itself: charts, copy buttons, tables of a chart's numbers, light and dark.
(() => {
  const read = (id) => { const at = document.getElementById(id); return at ? JSON.parse(at.textContent) : null; };
  const data = read('charts') || {};
  const figures = [...document.querySelectorAll('figure[data-chart]')];
  const status = document.getElementById('status');
  const say = (text) => { status.textContent = text; };
  const make = (name, attributes = {}, text = '') => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };

  // Charts. Those in sight come first, the rest while the page is idle; one that is folded away waits until it is opened.
  const chartOf = (figure) => figure.chart || data[figure.dataset.chart];
  const drawn = new Map();  // figure -> width
  function draw(figure, width = figure.querySelector('.plot').clientWidth) {
    if (width === 0 || drawn.get(figure) === width) return;
    drawn.set(figure, width);
    if (!charts.draw(figure, chartOf(figure), width)) figure.querySelector('details.data').open = true;
  }
  function drawRest() {
    const next = figures.find((f) => !drawn.has(f) && f.querySelector('.plot').clientWidth > 0);
    if (!next) {
      document.documentElement.dataset.charts = 'drawn';
      document.documentElement.dataset.milliseconds = Math.round(performance.now());
      return;
    }
    draw(next);
    setTimeout(drawRest);
  }

  // The numbers of a chart as a table, made when asked for.
  function fill(details, chart) {
    if (details.querySelector('table')) return;
    const rows = charts.rows(chart), named = chart.series.length > 1 || chart.series[0].name;
    const banded = rows.some((r) => r.low !== null), labelled = rows.some((r) => r.label !== null);
    const x = rows.some((r) => typeof r.x === 'number') && !(labelled && chart.kind !== 'line' && chart.kind !== 'scatter');
    const columns = [...(named ? ['series'] : []), ...(labelled ? [chart.x.title || 'name'] : []), ...(x ? [labelled ? 'x' : chart.x.title || 'x'] : []),
      chart.y.title || 'value', ...(banded ? ['from', 'to'] : [])];
    const table = make('table'), head = table.createTHead().insertRow(), body = table.createTBody();
    for (const column of columns) head.append(make('th', { scope: 'col' }, column));
    for (const r of rows.slice(0, 2000)) {
      const row = body.insertRow();
      if (named) row.insertCell().textContent = r.name;
      if (labelled) row.insertCell().textContent = r.label ?? '';
      for (const value of [...(x ? [r.x] : []), r.y, ...(banded ? [r.low, r.high] : [])]) {
        const cell = row.insertCell();
        cell.className = 'n';
        cell.textContent = charts.number(value);
      }
    }
    const box = make('div', { class: 'wide tall', tabindex: '0', role: 'region', 'aria-label': `Numbers of: ${chart.title}` });
    box.append(table);
    details.append(box);
    if (rows.length > 2000) details.append(make('p', { class: 'quiet' }, `${charts.number(rows.length - 2000)} more points are in report.json.`));
  }

  // Arrow keys walk through the points of a chart that has the focus; they are said and shown below it.
  function walk(event, figure) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step && event.key !== 'Home' && event.key !== 'End') return;
    event.preventDefault();
    const rows = charts.rows(chartOf(figure));
    if (!rows.length) return;
    const last = rows.length - 1, now = figure.at ?? (step > 0 ? -1 : 0);
    figure.at = event.key === 'Home' ? 0 : event.key === 'End' ? last : (now + step + rows.length) % rows.length;
    figure.querySelector('.walked').textContent = `${figure.at + 1} of ${rows.length}: ${rows[figure.at].text.replaceAll('\n', ', ')}`;
  }

  function connect(figure) {
    const plot = figure.querySelector('.plot'), details = figure.querySelector('details.data');
    plot.addEventListener('keydown', (event) => walk(event, figure));
    details.addEventListener('toggle', () => { if (details.open) fill(details, chartOf(figure)); });
  }
  figures.forEach(connect);

  // Drift: one training at a time.
  const trainings = read('trainings');
  const choice = document.getElementById('training');
  if (trainings && choice) {
    const show = () => {
      const training = trainings[choice.value];
      document.getElementById('training-command').textContent = training.command;
      for (const figure of document.querySelectorAll('figure[data-drift]')) {
        const series = training.series.find((s) => s.quantity === figure.dataset.drift);
        figure.hidden = !series;
        if (!series) continue;
        const curve = (name, key, hue, dash) => ({ name, hue, dash, x: training.steps, y: series[key] });
        figure.chart = { kind: 'line', title: series.quantity, x: { title: 'step' }, y: { title: 'relative to the reference', log: true }, height: 190,
          series: [curve('bound of the rest', 'bound', 'gray', [1, 3]), curve('drift', 'drift', 'c0', []), curve('quantization', 'quantization', 'c1', [5, 4]),
            ...(series.rounding ? [curve('rounding', 'rounding', 'c2', [2, 3])] : [])] };
        figure.querySelector('figcaption').textContent = series.title;
        figure.querySelector('.plot').setAttribute('aria-label', `${series.title}, by step, with the parts of the ledger, on a logarithmic scale`);
        const details = figure.querySelector('details.data');
        details.querySelectorAll(':scope > :not(summary)').forEach((old) => old.remove());
        if (details.open) fill(details, figure.chart);
        drawn.delete(figure);
        figure.at = undefined;
        draw(figure);
      }
    };
    const panels = [...document.querySelectorAll('figure[data-drift]')];
    panels.forEach(connect);
    choice.addEventListener('change', show);
    show();
    figures.push(...panels);
  }

  // Copy buttons.
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {  // a page opened from a file may have no clipboard
      const area = make('textarea');
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand('copy');
      area.remove();
      return done;
    }
  }
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('button.copy');
    if (!button) return;
    const done = await copy(button.parentElement.querySelector('code').textContent);
    button.textContent = done ? 'copied' : 'select it';
    say(done ? 'copied' : 'could not copy');
    setTimeout(() => { button.textContent = 'copy'; }, 1600);
  });

  // Failing cases beyond those that are written out: rows made on demand.
  const more = read('more-red'), moreButton = document.getElementById('more-red-button');
  if (more && moreButton) {
    let next = 0;
    const body = document.getElementById('more-red-rows');
    const add = (upTo) => {
      for (; next < Math.min(more.length, upTo); ++next) {
        const [verdict, stage, reason, command] = more[next], row = body.insertRow();
        row.insertCell().append(make('span', { class: `badge ${verdict === 'skipped' ? 'none' : 'bad'}` }, verdict));
        row.insertCell().textContent = stage;
        const cell = row.insertCell(), line = make('div', { class: 'command' });
        cell.className = 'reason';
        line.append(make('code', {}, command), make('button', { class: 'copy', type: 'button', 'aria-label': 'copy the command' }, 'copy'));
        cell.append(make('span', {}, reason), line);
      }
      moreButton.hidden = next >= more.length;
      moreButton.textContent = `show ${Math.min(100, more.length - next)} more of ${charts.number(more.length - next)}`;
    };
    moreButton.hidden = false;
    add(0);
    moreButton.addEventListener('click', () => add(next + 100));
    addEventListener('beforeprint', () => add(more.length));
  }

  // Light and dark: the system's choice unless the reader makes another.
  const themeButton = document.getElementById('theme'), themes = ['system', 'light', 'dark'];
  themeButton.hidden = false;
  themeButton.addEventListener('click', () => {
    const root = document.documentElement, next = themes[(themes.indexOf(root.dataset.theme || 'system') + 1) % themes.length];
    if (next === 'system') delete root.dataset.theme; else root.dataset.theme = next;
    themeButton.textContent = `colours: ${next}`;
  });

  // New widths: a resized window, a folded part that opens, paper.
  const redraw = (width) => figures.filter((f) => drawn.has(f)).forEach((f) => draw(f, width));
  let waiting = 0;
  addEventListener('resize', () => { clearTimeout(waiting); waiting = setTimeout(() => redraw(), 150); });
  document.addEventListener('toggle', (event) => { event.target.querySelectorAll('figure[data-chart]').forEach((f) => draw(f)); }, true);
  addEventListener('beforeprint', () => figures.forEach((f) => draw(f, Math.min(660, f.querySelector('.plot').clientWidth || 660))));
  addEventListener('afterprint', () => redraw());

  requestAnimationFrame(() => {
    figures.filter((f) => f.getBoundingClientRect().top < innerHeight).forEach((f) => draw(f));
    setTimeout(drawRest);
  });
})();

// The failures of a round: map, list and item side by side; below, the clusters as a table that sorts and filters.

function clustersOf(round) {
  return data.clusters.map((cluster, at) => ({ ...cluster, at })).filter((cluster) => cluster.round === round);
}

function failuresSection() {
  if (!total) return section('failures', 'Failures', el('p', { class: 'note' }, 'No failure has been diagnosed yet.'));
  const map = makeMap();
  const item = makeItemView();
  const tabs = el('div', { class: 'tabs', role: 'group', 'aria-label': 'round' }, rounds.map((round) =>
    el('button', { type: 'button', 'data-round': round, onclick: () => change({ round, cluster: -1, item: -1 }) }, `round ${round}`)));
  const chooser = el('select', { id: 'cluster-filter', onchange: (event) => change({ cluster: Number(event.target.value) }) });
  const words = el('input', { id: 'search', type: 'search', placeholder: 'words in question or answer', autocomplete: 'off', spellcheck: 'false' });
  const tally = el('output', { id: 'tally', for: 'cluster-filter search' });
  let timer = 0, asked = 0;
  words.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const own = ++asked;
      const found = await search(words.value);
      if (own === asked) change({ query: words.value, found });
    }, 180);
  });
  const clear = el('button', { type: 'button', class: 'quiet', onclick: () => { words.value = ''; asked++; change({ cluster: -1, query: '', found: null }); } }, 'show all');
  const list = el('div', { class: 'list' });
  let drawnRound = null;

  function draw(what) {
    for (const tab of tabs.children) tab.setAttribute('aria-pressed', String(Number(tab.dataset.round) === state.round));
    if (drawnRound !== state.round) {
      put(chooser, el('option', { value: -1 }, 'all clusters'), ...clustersOf(state.round).map((cluster) =>
        el('option', { value: cluster.at }, `${line(cluster.label, 60)} (${cluster.failures})`)));
      drawnRound = state.round;
    }
    chooser.value = String(state.cluster);
    clear.hidden = state.cluster < 0 && state.found === null;
    tally.textContent = plural(state.shown.length, 'failure');
    if (!what || 'round' in what || 'cluster' in what || 'found' in what) drawList(list);
    for (const row of list.querySelectorAll('[data-item]')) row.setAttribute('aria-current', String(Number(row.dataset.item) === state.item));
  }
  listeners.push(draw);
  draw();
  return section('failures', 'Failures',
    el('div', { class: 'toolbar' }, rounds.length > 1 ? tabs : null,
      el('label', { for: 'cluster-filter' }, 'Cluster ', chooser), el('label', { for: 'search' }, 'Search ', words), tally, clear),
    el('div', { class: 'split' }, el('div', { class: 'left' }, map.box, list), item),
    el('p', { class: 'note', id: 'map-help' }, `Near on the map is alike in words: ${line(data.map, 600)} Distances between far groups mean little. Colour and shape: cluster. Arrow keys walk from point to point, + and - zoom, 0 shows all, Escape closes; Ctrl and the wheel zoom, dragging moves.`));
}

const ROWS = 12;
function drawList(list) {
  let from = 0;
  const rows = el('ol', { class: 'rows' });
  const text = el('span', { class: 'meta' });
  const back = el('button', { type: 'button', onclick: () => { from = Math.max(0, from - ROWS); draw(); } }, 'previous');
  const next = el('button', { type: 'button', onclick: () => { from += ROWS; draw(); } }, 'next');
  const own = list.token = Symbol('list');
  async function draw() {
    const part = state.shown.slice(from, from + ROWS);
    const heads = await Promise.all(part.map(headOf));
    if (list.token !== own) return;
    put(rows, ...part.map((at, n) => el('li', null,
      el('button', { type: 'button', class: 'row', 'data-item': at, 'aria-current': String(at === state.item), onclick: () => change({ item: at }) },
        swatch(items.cluster[at]), label(whole(heads[n][0]), 160)))));
    text.textContent = part.length ? `${count(from + 1)} to ${count(from + part.length)} of ${count(state.shown.length)}` : 'none fits';
    back.disabled = from === 0;
    next.disabled = from + ROWS >= state.shown.length;
  }
  put(list, rows, el('div', { class: 'pager' }, back, next, text));
  draw();
}

// The rate with its interval, drawn to scale.
function rateBar(cluster) {
  const bar = (from, to, name) => svg('rect', { x: 100 * from, width: Math.max(1, 100 * (to - from)), y: name === 'whisker-bar' ? 4 : 2, height: name === 'whisker-bar' ? 2 : 6, class: name });
  return el('span', { class: 'rate' }, svg('svg', { viewBox: '0 0 100 10', class: 'bar', 'aria-hidden': 'true', preserveAspectRatio: 'none' },
    bar(0, 1, 'track'), bar(0, cluster.rate, 'value'), bar(cluster.low, cluster.high, 'whisker-bar')),
  `${percent(cluster.rate)} [${(100 * cluster.low).toFixed(0)}, ${(100 * cluster.high).toFixed(0)}]`);
}

function trend(cluster) {
  const arrow = { shrunk: '\u2198', grown: '\u2197', same: '\u2192', new: '\u2731' }[cluster.trend];
  const numbers = cluster.before === null ? '' : `${cluster.before} \u2192 ${cluster.failures} `;
  return el('span', { class: `trend ${cluster.trend}` }, numbers, el('span', { 'aria-hidden': 'true' }, `${arrow} `), cluster.trend);
}

const COLUMNS = [
  { name: 'cluster', key: (c) => c.label, cell: (c) => el('span', { class: 'name' }, swatch(c.at), el('button', { type: 'button', class: 'link', 'data-cluster': c.id, onclick: () => { change({ cluster: state.cluster === c.at ? -1 : c.at }); } }, label(c.label, 80))) },
  { name: 'failed', num: true, key: (c) => -c.failures, cell: (c) => `${count(c.failures)} of ${count(c.n)}` },
  { name: 'failure rate, 95 %', key: (c) => -c.rate, cell: rateBar },
  { name: 'since last round', key: (c) => (c.before === null ? 0 : c.failures - c.before), cell: trend },
  { name: 'budget', num: true, key: (c) => -(c.share ?? 0), cell: (c) => (c.share === null ? '-' : `${count(c.budget)} (${percent(c.share)})`) },
  { name: 'accepted', num: true, key: (c) => -(c.written?.accepted ?? -1), cell: (c) => (c.written ? `${count(c.written.accepted)} of ${count(c.written.n)}` : '-') },
  { name: 'stability', num: true, key: (c) => -(c.stability ?? 0), cell: (c) => (c.stability === null ? '-' : c.stability.toFixed(2)) },
];

function clustersSection() {
  if (!data.clusters.length) return null;
  const box = el('div');
  const detail = el('div', { id: 'cluster-detail' });
  let order = 1, reversed = false, drawn = '';
  function draw() {
    const key = `${state.round} ${state.cluster} ${order} ${reversed}`;
    if (key === drawn) return;
    drawn = key;
    const rows = clustersOf(state.round);
    const by = COLUMNS[order].key;
    rows.sort((a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : a.at - b.at) * (reversed ? -1 : 1));
    const grid = table(`${plural(rows.length, 'cluster')} of round ${state.round}`, COLUMNS, rows, { row: (c) => ({ 'aria-selected': c.at === state.cluster ? 'true' : null, class: c.at === state.cluster ? 'chosen' : null }) });
    grid.querySelectorAll('thead th').forEach((head, at) => {
      const button = el('button', { type: 'button', class: 'sort', onclick: () => { reversed = order === at && !reversed; order = at; draw(); box.querySelectorAll('.sort')[at].focus(); } }, COLUMNS[at].name, at === order ? el('span', { 'aria-hidden': 'true' }, reversed ? ' \u25b4' : ' \u25be') : '');
      put(head, button);
      if (at === order) head.setAttribute('aria-sort', reversed ? 'descending' : 'ascending');
    });
    const focused = document.activeElement?.dataset?.cluster;
    put(box, grid);
    if (focused) box.querySelector(`[data-cluster="${CSS.escape(focused)}"]`)?.focus();
    drawDetail(detail);
  }
  listeners.push(draw);
  draw();
  return section('clusters', 'Clusters', box, detail);
}

function drawDetail(box) {
  if (state.cluster < 0) { put(box, el('p', { class: 'note' }, 'Choose a cluster to see its failures alone, on the map and here, and what was written for it.')); return; }
  const at = state.cluster, own = data.clusters[at];
  const practice = el('div');
  writtenView(at).then((view) => put(practice, view));
  put(box, el('div', { class: 'card' },
    el('h3', null, swatch(at), label(own.label, 200)),
    el('p', { class: 'meta' }, el('code', null, own.id), own.phrases.length ? [' key phrases: ', own.phrases.map((phrase, n) => [n ? ', ' : '', label(phrase, 60)])] : ''),
    own.note ? el('p', { class: 'warning' }, label(own.note, 400)) : null,
    own.misconception ? field('The teacher on this cluster', prose(own.misconception)) : null,
    field('Practice made for it', practice)));
}

// The summary, the card of each round, the threads of clusters over rounds, and what the run was made with.

const DECISIONS = { keep: 'kept', roll_back: 'rolled back' };

function summary() {
  const { status, rounds: cards, manifest } = data;
  const test = status.test;
  const kept = cards.filter((card) => card.decision === 'keep').length;
  const done = cards.filter((card) => card.decision).length;
  const headline = test
    ? `Sealed test (n = ${count(test.n)}): ${points(test.base)} % \u2192 ${points(test.final)} %, ${signed(test.difference)} points [${signed(test.low)}, ${signed(test.high)}].`
    : 'The sealed test has not been opened.';
  const facts = [
    ['state', status.stop_reason ? `${status.state}: ${status.stop_reason.replaceAll('_', ' ')} (${line(status.stop_detail, 200)})` : status.state],
    ['rounds', `${done} decided, ${kept} kept`],
    ['student', line(String(manifest.plan?.student ?? '-').replace(/^\/.*\/([^/]+\/[^/]+)$/, '$1'), 120)],
    ['teacher', line(manifest.plan?.teacher ?? '-', 120)],
    ['failures', rounds.length ? rounds.map((round) => count(items.round.reduce((n, own) => n + (own === round), 0))).join(' \u2192 ') : '-'],
    ['time', duration(status.seconds)],
  ];
  const theme = el('button', { type: 'button', id: 'theme', class: 'quiet', onclick: turn }, 'theme');
  return el('header', null,
    el('div', { class: 'top' }, el('h1', null, 'Run ', label(data.run, 80)), theme),
    el('p', { class: test ? (test.low > 0 ? 'result good' : test.high < 0 ? 'result bad' : 'result') : 'result' }, headline),
    data.waits && !data.live ? el('p', { class: 'warning' }, `The run waits for a review of round ${data.waits.round} after ${data.waits.point}: remedial view (in the page) or remedial review (a file).`) : null,
    data.cap ? el('p', { class: 'warning' }, `To keep this file small, texts are cut after ${count(data.cap)} characters; the run folder holds them whole.`) : null,
    el('dl', { class: 'facts' }, facts.map(([name, value]) => el('div', null, el('dt', null, name), el('dd', null, el('bdi', null, value))))),
    accuracyChart());
}

// Light, dark, or what the system says; remembered where the browser lets a file remember.
function turn() {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const now = document.documentElement.dataset.theme ?? (dark ? 'dark' : 'light');
  dress(now === 'dark' ? 'light' : 'dark');
  try { localStorage.setItem('remedial-theme', document.documentElement.dataset.theme); } catch { /* a file may not */ }
  change({});
}
function dress(theme) {
  document.documentElement.dataset.theme = theme;
  const button = byId('theme');
  if (button) button.textContent = theme === 'dark' ? 'light theme' : 'dark theme';
}

function accuracyChart() {
  const rows = [{ name: 'base', dev: data.status.base?.dev, kept: true }, ...data.rounds.map((card) => ({ name: `round ${card.index}`, dev: card.dev, kept: card.decision === 'keep' }))].filter((row) => row.dev);
  if (rows.length < 2) return null;
  const low = Math.max(0, Math.floor(Math.min(...rows.map((row) => row.dev.low)) / 10) * 10), high = Math.min(100, Math.ceil(Math.max(...rows.map((row) => row.dev.high)) / 10) * 10);
  const W = 640, H = 200, L = 44, R = 20, T = 14, B = 30;
  const x = (at) => L + 30 + (at * (W - L - R - 60)) / (rows.length - 1), y = (value) => T + ((high - value) / (high - low || 1)) * (H - T - B);
  const marks = [];
  for (let value = low; value <= high; value += high - low > 50 ? 20 : 10) marks.push(svg('line', { x1: L, x2: W - R, y1: y(value), y2: y(value), class: 'grid' }), svg('text', { x: L - 8, y: y(value) + 4, class: 'soft num', 'text-anchor': 'end' }, value));
  let best = 0;
  const path = [];
  rows.forEach((row, at) => {
    if (at > 0) path.push(svg('line', { x1: x(best), y1: y(rows[best].dev.accuracy), x2: x(at), y2: y(row.dev.accuracy), class: row.kept ? 'curve c0' : 'curve lost c0' }));
    if (row.kept) best = at;
  });
  const dots = rows.map((row, at) => svg('g', { class: 'c0' }, svg('line', { x1: x(at), x2: x(at), y1: y(row.dev.low), y2: y(row.dev.high), class: 'whisker' }),
    svg('circle', { cx: x(at), cy: y(row.dev.accuracy), r: 5, class: row.kept ? 'point' : 'point hollow' }),
    svg('text', { x: x(at) + 9, y: y(row.dev.accuracy) - 7, class: 'small num halo' }, points(row.dev.accuracy)), svg('text', { x: x(at), y: H - 8, class: 'soft', 'text-anchor': 'middle' }, row.name)));
  const words = rows.map((row) => `${row.name} ${points(row.dev.accuracy)} %`).join(', ');
  return el('figure', null, svg('svg', { viewBox: `0 0 ${W} ${H}`, width: W, role: 'img', 'aria-label': `Accuracy on dev: ${words}` }, marks, path, dots),
    el('figcaption', null, 'Accuracy on dev in per cent, with 95 % intervals. Hollow: rolled back.'));
}

function changesView(card) {
  if (!card.changes) return null;
  const groups = [['regressed', 'bad', 'Regressed'], ['solved', 'good', 'Solved'], ['failing', 'open', 'Still failing']];
  return el('div', { class: 'changes' }, groups.map(([name, mark, title]) => {
    const n = card.changes[name];
    const box = el('details', { class: mark }, el('summary', null, el('b', null, count(n)), ` ${title.toLowerCase()}`));
    if (!n) return el('p', { class: `nothing ${mark}` }, el('b', null, '0'), ` ${title.toLowerCase()}`);
    box.addEventListener('toggle', async () => {
      if (!box.open || box.children.length > 1) return;
      const inner = el('div');
      box.append(inner);
      paged(inner, (await chunk(`v${card.index}`))[name], changeView, 10);
    });
    return box;
  }));
}

function changeView(item) {
  const side = (name, attempt) => el('div', null, el('p', { class: 'meta' }, `${name}: ${OUTCOMES[attempt.outcome] ?? attempt.outcome}`), prose(attempt.text, { first: 800 }));
  return el('details', { class: 'draft' }, el('summary', null, label(whole(item.statement), 110), el('span', { class: 'meta' }, ' gold ', label(whole(item.gold), 40), ': ', label(whole(item.before.extracted) || 'none', 40), ' \u2192 ', label(whole(item.after.extracted) || 'none', 40))),
    field('Question', prose(item.statement)), el('div', { class: 'answers' }, side('before', item.before), side('after', item.after)));
}

function funnelView(rows) {
  if (!rows.length) return null;
  const most = Math.max(...rows.map((row) => row.left), 1);
  return el('figure', { class: 'funnel' }, el('figcaption', null, 'From drafted to trained'),
    el('ol', null, rows.map((row) => {
      const lost = Object.entries(row.lost);
      return el('li', null,
        el('span', { class: 'stage' }, row.name, row.step === row.name ? '' : el('span', { class: 'meta' }, ` ${line(row.step, 30)}`)),
        svg('svg', { viewBox: '0 0 100 10', class: 'bar', 'aria-hidden': 'true', preserveAspectRatio: 'none' }, svg('rect', { width: (100 * row.left) / most, height: 10, class: 'value' })),
        el('b', { class: 'num' }, count(row.left)),
        el('span', { class: 'lost' }, lost.map(([reason, n]) => el('span', { class: 'reason' }, `\u2212${count(n)} ${line(reason, 60).replaceAll('_', ' ')}`)), row.abstained ? el('span', { class: 'meta' }, ` (${count(row.abstained)} not judged)`) : null));
    })));
}

function mixtureView(mixture) {
  if (!mixture) return null;
  const names = Object.keys(mixture.counts).sort();
  let at = 0;
  const parts = names.map((name, n) => {
    const width = 100 * (mixture.realised[name] ?? 0);
    const rect = svg('rect', { x: at, width, height: 10, class: n ? 'part other' : 'part' });
    at += width;
    return rect;
  });
  return el('figure', { class: 'mixture' }, el('figcaption', null, 'Mixture'), svg('svg', { viewBox: '0 0 100 10', class: 'bar tall', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, parts),
    el('p', null, names.map((name, n) => [n ? ', ' : '', el('b', null, count(mixture.counts[name])), ` ${name} (${(100 * (mixture.realised[name] ?? 0)).toFixed(1)} %, asked for ${(100 * (mixture.requested[name] ?? 0)).toFixed(1)} %)`])));
}

// What a person decided, in words; clusters by the names they had.
function decisionsOf(review) {
  const named = (id) => data.clusters.find((own) => own.id === id)?.label ?? id;
  const lines = review.clusters.map((own) => {
    const said = [];
    if (own.action === 'drop') said.push('dropped');
    if (own.action === 'merge') said.push(['merged into ', label(named(own.into), 80)]);
    if (own.label !== null) said.push(['renamed to ', label(own.label, 200)]);
    if (own.weight !== null) said.push(`weight ${own.weight}`);
    if (own.note !== null) said.push(['note to the teacher: ', label(own.note, 600)]);
    return [label(named(own.id), 80), ': ', said.map((part, n) => [n ? '; ' : '', part])];
  });
  const drafts = review.drafts.map((own) => [el('code', null, own.id), own.action === 'veto' ? ': vetoed' : ': accepted by hand']);
  return [...lines, ...drafts];
}

function reviewView(review) {
  const lines = decisionsOf(review);
  return el('div', { class: 'review' }, el('h4', null, `Review after ${review.point}`), el('p', { class: 'meta' }, label(review.author, 200), `, ${line(review.time, 40)}`),
    review.comment ? prose(review.comment) : null,
    lines.length ? el('ul', null, lines.slice(0, 200).map((own) => el('li', null, own))) : el('p', null, 'Approved as it was.'));
}

function roundCard(card) {
  const numbers = [];
  if (card.dev) numbers.push(['dev accuracy', `${points(card.dev.accuracy)} % ${span(card.dev.low, card.dev.high)}`], ['against the incumbent', card.dev.difference === null ? '-' : `${signed(card.dev.difference)} ${span(card.dev.difference_low, card.dev.difference_high, signed)}`]);
  for (const [name, guard] of Object.entries(card.guards ?? {})) numbers.push([line(name, 40), `${points(guard.accuracy)} %, ${signed(guard.difference)} ${span(guard.difference_low, guard.difference_high, signed)} against the base`]);
  if (card.teacher_tokens !== undefined) numbers.push(['tokens of the teacher', count(card.teacher_tokens)], ['tokens trained', count(card.train_tokens)]);
  numbers.push(['time', duration(Object.values(card.seconds).reduce((a, b) => a + b, 0))]);
  const diagnosis = card.diagnosis;
  return el('article', { class: 'card round', id: `round-${card.index}`, 'aria-labelledby': `round-${card.index}-title` },
    el('h3', { id: `round-${card.index}-title` }, `Round ${card.index} `, el('span', { class: `chip ${card.decision ?? 'open'}` }, DECISIONS[card.decision] ?? 'unfinished')),
    card.reason ? el('p', { class: 'why' }, label(card.reason, 400), card.stop ? `; stop: ${card.stop.replaceAll('_', ' ')}` : '') : null,
    changesView(card),
    el('dl', { class: 'facts' }, numbers.map(([name, value]) => el('div', null, el('dt', null, name), el('dd', null, value)))),
    funnelView(card.funnel),
    mixtureView(card.mixture),
    (card.reviews ?? []).map(reviewView),
    el('details', null, el('summary', null, 'Diagnosis and seconds'),
      diagnosis ? el('p', null, `${plural(diagnosis.k, 'cluster')} (${line(diagnosis.rule, 200)}), stability over seeds ${diagnosis.stability === null ? '-' : diagnosis.stability.toFixed(2)}, ${count(diagnosis.gone)} of the last round gone. Failures: ${Object.entries(diagnosis.triage).map(([name, n]) => `${name.replaceAll('_', ' ')} ${n}`).join(', ')}.`) : null,
      el('p', null, Object.entries(card.seconds).map(([name, seconds]) => `${name} ${seconds.toFixed(1)} s`).join(', '))));
}

function roundsSection() {
  if (!data.rounds.length) return null;
  return section('rounds', 'Rounds', el('p', { class: 'note' }, 'Regressed, solved and still failing: problems of dev, the round\u2019s candidate against the incumbent.'), el('div', { class: 'cards' }, data.rounds.map(roundCard)));
}

function lineageSection() {
  const threads = data.lineage;
  if (!threads.length) return null;
  const diagnosed = [...new Set(threads.flatMap((thread) => thread.rounds.map((point) => point.round)))].sort((a, b) => a - b);
  const most = Math.max(...threads.flatMap((thread) => thread.rounds.map((point) => point.failures)), 1);
  const columns = [
    { name: 'thread', cell: (thread) => el('span', { class: 'name' }, label(thread.label, 80)) },
    ...diagnosed.map((round) => ({
      name: `round ${round}`, num: true, cell: (thread) => {
        const point = thread.rounds.find((own) => own.round === round);
        if (!point) return thread.end && thread.end.round === round ? el('span', { class: 'meta' }, thread.end.event) : '';
        const events = point.events.filter((event) => !['shrunk', 'same'].includes(event));
        return el('span', { class: 'thread' }, el('span', { class: 'meta' }, events.join(', ')), ` ${count(point.failures)} `, svg('svg', { viewBox: '0 0 10 10', class: 'dot', 'aria-hidden': 'true' }, svg('circle', { cx: 5, cy: 5, r: Math.max(0.8, 5 * Math.sqrt(point.failures / most)), class: 'value' })));
      },
    })),
    { name: 'of its first failures, still', num: true, cell: (thread) => count(thread.end ? thread.end.still_failing : thread.rounds[thread.rounds.length - 1].still_failing) },
    { name: 'in short', cell: (thread) => el('span', { class: 'short' }, label(thread.text, 200)) },
  ];
  const box = el('div');
  const show = (n) => put(box, table(`${plural(threads.length, 'thread')} of clusters`, columns, threads.slice(0, n)),
    threads.length > n ? el('button', { type: 'button', class: 'quiet', onclick: () => show(threads.length) }, `show all ${count(threads.length)}`) : '');
  show(25);
  return section('lineage', 'Clusters over rounds', box);
}

function aboutSection() {
  const { manifest } = data;
  const plan = Object.entries(manifest.plan ?? {}).map(([name, value]) => [name, typeof value === 'object' ? JSON.stringify(value) : String(value)]);
  return section('about', 'What it was made with', el('details', null, el('summary', null, 'Plan and versions'),
    el('dl', { class: 'facts' }, [['run', manifest.run_id], ['seed', manifest.seed], ['config', manifest.config_hash?.slice(0, 16)], ...plan].map(([name, value]) => el('div', null, el('dt', null, line(name, 60)), el('dd', null, label(value ?? '-', 300))))),
    el('p', { class: 'note' }, Object.entries(manifest.versions ?? {}).map(([name, version]) => `${line(name, 40)} ${line(version, 80)}`).join(', '))),
  el('p', { class: 'note' }, 'Formulas: KaTeX 0.16 (MIT), as MathML, without trust.'));
}

// Puts the page together, and keeps what is looked at in its address.

function remembered() {
  const found = new URLSearchParams(location.hash.slice(1));
  const round = Number(found.get('round'));
  const wanted = {};
  if (found.has('round') && rounds.includes(round)) wanted.round = round;
  const cluster = data.clusters.findIndex((own) => own.id === found.get('cluster'));
  if (cluster >= 0) [wanted.cluster, wanted.round] = [cluster, data.clusters[cluster].round];
  const at = items.id.findIndex((id, n) => id === found.get('item') && items.round[n] === (wanted.round ?? state.round));
  if (at >= 0) wanted.item = at;
  return wanted;
}

function remember() {
  const now = new URLSearchParams();
  if (state.round !== null) now.set('round', state.round);
  if (state.cluster >= 0) now.set('cluster', data.clusters[state.cluster].id);
  if (state.item >= 0) now.set('item', items.id[state.item]);
  history.replaceState(null, '', `#${now}`);
}

function start() {
  let theme = null;
  try { theme = localStorage.getItem('remedial-theme'); } catch { /* a file may not remember */ }
  const wanted = remembered();
  select();
  const page = byId('page');
  put(page, ...[summary(), reviewSection(), failuresSection(), clustersSection(), roundsSection(), lineageSection(), aboutSection(),
    el('div', { id: 'said', role: 'status', class: 'unseen' })].filter(Boolean));
  dress(theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
  if (theme === null) delete document.documentElement.dataset.theme;
  if (Object.keys(wanted).length) change(wanted);
  listeners.push(remember);
  follow();
  document.documentElement.dataset.ready = 'true';
}

start();

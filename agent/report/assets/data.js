// What the page knows. The index is read at once; chunks are unpacked when something in them is looked at.

const data = JSON.parse(byId('index').textContent);
const items = data.items;
const total = items.id.length;
const rounds = [...new Set(items.round)].sort((a, b) => a - b);
const unpacked = new Map();
const KEPT = 120;

async function inflate(name) {
  const source = byId(`chunk-${name}`);
  if (source === null) return null;
  const binary = atob(source.textContent);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return JSON.parse(await new Response(stream).text());
}

// A promise of a chunk, null where there is none. The oldest are forgotten, and unpacked again if need be.
function chunk(name) {
  if (!unpacked.has(name)) {
    if (unpacked.size >= KEPT) unpacked.delete(unpacked.keys().next().value);
    unpacked.set(name, inflate(name));
  }
  return unpacked.get(name);
}

const headOf = async (at) => (await chunk(`h${Math.floor(at / data.heads)}`))[at % data.heads];
const bodyOf = async (at) => (await chunk(`b${Math.floor(at / data.bodies)}`))[at % data.bodies];
const whole = (value) => (value === null || value === undefined ? '' : typeof value === 'string' ? value : value.cut);

// What is looked at. `change` tells every part that draws it.
const state = { round: rounds.length ? rounds[rounds.length - 1] : null, cluster: -1, query: '', found: null, item: -1, shown: [] };
const listeners = [];

function select() {
  state.shown = [];
  for (let at = 0; at < total; at++) {
    if (items.round[at] !== state.round) continue;
    if (state.cluster >= 0 && items.cluster[at] !== state.cluster) continue;
    if (state.found !== null && !state.found.has(at)) continue;
    state.shown.push(at);
  }
}

function change(what) {
  Object.assign(state, what);
  if ('round' in what || 'cluster' in what || 'found' in what) select();
  for (const listener of listeners) listener(what);
}

// The failures whose question, gold or student's answer, or id, holds the words; null for no words.
async function search(query) {
  const words = query.trim().toLowerCase();
  if (!words) return null;
  const found = new Set();
  for (let start = 0; start < total; start += data.heads) {
    const heads = await inflateHeads(start / data.heads);
    heads.forEach((text, at) => {
      if (text.includes(words) || items.id[start + at].includes(words)) found.add(start + at);
    });
  }
  return found;
}

const lowered = new Map();
async function inflateHeads(at) {
  if (!lowered.has(at)) {
    const heads = await chunk(`h${at}`);
    lowered.set(at, heads.map((head) => head.map(whole).join('\n').toLowerCase()));
  }
  return lowered.get(at);
}

// A cluster's mark: colours repeat with another shape, so that none stands on colour alone.
const place = new Map();
for (const round of rounds) {
  data.clusters.map((cluster, at) => [cluster, at]).filter(([cluster]) => cluster.round === round)
    .forEach(([, at], order) => place.set(at, order));
}
const colourOf = (cluster) => (place.get(cluster) ?? 0) % 8;
const shapeOf = (cluster) => Math.floor((place.get(cluster) ?? 0) / 8) % 4;
const SHAPES = [
  'M4.5 0A4.5 4.5 0 1 1-4.5 0A4.5 4.5 0 1 1 4.5 0Z', 'M-4-4h8v8h-8z', 'M0-5.4L5 3.6H-5z', 'M0-5.6L5.6 0L0 5.6L-5.6 0z',
];
function swatch(cluster) {
  return svg('svg', { class: `swatch c${colourOf(cluster)}`, viewBox: '-7 -7 14 14', 'aria-hidden': 'true' },
    svg('path', { d: SHAPES[shapeOf(cluster)], class: 'point' }));
}

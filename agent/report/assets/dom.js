// Elements without markup: every string becomes a text node or an attribute, never HTML.

const SVG = 'http://www.w3.org/2000/svg';
const byId = (id) => document.getElementById(id);

function fill(node, props, kids) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'style') for (const [name, set] of Object.entries(value)) node.style.setProperty(name, set);
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  for (const kid of kids.flat(Infinity)) {
    if (kid === null || kid === undefined || kid === false) continue;
    node.append(kid instanceof Node ? kid : document.createTextNode(String(kid)));
  }
  return node;
}

const el = (tag, props, ...kids) => fill(document.createElement(tag), props, kids);
const svg = (tag, props, ...kids) => fill(document.createElementNS(SVG, tag), props, kids);

const count = (n) => (n === null || n === undefined ? '-' : Number(n).toLocaleString('en-US'));
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many ?? one + 's'}`;
const points = (x) => (x === null || x === undefined ? '-' : x.toFixed(1));
const percent = (share) => (share === null || share === undefined ? '-' : `${(100 * share).toFixed(0)} %`);
const signed = (x) => (x === null || x === undefined ? '-' : `${x < 0 ? '\u2212' : '+'}${Math.abs(x).toFixed(1)}`);
const span = (low, high, show = points) => `[${show(low)}, ${show(high)}]`;

// Everything in `node` anew; nothing stands for null.
const put = (node, ...kids) => { node.replaceChildren(); return fill(node, null, kids); };
const duration = (seconds) => (seconds < 90 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s` : seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`);

// A section with a heading that a screen reader announces.
function section(id, title, ...kids) {
  return el('section', { id, 'aria-labelledby': `${id}-title` }, el('h2', { id: `${id}-title` }, title), ...kids);
}

// A table from columns {name, num, cell(row)}; the first cell heads its row.
function table(caption, columns, rows, props) {
  const head = columns.map((column) => el('th', { scope: 'col', class: column.num ? 'num' : null }, column.name));
  const body = rows.map((row) =>
    el('tr', props?.row?.(row), columns.map((column, at) =>
      at === 0
        ? el('th', { scope: 'row' }, column.cell(row))
        : el('td', { class: column.num ? 'num' : null }, column.cell(row)))));
  return el('div', { class: 'scroll', role: 'region', tabindex: 0, 'aria-label': caption },
    el('table', null, el('caption', null, el('span', null, caption)), el('thead', null, el('tr', null, head)), el('tbody', null, body)));
}

function announce(text) {
  byId('said').textContent = text;
}

// Text that others wrote, made safe to look at: control characters are named, direction is isolated, length is
// bounded, and LaTeX becomes MathML by KaTeX without trust.

const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;
const FIRST = 2500, MORE = 100000, MATHS_WHOLE = 20000;
const MATHS_LONGEST = 1500, MATHS_MOST = 60, MATHS_MS = 250, BRACES = 150;
// Definitions can expand without end, links and images are nobody's business here.
const FORBIDDEN = /\\(?:[gex]?def|let|futurelet|(?:new|renew|provide)command|global|long|href|url|html|include|char|verb)/;

const code = (char) => `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
const isHidden = (char) => char !== '\n' && char !== '\t';

// One line of plain text for labels and options: no hidden characters, at most `limit` characters.
function line(value, limit = 200) {
  const text = String(value ?? '');
  const cut = text.length > limit ? `${text.slice(0, limit)}\u2026` : text;
  return cut.replace(/\s+/gu, ' ').replace(HIDDEN, (char) => `\u2039${code(char)}\u203a`);
}

const label = (value, limit) => el('bdi', { dir: 'auto' }, line(value, limit));

// Text nodes, with a visible mark for each hidden character.
function marked(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (!isHidden(match[0])) continue;
    found.push(text.slice(at, match.index), el('span', { class: 'hidden-char', title: 'control character' }, code(match[0])));
    at = match.index + match[0].length;
  }
  found.push(text.slice(at));
  return found;
}

const plainly = (text) => text.replace(HIDDEN, (char) => (isHidden(char) ? `\u2039${code(char)}\u203a` : char));

// The end of a group that opens with a brace at `from`, or -1.
function closing(text, from) {
  let depth = 0;
  for (let at = from; at < text.length && at - from < MATHS_LONGEST; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  return -1;
}

// Pieces [text, isMaths, displayed]; a dollar is a formula's only where it can hardly be money.
function pieces(text) {
  const found = [];
  let at = 0, from = 0;
  const take = (start, end, source, shown) => {
    if (start > from) found.push([text.slice(from, start), false]);
    found.push([text.slice(start, end), true, source, shown]);
    from = at = end;
  };
  const until = (mark, start) => {
    const end = text.slice(start, start + MATHS_LONGEST).indexOf(mark);
    return end < 0 ? -1 : start + end;
  };
  while (at < text.length) {
    const next = text.slice(at).search(/[\\$]/);
    if (next < 0) break;
    at += next;
    let end = -1;
    if (text.startsWith('\\(', at) && (end = until('\\)', at + 2)) > 0) take(at, end + 2, text.slice(at + 2, end), false);
    else if (text.startsWith('\\[', at) && (end = until('\\]', at + 2)) > 0) take(at, end + 2, text.slice(at + 2, end), true);
    else if (text.startsWith('$$', at) && (end = until('$$', at + 2)) > 0) take(at, end + 2, text.slice(at + 2, end), true);
    else if (text.startsWith('\\boxed{', at) && (end = closing(text, at + 6)) > 0) take(at, end + 1, text.slice(at, end + 1), false);
    else if (text[at] === '$' && (end = until('$', at + 1)) > at + 1 && isFormula(text, at + 1, end)) take(at, end + 1, text.slice(at + 1, end), false);
    else at += text[at] === '\\' ? 2 : 1;
    if (found.length > 2 * MATHS_MOST) break;
  }
  if (from < text.length) found.push([text.slice(from), false]);
  return found;
}

function isFormula(text, start, end) {
  const source = text.slice(start, end);
  if (/^\s|\s$|\n/.test(source) || /\d/.test(text[end + 1] ?? '')) return false;
  return /[\\^_={}<>]/.test(source) || /^[A-Za-z]$/.test(source);
}

function formula(source, whole, displayed) {
  const raw = () => el('code', { class: 'tex', dir: 'ltr' }, marked(whole));
  if (source.length > MATHS_LONGEST || FORBIDDEN.test(source) || source.split('{').length > BRACES) return raw();
  const place = el('span', { class: displayed ? 'maths shown' : 'maths', dir: 'ltr' });
  try {
    katex.render(source, place, {
      output: 'mathml', displayMode: displayed, throwOnError: true, trust: false, strict: 'ignore', maxExpand: 100, maxSize: 10,
    });
  } catch {
    return raw();
  }
  return place;
}

function withMaths(text) {
  const start = performance.now();
  return pieces(text).map(([whole, isMaths, source, displayed]) =>
    isMaths && performance.now() - start < MATHS_MS ? formula(source, whole, displayed) : marked(whole));
}

// A block of text. `value` is a string, or {cut, of} where the page holds its beginning only.
function prose(value, { maths = true, first = FIRST } = {}) {
  if (value === null || value === undefined) return el('p', { class: 'text none' }, 'none');
  const text = typeof value === 'string' ? value : value.cut;
  const whole = typeof value === 'string' ? value.length : value.of;
  const shown = el('div', { class: 'text', dir: 'auto' });
  const head = text.slice(0, first);
  shown.append(...(maths ? withMaths(head) : marked(head)).flat());
  const box = el('div', { class: 'prose' }, shown);
  let at = head.length;
  const note = () => (at >= text.length && whole > text.length ? `the first ${count(text.length)} of ${count(whole)} characters; remedial show prints all` : '');
  if (text.length > first) {
    const more = el('button', { type: 'button', class: 'quiet' }, `show all ${count(whole)} characters`);
    more.addEventListener('click', () => {
      if (maths && text.length <= MATHS_WHOLE) {
        shown.replaceChildren(...withMaths(text).flat());
        more.replaceWith(el('p', { class: 'note' }, note()));
        return;
      }
      shown.append(plainly(text.slice(at, at + MORE)));
      at = Math.min(at + MORE, text.length);
      if (at >= text.length) more.replaceWith(el('p', { class: 'note' }, note()));
      else more.textContent = `show more (${count(text.length - at)} characters are left)`;
    });
    box.append(more);
  } else if (note()) box.append(el('p', { class: 'note' }, note()));
  return box;
}

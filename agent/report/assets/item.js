// One failure in full: question, gold answer, what the student wrote, its cluster, and the practice made for it.

const OUTCOMES = { correct: 'right', wrong: 'wrong', unparsed: 'no answer read', truncated: 'cut off', errored: 'error' };
const KINDS = {
  wrong: 'wrong in every sample', inconsistent: 'right in some samples', truncated: 'ran out of tokens', unparsed: 'no answer could be read',
  gold_suspect: 'the gold answer is suspect', passed: 'solved', errored: 'error',
};

function field(name, ...kids) {
  return el('div', { class: 'field' }, el('h4', null, name), ...kids);
}

function answer(name, value, mark) {
  return el('div', { class: `answer ${mark}` }, el('span', { class: 'what' }, name), value === null || value === undefined
    ? el('span', { class: 'none' }, 'none') : el('div', null, prose(value, { first: 400 })));
}

function attemptView(attempt, at, many) {
  const facts = [OUTCOMES[attempt.outcome] ?? attempt.outcome, plural(attempt.tokens, 'token')];
  if (attempt.finish !== 'stop') facts.push(`ended by ${attempt.finish}`);
  return el('div', { class: `attempt ${attempt.outcome === 'correct' ? 'good' : 'bad'}` },
    el('p', { class: 'meta' }, many ? `Sample ${at + 1}: ` : '', facts.join(', '), attempt.extracted === null ? '' : [', read as ', el('b', { dir: 'auto' }, line(whole(attempt.extracted), 80))]),
    prose(attempt.text));
}

function fateView(fate) {
  return el('ol', { class: 'fate' }, fate.map(([round, kind]) =>
    el('li', { class: kind === 'passed' ? 'good' : 'bad' }, `round ${round}: ${KINDS[kind] ?? kind}`)));
}

function draftView(draft) {
  const yes = draft.accepted === 'yes';
  const state = draft.trained ? 'trained on' : yes ? 'accepted, not trained on' : `refused: ${draft.reason}`;
  return el('details', { class: `draft ${yes ? 'good' : 'bad'}` },
    el('summary', null, el('span', { class: 'mark' }, yes ? '\u2713 ' : '\u2717 '), label(whole(draft.statement), 110), el('span', { class: 'meta' }, ` ${line(state, 120)}`)),
    field('Question', prose(draft.statement)), field('Answer', prose(draft.answer)), field('Solution', prose(draft.solution)),
    field('Checks', el('ul', null, draft.checks.map((check) =>
      el('li', { class: check.outcome === 'fail' ? 'bad' : null }, `${check.by}: ${check.outcome}`, check.reason ? ` (${line(check.reason, 200)})` : '', check.evidence && whole(check.evidence) ? prose(check.evidence, { first: 300 }) : null)))),
    el('p', { class: 'meta' }, `${line(draft.teacher, 80)}, strategy ${line(draft.strategy, 40)}, `, el('code', null, draft.id)));
}

// What was written for a cluster, refused first, 20 at a time.
async function writtenView(cluster) {
  const own = data.clusters[cluster];
  const parts = await chunk(`d${cluster}`);
  if (parts === null) return el('p', { class: 'note' }, own.budget ? 'Nothing was drafted for it yet.' : 'It got none of the budget.');
  const box = el('div');
  paged(box, parts.drafts, draftView, 10);
  const unread = parts.unread.length
    ? el('details', null, el('summary', null, `${plural(parts.unread.length, 'part')} of replies that could not be read as a problem`),
      el('ul', null, parts.unread.slice(0, 100).map((part) => el('li', null, line(part.reason, 200), prose(part.evidence, { first: 400 })))))
    : null;
  const more = own.written.n > parts.drafts.length ? el('p', { class: 'note' }, `${count(parts.drafts.length)} of ${count(own.written.n)} are in this page; the run folder holds all.`) : null;
  return el('div', null, el('p', null, `${plural(own.written.n, 'draft')}: ${count(own.written.accepted)} accepted, ${count(own.written.n - own.written.accepted)} refused or undecided, ${count(own.written.trained)} trained on.`), box, more, unread);
}

function paged(box, all, view, size) {
  let shown = 0;
  const list = el('div');
  const more = el('button', { type: 'button', class: 'quiet' });
  const add = () => {
    list.append(...all.slice(shown, shown + size).map(view));
    shown = Math.min(shown + size, all.length);
    more.textContent = `show more (${count(all.length - shown)} left)`;
    more.hidden = shown >= all.length;
  };
  more.addEventListener('click', add);
  add();
  box.append(list, more);
}

function makeItemView() {
  const body = el('div', { id: 'item-body' });
  const box = el('aside', { class: 'item', id: 'item', tabindex: -1, 'aria-labelledby': 'item-title' }, body);
  let drawn = -2;

  async function draw() {
    const at = state.item;
    if (at === drawn) return;
    drawn = at;
    if (at < 0) {
      put(body, el('h3', { id: 'item-title' }, 'A failure'), el('p', { class: 'note' }, 'Choose a point of the map or a line of the list to read it here.'));
      return;
    }
    const [head, rest] = await Promise.all([headOf(at), bodyOf(at)]);
    if (state.item !== at) return;
    const cluster = items.cluster[at], own = data.clusters[cluster];
    const position = state.shown.indexOf(at);
    const go = (step) => () => change({ item: state.shown[(position + step + state.shown.length) % state.shown.length] });
    const practice = el('details', { class: 'practice' }, el('summary', null, 'Practice made for this cluster, and what was refused'));
    practice.addEventListener('toggle', async () => {
      if (practice.open && practice.children.length === 1) practice.append(await writtenView(cluster));
    });
    put(body, 
      el('div', { class: 'item-head' }, el('h3', { id: 'item-title' }, 'Failure ', el('code', null, items.id[at])),
        el('span', { class: 'steps' }, el('button', { type: 'button', onclick: go(-1), 'aria-label': 'previous failure' }, '\u2190'), el('button', { type: 'button', onclick: go(1), 'aria-label': 'next failure' }, '\u2192'))),
      el('p', { class: 'meta' }, swatch(cluster), el('button', { type: 'button', class: 'link', onclick: () => change({ cluster }) }, label(own.label, 80)), ` (${KINDS[data.kinds[items.kind[at]]]})`),
      field('Question', prose(head[0])),
      el('div', { class: 'answers' }, answer('Gold', head[1], 'good'), answer('Student', head[2], 'bad')),
      field(rest.attempts.length > 1 ? 'What the student wrote' : 'What the student wrote', rest.attempts.map((attempt, n) => attemptView(attempt, n, rest.attempts.length > 1))),
      rest.solution === null ? null : el('details', null, el('summary', null, 'Gold solution'), prose(rest.solution)),
      own.misconception ? field('The teacher on this cluster', prose(own.misconception)) : null,
      rest.fate.length > 1 ? field('Round by round', fateView(rest.fate)) : null,
      practice);
    box.scrollTop = 0;
    announce(`Failure ${items.id[at]}, cluster ${line(own.label, 60)}`);
  }
  listeners.push(draw);
  draw();
  return box;
}

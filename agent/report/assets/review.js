// The review, where the page is served: decisions about clusters or drafts, sent to `remedial view` with its token.

let dirty = false;

function reviewSection() {
  if (!data.live || !data.waits) return null;
  const box = el('div', null, el('p', { class: 'note' }, 'Reading ...'));
  chunk('pending').then((pending) => put(box, ...reviewForm(pending)));
  return section('review', `Review: round ${data.waits.round} after ${data.waits.point}`, box);
}

function reviewForm(pending) {
  const decisions = { clusters: new Map(), drafts: new Map() };
  const author = el('input', { id: 'author', type: 'text', value: data.live.author, maxlength: 200, required: true });
  const comment = el('textarea', { id: 'comment', rows: 2, maxlength: 4000 });
  const said = el('div', { role: 'alert', id: 'review-said' });
  const tally = el('span', { class: 'meta' });
  const touch = () => {
    dirty = true;
    const n = decisions.clusters.size + decisions.drafts.size;
    tally.textContent = n ? plural(n, 'decision') : 'Nothing is changed: it will be approved as it is.';
  };
  const body = pending.point === 'diagnose' ? clusterForm(pending, decisions.clusters, touch) : draftForm(pending, decisions.drafts, touch);
  const send = el('button', { type: 'submit', class: 'primary', id: 'submit-review' }, 'Submit the review');
  const form = el('form', { class: 'review-form' }, body,
    el('div', { class: 'field' }, el('label', { for: 'comment' }, 'Comment'), comment), el('div', { class: 'field' }, el('label', { for: 'author' }, 'Author'), author),
    el('div', { class: 'toolbar' }, send, tally), said);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    send.disabled = true;
    const decided = { round: pending.round, point: pending.point, state: pending.state, clusters: [...decisions.clusters.values()], drafts: [...decisions.drafts.values()], comment: comment.value };
    const reply = await post('review', { author: author.value, decisions: decided });
    send.disabled = false;
    put(said, el('p', { class: reply.ok ? 'result good' : 'result bad' }, line(reply.text, 2000)));
    if (reply.ok) { dirty = false; form.querySelectorAll('input, select, textarea, button').forEach((part) => { part.disabled = true; }); }
  });
  tally.textContent = 'Nothing is changed: it will be approved as it is.';
  return [el('p', { class: 'note' }, pending.point === 'diagnose' ? 'What should the teacher write practice for? What is left as it is stays so.' : 'Which drafts may be trained on? Accepted ones come first.'), form];
}

async function post(where, value) {
  try {
    const response = await fetch(where, { method: 'POST', headers: { 'content-type': 'application/json', 'x-remedial-token': data.live.token }, body: JSON.stringify(value) });
    const found = await response.json();
    return { ok: response.ok, text: String(found.text) };
  } catch {
    return { ok: false, text: 'remedial view does not answer; start it again, and the review is here again.' };
  }
}

function clusterForm(pending, decisions, touch) {
  const names = new Map(pending.clusters.map((cluster) => [cluster.id, whole(cluster.label)]));
  const row = (cluster) => {
    const set = (field, value) => {
      const own = { id: cluster.id, action: 'keep', ...decisions.get(cluster.id), [field]: value };
      for (const key of ['into', 'label', 'weight', 'note']) if (own[key] === null || own[key] === '') delete own[key];
      if (Object.keys(own).length === 2 && own.action === 'keep') decisions.delete(cluster.id); else decisions.set(cluster.id, own);
      touch();
    };
    const name = line(cluster.label, 60);
    const action = el('select', { 'aria-label': `what to do with ${name}`, 'data-review': cluster.id },
      el('option', { value: 'keep' }, 'keep'), el('option', { value: 'drop' }, 'drop'),
      el('optgroup', { label: 'merge into' }, pending.clusters.filter((other) => other.id !== cluster.id).map((other) => el('option', { value: `into ${other.id}` }, line(names.get(other.id), 50)))));
    action.addEventListener('change', () => {
      const merged = action.value.startsWith('into ');
      set('action', merged ? 'merge' : action.value);
      set('into', merged ? action.value.slice(5) : null);
    });
    const rename = el('input', { type: 'text', placeholder: name, maxlength: 200, 'aria-label': `new name of ${name}`, onchange: (event) => set('label', event.target.value.trim() || null) });
    const weight = el('input', { type: 'number', min: 0, max: 1000, step: 'any', placeholder: '1', class: 'small', 'aria-label': `weight of ${name}`, onchange: (event) => set('weight', event.target.value === '' ? null : Number(event.target.value)) });
    const note = el('textarea', { rows: 1, maxlength: 4000, 'aria-label': `note to the teacher about ${name}`, onchange: (event) => set('note', event.target.value.trim() || null) });
    const known = data.clusters.findIndex((own) => own.id === cluster.id);
    return { cluster, action, rename, weight, note, known };
  };
  const rows = pending.clusters.map(row);
  return table(`${plural(rows.length, 'cluster')}, ${count(pending.budget)} examples to spend`, [
    { name: 'cluster', cell: (own) => el('span', { class: 'name' }, own.known >= 0 ? swatch(own.known) : null, own.known >= 0 ? el('button', { type: 'button', class: 'link', onclick: () => { change({ round: data.clusters[own.known].round, cluster: own.known }); byId('failures').scrollIntoView(); } }, label(own.cluster.label, 80)) : label(own.cluster.label, 80)) },
    { name: 'failed', num: true, cell: (own) => `${own.cluster.failures} of ${own.cluster.n}` },
    { name: 'planned', num: true, cell: (own) => count(own.cluster.planned) },
    { name: 'decision', cell: (own) => own.action }, { name: 'new name', cell: (own) => own.rename }, { name: 'weight', cell: (own) => own.weight }, { name: 'note to the teacher', cell: (own) => own.note },
  ], rows);
}

function draftForm(pending, decisions, touch) {
  const box = el('div');
  paged(box, pending.drafts, (draft) => {
    const action = draft.accepted ? 'veto' : 'accept';
    const tick = el('input', { type: 'checkbox', 'data-review': draft.id, disabled: Boolean(draft.objection), onchange: (event) => {
      if (event.target.checked) decisions.set(draft.id, { id: draft.id, action }); else decisions.delete(draft.id);
      touch();
    } });
    return el('div', { class: `draft-row ${draft.accepted ? 'good' : 'bad'}` },
      el('label', { class: 'tick' }, tick, draft.accepted ? 'veto' : 'accept by hand'),
      el('details', { class: 'draft' }, el('summary', null, label(whole(draft.statement), 140), el('span', { class: 'meta' }, draft.accepted ? ' accepted' : ` refused: ${line(draft.reason, 80)}`, ', for ', label(draft.cluster, 50))),
        field('Question', prose(draft.statement)), field('Answer', prose(draft.answer)), field('Solution', prose(draft.solution)),
        field('Checks', el('ul', null, draft.checks.map((check) => el('li', null, `${check.verifier}: ${check.outcome} ${line(check.reason, 200)}`)))),
        draft.objection ? el('p', { class: 'warning' }, line(draft.objection, 300)) : null));
  }, 25);
  return el('div', null, el('p', { class: 'meta' }, `${plural(pending.drafts.length, 'draft')}, ${count(pending.drafts.filter((draft) => draft.accepted).length)} accepted`), box);
}

// A served page follows the run: it reads itself again when something was finished, unless decisions would be lost.
function follow() {
  if (!data.live) return;
  const note = el('p', { class: 'warning', hidden: true, role: 'status' }, 'The run has gone on. ', el('button', { type: 'button', onclick: () => location.reload() }, 'Read it again'));
  byId('page').prepend(note);
  const ask = async () => {
    try {
      const response = await fetch('state', { cache: 'no-store' });
      if (response.ok) {
        const { state: now } = await response.json();
        if (now !== data.live.state && !dirty) location.reload();
        note.hidden = now === data.live.state;
      }
    } catch { /* the server has ended: the page stays as it is */ }
  };
  setInterval(ask, 4000);
  window.addEventListener('beforeunload', (event) => { if (dirty) event.preventDefault(); });
}

// The map of failures: a canvas that draws tens of thousands of points, finds the one under the pointer, and is
// walked with the arrow keys.

function makeMap() {
  const canvas = el('canvas', {
    tabindex: 0, role: 'application', 'aria-roledescription': 'map of failures', 'aria-describedby': 'map-help', 'aria-label': 'Map of failures',
  });
  const tip = el('div', { class: 'tip', hidden: true, role: 'presentation' });
  const reset = el('button', { type: 'button', class: 'quiet over', onclick: () => fit() }, 'whole map');
  const box = el('div', { class: 'map' }, canvas, tip, reset);
  let width = 0, height = 0, ratio = 1, zoom = 1, left = 0, top = 0, hovered = -1, drag = null, waiting = false, forPrint = false;
  const cells = new Map();
  const CELL = 24;

  const EDGE = 14; // neither axis means anything by itself, so each fills its side of the canvas
  const px = (at) => left + (EDGE + (items.x[at] / data.grid) * (width - 2 * EDGE)) * zoom;
  const py = (at) => top + (EDGE + (1 - items.y[at] / data.grid) * (height - 2 * EDGE)) * zoom;

  function fit() {
    zoom = 1;
    [left, top] = [0, 0];
    draw();
  }

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const names = ['--a0', '--a1', '--a2', '--a3', '--a4', '--a5', '--a6', '--a7', '--page', '--ink', '--rule'];
    return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name).trim()]));
  }

  function paint() {
    waiting = false;
    const context = canvas.getContext('2d');
    const ink = colours();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    cells.clear();
    const shown = new Set(state.shown);
    const groups = new Map();
    const rest = [];
    for (let at = 0; at < total; at++) {
      if (items.round[at] !== state.round) continue;
      if (!shown.has(at)) { rest.push(at); continue; }
      const key = items.cluster[at];
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(at);
    }
    const size = Math.max(0.34, Math.min(1.25, 26 / Math.sqrt(rest.length + state.shown.length + 1))) * Math.min(2, Math.sqrt(zoom));
    context.fillStyle = ink['--rule'];
    const dot = Math.max(1.2, 3 * size);
    for (const at of rest) {
      const x = px(at), y = py(at);
      if (x > -9 && y > -9 && x < width + 9 && y < height + 9) context.fillRect(x - dot / 2, y - dot / 2, dot, dot);
    }
    const shapes = SHAPES.map((path) => new Path2D(path));
    for (const [cluster, members] of groups) {
      const all = new Path2D();
      for (const at of members) {
        const x = px(at), y = py(at);
        if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
        all.addPath(shapes[shapeOf(cluster)], new DOMMatrix([size, 0, 0, size, x, y]));
        const cell = `${Math.floor(x / CELL)},${Math.floor(y / CELL)}`;
        if (!cells.has(cell)) cells.set(cell, []);
        cells.get(cell).push(at);
      }
      context.globalAlpha = state.shown.length > 4000 ? 0.75 : 0.9;
      context.fillStyle = ink[`--a${colourOf(cluster)}`];
      context.fill(all);
      if (size > 0.8) { context.strokeStyle = ink['--page']; context.lineWidth = 0.8; context.stroke(all); }
    }
    context.globalAlpha = 1;
    for (const [at, wide] of [[hovered, 1.5], [state.item, 2.5]]) {
      if (at < 0 || items.round[at] !== state.round || (forPrint && at !== state.item)) continue;
      context.beginPath();
      context.arc(px(at), py(at), 6 * Math.max(size, 0.8) + 3, 0, 2 * Math.PI);
      context.lineWidth = wide;
      context.strokeStyle = ink['--ink'];
      context.stroke();
    }
  }

  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(paint);
  }

  function resize() {
    const bounds = box.getBoundingClientRect();
    if (!bounds.width) return;
    [width, height, ratio] = [bounds.width, bounds.height, Math.min(window.devicePixelRatio || 1, 2)];
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    fit();
  }

  function under(x, y) {
    let best = -1, least = 14 * 14;
    for (let dx = -1; dx <= 1; dx++) for (let dy = -1; dy <= 1; dy++) {
      for (const at of cells.get(`${Math.floor(x / CELL) + dx},${Math.floor(y / CELL) + dy}`) ?? []) {
        const far = (px(at) - x) ** 2 + (py(at) - y) ** 2;
        if (far < least) [best, least] = [at, far];
      }
    }
    return best;
  }

  async function hover(at, x, y) {
    if (at === hovered) return;
    hovered = at;
    canvas.style.setProperty('cursor', at < 0 ? 'default' : 'pointer');
    draw();
    tip.hidden = true;
    if (at < 0) return;
    const head = await headOf(at);
    if (hovered !== at) return;
    put(tip, el('strong', null, swatch(items.cluster[at]), label(data.clusters[items.cluster[at]].label, 60)), el('span', { dir: 'auto' }, line(whole(head[0]), 140)));
    tip.hidden = false;
    tip.style.setProperty('left', `${Math.max(4, Math.min(x + 12, width - tip.offsetWidth - 4))}px`);
    tip.style.setProperty('top', `${y + 18 + tip.offsetHeight > height ? y - tip.offsetHeight - 10 : y + 18}px`);
  }

  const where = (event) => {
    const bounds = canvas.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top];
  };
  canvas.addEventListener('pointerdown', (event) => {
    drag = { x: event.clientX, y: event.clientY, left, top, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (drag) {
      const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
      if (drag.moved || Math.hypot(dx, dy) > 4) {
        drag.moved = true;
        [left, top] = [drag.left + dx, drag.top + dy];
        draw();
      }
      return;
    }
    hover(under(...where(event)), ...where(event));
  });
  canvas.addEventListener('pointerup', (event) => {
    const clicked = drag && !drag.moved;
    drag = null;
    const at = clicked ? under(...where(event)) : -1;
    if (at >= 0) change({ item: at });
  });
  canvas.addEventListener('pointercancel', () => { drag = null; });
  canvas.addEventListener('pointerleave', () => hover(-1));
  canvas.addEventListener('wheel', (event) => {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
    event.preventDefault();
    closer(Math.exp(-event.deltaY / 400), ...where(event));
  }, { passive: false });

  function closer(factor, x, y) {
    const next = Math.max(1, Math.min(40, zoom * factor));
    left = x - ((x - left) * next) / zoom;
    top = y - ((y - top) * next) / zoom;
    zoom = next;
    if (zoom === 1) fit(); else draw();
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener('keydown', (event) => {
    if (event.key === '+' || event.key === '-') closer(event.key === '+' ? 1.5 : 1 / 1.5, width / 2, height / 2);
    else if (event.key === '0') fit();
    else if (event.key === 'Escape') change({ item: -1 });
    else if (ARROWS[event.key]) step(...ARROWS[event.key]);
    else return;
    event.preventDefault();
  });

  // To the nearest point in a direction, within 45 degrees of it.
  function step(dx, dy) {
    if (!state.shown.length) return;
    if (state.item < 0 || !state.shown.includes(state.item)) return change({ item: state.shown[0] });
    let best = -1, least = Infinity;
    for (const at of state.shown) {
      const x = px(at) - px(state.item), y = py(at) - py(state.item);
      const along = x * dx + y * dy, across = Math.abs(x * dy - y * dx);
      if (at === state.item || along <= 0.5 || across > along) continue;
      if (along + across < least) [best, least] = [at, along + across];
    }
    if (best >= 0) change({ item: best });
  }

  listeners.push(draw);
  new ResizeObserver(resize).observe(box);
  const print = window.matchMedia('print');
  print.addEventListener('change', () => { forPrint = print.matches; paint(); });
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  return { box, draw, spot: (at) => [px(at), py(at)] };
}

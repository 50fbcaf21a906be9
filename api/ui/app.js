// The page of LLM-Sentinel. Everything that comes from telemetry reaches the document as text of a node, never as markup.
'use strict';

const API = '/api/v1';
const POLL_MS = 4000;
const PAGE_SIZE = 100;
const SEVERITIES = ['low', 'medium', 'high', 'critical'];
const STATUSES = ['open', 'acknowledged', 'resolved'];

const main = document.getElementById('main');
const state = { view: '', shown: '', timer: 0, filter: { status: '', severity: '' }, aborter: null };

// --- building nodes ---

// h makes an element. Attributes are set as attributes, functions become listeners, children are nodes or text.
function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function badge(text, tone) {
  return h('span', { class: 'badge ' + tone }, text);
}

function table(headings, rows) {
  const cell = (tag, content, number) => h(tag, { class: number ? 'number' : null, scope: tag === 'th' ? 'col' : null }, content);
  return h('div', { class: 'scroll' }, h('table', null,
    h('thead', null, h('tr', null, headings.map((x) => cell('th', x.title, x.number)))),
    h('tbody', null, rows.map((row) => h('tr', null, row.map((x, i) => cell('td', x, headings[i].number)))))));
}

function card(title, ...content) {
  return h('section', { class: 'card' }, h('h2', null, title), ...content);
}

// --- words ---

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'short' });
const numbers = new Intl.NumberFormat('en', { maximumSignificantDigits: 4 });
const percents = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 });

function age(at) {
  const seconds = (new Date(at) - Date.now()) / 1000;
  for (const [unit, size] of [['day', 86400], ['hour', 3600], ['minute', 60]]) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return relative.format(Math.trunc(seconds), 'second');
}

function when(at) {
  const node = h('time', { datetime: at, title: new Date(at).toLocaleString() }, age(at));
  node.dataset.at = at;
  return node;
}

function refreshAges() {
  for (const node of main.querySelectorAll('time[data-at]')) node.textContent = age(node.dataset.at);
}

const words = (name) => name.replaceAll('_', ' ');
const quantity = (value, unit) => unit === 'ratio' || unit === 'proportion' ? percents.format(value) : numbers.format(value) + ' ' + unit;
const subject = (s) => words(s.kind) + ' ' + s.value;
const series = (s) => [s.service, s.operation, s.model, s.tool, s.agent, s.region].filter(Boolean).join(' ');

function effect(e) {
  const ratio = e.baseline > 0 ? ' (×' + numbers.format(e.current / e.baseline) + ')' : '';
  return quantity(e.baseline, e.unit) + ' → ' + quantity(e.current, e.unit) + ratio;
}

// --- a small part of Markdown: headings, lists, paragraphs, fenced code, bold, code, and citations like [E1] ---

function inline(text) {
  const nodes = [];
  const pattern = /`([^`]+)`|\*\*([^*]+)\*\*|\[(E\d+(?:, ?E\d+)*)\]/g;
  let last = 0;
  for (const match of text.matchAll(pattern)) {
    nodes.push(text.slice(last, match.index));
    last = match.index + match[0].length;
    if (match[1] !== undefined) nodes.push(h('code', null, match[1]));
    else if (match[2] !== undefined) nodes.push(h('strong', null, inline(match[2])));
    else nodes.push(...match[3].split(/, ?/).map(cite));
  }
  nodes.push(text.slice(last));
  return nodes.filter((node) => node !== '');
}

function cite(id) {
  return h('button', { class: 'cite', type: 'button', 'aria-label': 'Show evidence ' + id, click: () => {
    const target = document.getElementById('citation-' + id);
    if (!target) return;
    for (const lit of main.querySelectorAll('.lit')) lit.classList.remove('lit');
    target.classList.add('lit');
    target.scrollIntoView({ block: 'center' });
    target.focus({ preventScroll: true });
  } }, '[' + id + ']');
}

function markdown(source) {
  const blocks = [];
  let paragraph = [];
  let list = null;
  const endParagraph = () => {
    if (paragraph.length) blocks.push(h('p', null, inline(paragraph.join(' '))));
    paragraph = [];
  };
  const item = (tag, text) => {
    endParagraph();
    if (!list || list.tagName.toLowerCase() !== tag) blocks.push(list = h(tag));
    list.append(h('li', null, inline(text)));
  };
  const lines = source.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i].trimEnd();
    let match;
    if (/^\s*```/.test(line)) {
      endParagraph();
      list = null;
      const code = [];
      while (++i < lines.length && !/^\s*```/.test(lines[i])) code.push(lines[i]);
      blocks.push(h('pre', null, h('code', null, code.join('\n'))));
    } else if ((match = /^(#{1,4})\s+(.*)$/.exec(line))) {
      endParagraph();
      list = null;
      blocks.push(h('h' + Math.min(match[1].length + 2, 5), null, inline(match[2])));
    } else if ((match = /^\s*[-*]\s+(.*)$/.exec(line))) {
      item('ul', match[1]);
    } else if ((match = /^\s*\d+[.)]\s+(.*)$/.exec(line))) {
      item('ol', match[1]);
    } else if (line.trim() === '') {
      endParagraph();
    } else if (list && /^\s/.test(line)) {
      list.lastElementChild.append(' ', ...inline(line.trim()));
    } else {
      list = null;
      paragraph.push(line.trim());
    }
  }
  endParagraph();
  return h('div', { class: 'note-body' }, blocks);
}

// --- talking to the server ---

class Failure extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function call(path, options = {}) {
  const headers = { Accept: 'application/json' };
  const key = sessionStorage.getItem('key');
  if (key) headers.Authorization = 'Bearer ' + key;
  if (options.body) headers['Content-Type'] = 'application/json';
  const response = await fetch(API + path, { ...options, headers });
  const text = await response.text();
  if (response.ok || (path === '/health' && response.status === 503)) return text;
  let detail = response.status + ' ' + response.statusText;
  try {
    detail = JSON.parse(text).detail || detail;
  } catch { /* a proxy's own page: the status says enough */ }
  if (response.status === 401) askKey(key ? detail : '');
  throw new Failure(response.status, detail);
}

function askKey(reason) {
  const dialog = document.getElementById('key-dialog');
  if (dialog.open) return;
  if (reason) document.getElementById('key-reason').textContent = 'The server says: ' + reason + '.';
  dialog.showModal();
}

document.getElementById('key-form').addEventListener('submit', () => {
  const input = document.getElementById('key-input');
  sessionStorage.setItem('key', input.value.trim());
  input.value = '';
  refresh();
});

let messageTimer = 0;
function say(text) {
  const node = document.getElementById('message');
  node.textContent = text;
  node.hidden = false;
  clearTimeout(messageTimer);
  messageTimer = setTimeout(() => { node.hidden = true; }, 6000);
}

// --- health ---

async function showHealth() {
  const box = document.getElementById('health');
  const details = document.getElementById('health-details');
  let health;
  try {
    health = JSON.parse(await call('/health'));
  } catch (err) {
    box.dataset.status = 'unreachable';
    document.getElementById('health-status').textContent = 'unreachable';
    details.replaceChildren(h('p', null, String(err.message)));
    return;
  }
  box.dataset.status = health.status;
  document.getElementById('health-status').textContent = health.status;
  const shed = Object.entries(health.shed || {}).filter(([, count]) => count > 0);
  details.replaceChildren(
    h('p', { class: 'quiet' }, 'Version ' + health.version + ', up since ' + new Date(Date.now() - health.uptime * 1000).toLocaleString()),
    ...(health.degraded || []).map((d) => h('p', null, h('strong', null, d.part), ': ' + d.reason + ', since ' + new Date(d.since).toLocaleString())),
    ...shed.map(([what, count]) => h('p', null, numbers.format(count) + ' ' + words(what) + ' shed')),
    health.learning_series ? h('p', null, numbers.format(health.learning_series) + ' series are learning') : '');
}

// --- views: each says what it reads and how to draw it ---

function incidentsView() {
  const query = new URLSearchParams({ limit: PAGE_SIZE });
  for (const [name, value] of Object.entries(state.filter)) if (value) query.set(name, value);
  return { title: 'Incidents', paths: ['/incidents?' + query], draw: drawIncidents };
}

function choice(label, name, options, any) {
  const select = h('select', { id: 'filter-' + name, change: (event) => {
    state.filter[name] = event.target.value;
    refresh();
  } }, h('option', { value: '' }, any), options.map((x) => h('option', { value: x, selected: state.filter[name] === x }, words(x))));
  return h('label', { class: 'row small' }, label, select);
}

function drawIncidents(page) {
  const rows = page.items.map((incident) => [
    badge(incident.severity, incident.severity),
    [h('a', { href: '#/incidents/' + encodeURIComponent(incident.id) }, incident.title || words(incident.type)),
      h('div', { class: 'quiet small' }, words(incident.type) + (incident.subject.value ? ' · ' + subject(incident.subject) : ''))],
    badge(incident.status, incident.status),
    incident.services.join(', '),
    when(incident.onset),
  ]);
  return [
    h('h1', null, 'Incidents'),
    h('div', { class: 'row card' }, choice('Status', 'status', STATUSES, 'all'), choice('Severity', 'severity', SEVERITIES, 'all')),
    h('section', { class: 'card' }, rows.length
      ? table([{ title: 'Severity' }, { title: 'Incident' }, { title: 'Status' }, { title: 'Services' }, { title: 'Began' }], rows)
      : h('p', { class: 'quiet' }, 'No incidents. Calm, or nothing has arrived yet; the services say which.'),
    page.next_cursor ? h('p', { class: 'quiet small' }, 'Only the newest ' + PAGE_SIZE + ' are shown.') : null),
  ];
}

function incidentView(id) {
  const path = encodeURIComponent(id);
  return {
    title: 'Incident',
    paths: ['/incidents/' + path, '/anomalies?' + new URLSearchParams({ incident: id, limit: 20 })],
    draw: drawIncident,
  };
}

function drawIncident(incident, anomalies) {
  return [
    h('p', { class: 'small' }, h('a', { href: '#/incidents' }, '← All incidents')),
    h('h1', null, incident.title || words(incident.type)),
    h('p', { class: 'row' }, badge(incident.severity, incident.severity), badge(incident.status, incident.status),
      h('span', { class: 'quiet' }, 'began ', when(incident.onset), ', last seen ', when(incident.last_seen))),
    actions(incident),
    h('div', { class: 'columns' },
      h('div', null, note(incident.explanation), ...evidence(incident.evidence), found(anomalies.items)),
      h('div', null, facts(incident), timeline(incident.timeline))),
  ];
}

function actions(incident) {
  const path = '/incidents/' + encodeURIComponent(incident.id);
  const remark = h('input', { class: 'note', id: 'remark', placeholder: 'Note (optional)', 'aria-label': 'Note', maxlength: 1000 });
  const act = async (event, target, body, done) => {
    const buttons = event.target.parentElement.querySelectorAll('button');
    for (const button of buttons) button.disabled = true;
    try {
      await call(target, { method: 'POST', body: JSON.stringify(body) });
      remark.value = '';
      say(done);
      state.shown = '';
      await refresh();
    } catch (err) {
      say(err.message);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  };
  const decide = (what, label, done, primary) => h('button', {
    type: 'button', class: primary ? 'primary' : null, click: (e) => act(e, path + '/' + what, { note: remark.value }, done),
  }, label);
  const judge = (verdict, label) => h('button', {
    type: 'button', click: (e) => act(e, '/feedback', { incident_id: incident.id, verdict, comment: remark.value }, 'Thank you, noted.'),
  }, label);
  return h('div', { class: 'row card' }, remark,
    incident.status === 'open' ? decide('acknowledge', 'Acknowledge', 'Acknowledged.', true) : null,
    incident.status !== 'resolved' ? decide('resolve', 'Resolve', 'Resolved.') : null,
    decide('explain', 'Explain again', 'Explained again.'),
    judge('true_positive', 'It was real'), judge('false_positive', 'False alarm'));
}

function note(explanation) {
  if (!explanation) return card('What happened', h('p', { class: 'quiet' }, 'Not explained yet.'));
  const by = 'Written by ' + explanation.author + ', ' + new Date(explanation.at).toLocaleString() +
    (explanation.fallback ? '. A language model was asked, but: ' + explanation.fallback : '');
  return card('What happened', markdown(explanation.note || explanation.summary), h('p', { class: 'quiet small' }, by),
    explanation.citations.length ? h('details', { open: true }, h('summary', null, 'Evidence cited'),
      h('ul', null, explanation.citations.map((c) => h('li', { id: 'citation-' + c.id, tabindex: -1 }, h('strong', null, c.id), ' ' + c.text,
        c.trace_id ? h('div', { class: 'quiet small' }, 'trace ', h('code', null, c.trace_id)) : null)))) : null);
}

function evidence(ev) {
  if (!ev) return [];
  const out = [];
  if (ev.changes.length) {
    out.push(card('What changed', table([{ title: 'Quantity' }, { title: 'Series' }, { title: 'Calm → now' }],
      ev.changes.map((c) => [c.what, c.series, effect(c.effect)]))));
  }
  if (ev.slices.length) {
    const share = (value) => [h('meter', { min: 0, max: 1, value, 'aria-hidden': 'true' }), ' ' + percents.format(value)];
    out.push(card('Where it concentrates', table(
      [{ title: 'Slice' }, { title: 'Of the abnormal' }, { title: 'Of calm traffic' }, { title: 'Rate inside', number: true }, { title: 'outside', number: true }],
      ev.slices.map((s) => [[subject(s), s.new ? [' ', badge('new', 'medium')] : null], share(s.abnormal_share), share(s.baseline_share),
        percents.format(s.rate), s.rest ? percents.format(s.rest_rate) : '–']))));
  }
  if (ev.markers && ev.markers.length) {
    out.push(card('Changes made nearby', table([{ title: 'When' }, { title: 'What' }, { title: 'Version' }],
      ev.markers.map((m) => [when(m.timestamp), [words(m.kind) + ' of ' + (m.subject || m.service), m.description ? h('div', { class: 'quiet small' }, m.description) : null],
        [m.previous, m.version].filter(Boolean).join(' → ')]))));
  }
  if (ev.abnormal || ev.normal) {
    const example = (title, x) => x ? h('div', null, h('h3', null, title), h('pre', null, x.text)) : null;
    out.push(card('Side by side', h('div', { class: 'pair' }, example('Abnormal', ev.abnormal), example('Nearest normal', ev.normal)),
      ev.terms && ev.terms.length ? h('p', { class: 'small' }, 'Words that tell them apart: ' + ev.terms.join(', ')) : null));
  }
  if (ev.similar && ev.similar.length) {
    out.push(card('Like it before', h('ul', null, ev.similar.map((p) => h('li', null,
      h('a', { href: '#/incidents/' + encodeURIComponent(p.id) }, p.title), ' ', when(p.at), p.cause ? ', caused by ' + p.cause : '',
      p.resolution ? ', resolved by ' + p.resolution : '')))));
  }
  return out;
}

function found(anomalies) {
  if (!anomalies.length) return null;
  return card('Latest anomalies', table([{ title: 'When' }, { title: 'Severity' }, { title: 'Why' }, { title: 'Score', number: true }],
    anomalies.map((a) => [when(a.timestamp), badge(a.severity, a.severity), a.reason, numbers.format(a.score)])));
}

function facts(incident) {
  const list = h('dl', { class: 'facts' });
  const fact = (name, value) => list.append(h('dt', null, name), h('dd', null, value));
  fact('Type', [incident.type, ...(incident.also || [])].map(words).join(', '));
  if (incident.subject.value) fact('About', subject(incident.subject));
  fact('Services', incident.services.join(', '));
  fact('Effect', effect(incident.effect));
  fact('Score', numbers.format(incident.score));
  fact('Anomalies', numbers.format(incident.anomalies));
  fact('Users', numbers.format(incident.affected_users));
  if (incident.raised > 1) fact('Raised', incident.raised + ' times');
  if (incident.traces.length) {
    fact('Traces', h('details', null, h('summary', null, incident.traces.length + ' as a sample'),
      incident.traces.map((id) => h('div', null, h('code', null, id)))));
  }
  return card('Facts', list);
}

function timeline(entries) {
  return card('Timeline', entries.length ? h('ol', { class: 'timeline' }, entries.map((entry) => h('li', null,
    h('div', null, words(entry.event), entry.by ? ' by ' + entry.by : ''),
    entry.note ? h('div', null, entry.note) : null,
    h('div', { class: 'quiet small' }, when(entry.at))))) : h('p', { class: 'quiet' }, 'Nothing yet.'));
}

function servicesView() {
  return { title: 'Services', paths: ['/services'], draw: drawServices };
}

function drawServices(page) {
  if (!page.items.length) return [h('h1', null, 'Services'), h('p', { class: 'card quiet' }, 'No telemetry has arrived yet.')];
  return [h('h1', null, 'Services'), ...page.items.map((service) => {
    const learning = service.series.filter((s) => s.learning).length;
    return h('section', { class: 'card' },
      h('div', { class: 'row' }, h('h2', null, service.service),
        service.open_incidents ? badge(service.open_incidents + ' open', 'high') : badge('calm', 'known'),
        learning ? badge(learning + ' learning', 'medium') : null),
      h('p', { class: 'row small' }, h('label', { class: 'row' }, 'Health ', h('meter', { min: 0, max: 1, low: 0.5, high: 0.8, optimum: 1, value: service.health_score }),
        percents.format(service.health_score)),
      h('span', { class: 'quiet' }, numbers.format(service.spans) + ' spans, last ', when(service.last_seen))),
      service.series.length ? h('details', null, h('summary', null, 'Baselines: ' + service.series.length),
        table([{ title: 'Series' }, { title: 'Detector' }, { title: 'State' }, { title: 'Normal', number: true }],
          service.series.map((s) => [series(s.series), s.detector,
            s.learning ? badge('learning ' + numbers.format(s.seen) + ' of ' + numbers.format(s.needed), 'medium') : badge('learned', 'known'),
            s.baseline ? quantity(s.baseline.baseline, s.baseline.unit) : '']))) : null);
  })];
}

// --- showing and polling ---

function currentView() {
  const parts = location.hash.replace(/^#\/?/, '').split('/');
  if (parts[0] === 'services') return servicesView();
  if (parts[0] === 'incidents' && parts[1]) {
    try {
      return incidentView(decodeURIComponent(parts[1]));
    } catch { /* a broken escape names nothing */ }
  }
  return incidentsView();
}

// show replaces the view's content and leaves alone what a person is at: typed text, the focus, opened details.
function show(nodes) {
  const typed = document.getElementById('remark');
  const focused = document.activeElement && main.contains(document.activeElement) ? document.activeElement.id : '';
  const opened = [...main.querySelectorAll('details')].map((d) => d.open);
  main.replaceChildren(...nodes.filter(Boolean));
  main.querySelectorAll('details').forEach((d, i) => { if (i < opened.length) d.open = opened[i]; });
  const remark = document.getElementById('remark');
  if (typed && remark) remark.value = typed.value;
  if (focused) document.getElementById(focused)?.focus();
}

async function refresh() {
  clearTimeout(state.timer);
  state.aborter?.abort();
  const aborter = state.aborter = new AbortController();
  const view = currentView();
  const key = view.paths[0];
  try {
    const [texts] = await Promise.all([
      Promise.all(view.paths.map((path) => call(path, { signal: aborter.signal }))),
      showHealth(),
    ]);
    if (aborter.signal.aborted) return;
    const shown = key + texts.join('\n');
    if (shown !== state.shown) {
      const arrived = state.view !== key;
      if (arrived) main.replaceChildren();
      show(view.draw(...texts.map((text) => JSON.parse(text))));
      Object.assign(state, { shown, view: key });
    } else {
      refreshAges();
    }
  } catch (err) {
    if (aborter.signal.aborted) return;
    if (state.view !== key || err.status === 404) {
      show([h('h1', null, view.title), h('p', { class: 'card', role: 'alert' }, err.message)]);
      Object.assign(state, { shown: '', view: key });
    }
  }
  state.timer = setTimeout(refresh, document.hidden ? POLL_MS * 10 : POLL_MS);
}

function navigate() {
  const view = currentView();
  document.title = view.title + ' · LLM-Sentinel';
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash.slice(2) === view.title.toLowerCase().replace(/s?$/, 's')) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  refresh();
}

window.addEventListener('hashchange', () => {
  navigate();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault(); // the fragment is the view's name
  main.focus();
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
navigate();

// The token is in the fragment, so it is sent to nobody but the API. What is shown is written by the server; here it is
// fetched, kept fresh while somebody looks, and forms are posted as JSON: a field's name is its path in the body.
'use strict';
const notice = document.getElementById('notice');
const page = document.getElementById('page');
const words = document.body.dataset;
const FRESH_MS = 15000;
let token = '';
let shown = '';
let sending = false;
let timer = 0;

const tell = (text, fault = false) => {
  notice.textContent = text;
  notice.classList.toggle('fault', fault);
};

// A body from fields: `replies.0.text` is {"replies": [{"text": …}]}. Empty fields are left out.
const bodyOf = (form) => {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || (field.type === 'radio' && !field.checked) || field.value.trim() === '') continue;
    const kind = field.dataset.kind;
    const value = kind === 'number' ? Number(field.value) : kind === 'yes_no' ? field.value === 'true' : field.value;
    const path = field.name.split('.');
    let at = body;
    path.forEach((part, depth) => {
      const last = depth === path.length - 1;
      if (last) at[part] = value;
      else at = at[part] ??= /^\d+$/.test(path[depth + 1]) ? [] : {};
    });
  }
  return body;
};

const problemOf = async (answer) => {
  try {
    const problem = await answer.json();
    return `${problem.title}. ${problem.detail}`;
  } catch {
    return `${answer.status}`;
  }
};

// Somebody who writes is not disturbed: what they have begun stays until it is sent.
const busy = () => sending || page.querySelector('details[open]') !== null ||
  (page.contains(document.activeElement) && document.activeElement.matches('input, textarea')) ||
  [...page.querySelectorAll('textarea')].some((field) => field.value !== field.defaultValue);

const show = (text) => {
  if (text === shown) return;
  shown = text;
  page.innerHTML = text;
  const article = page.querySelector('article');
  document.documentElement.lang = article.lang;
  document.title = article.dataset.title;
};

const look = async (anyway = false) => {
  clearTimeout(timer);
  let gone = false;
  try {
    if (anyway || !busy()) {
      const answer = await fetch(`/v1/customer/${token}`, { headers: { accept: 'text/html' }, cache: 'no-store' });
      gone = answer.status === 404;
      if (answer.ok) {
        const text = await answer.text();
        if (anyway || !busy()) show(text);
        if (!notice.classList.contains('fault')) tell('');
      } else {
        tell(gone ? words.noLink : await problemOf(answer), true);
      }
    }
  } catch {
    tell(words.offline, true);
  }
  if (gone) page.textContent = '';
  else if (!document.hidden) timer = setTimeout(look, FRESH_MS);
};

page.addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  if (sending) return;
  sending = true;
  const buttons = [...form.querySelectorAll('button')];
  buttons.forEach((button) => { button.disabled = true; });
  try {
    const answer = await fetch(`/v1/customer/${token}/${form.dataset.do}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'accept-language': document.documentElement.lang },
      body: JSON.stringify(bodyOf(form)),
    });
    sending = false;
    if (answer.ok) {
      tell('');
      shown = '';
      await look(true);
      tell(page.querySelector('article')?.dataset.saved ?? '');
    } else {
      tell(await problemOf(answer), true);
    }
  } catch {
    tell(words.offline, true);
  }
  sending = false;
  buttons.forEach((button) => { button.disabled = false; });
});

const open = () => {
  token = location.hash.slice(1);
  shown = '';
  if (/^[\w.-]+$/.test(token)) look(true);
  else tell(words.noLink, true);
};
window.addEventListener('hashchange', open);
document.addEventListener('visibilitychange', () => { if (!document.hidden && token) look(); });
open();

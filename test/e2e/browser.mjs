// A browser as far as sign-in needs one: pages and their forms, cookies with their rules for other sites, the Origin header,
// and the one kind of script that sign-in pages hold, which posts a form.
import { createHash } from 'node:crypto';
import { formsOf, said } from './idps/parts.mjs';

/** What cookies go by: scheme and host without the port. A loopback address is a site of its own. */
const site = (url) => { const { protocol, hostname } = new URL(url); return `${protocol}//${hostname}`; };

/** Whether `path` of a cookie covers that of a request (RFC 6265 section 5.1.4). */
const covers = (path, wanted) => wanted === path || (wanted.startsWith(path) && (path.endsWith('/') || wanted[path.length] === '/'));

/** The sources of `directive` in a page's content security policy; undefined where nothing limits it. */
function sources(policy, directive, fallback) {
  const found = Object.fromEntries((policy ?? '').split(';').map((d) => d.trim().split(/\s+/)).filter(([n]) => n).map(([n, ...s]) => [n.toLowerCase(), s]));
  return found[directive] ?? (fallback && found[fallback]);
}

/** Whether the page posts its first form by itself: it has such a script, and its policy lets the script run. */
function posts(html, policy) {
  const allowed = sources(policy, 'script-src', 'default-src');
  const runs = (text) => !allowed || allowed.includes("'unsafe-inline'") || allowed.includes(`'sha256-${createHash('sha256').update(text).digest('base64')}'`);
  const submits = (text) => /document\.forms\[0\]\.submit\(\)/.test(text);
  if ([...html.matchAll(/<script\b[^>]*>([\s\S]*?)<\/script>/gi)].some(([, text]) => submits(text) && runs(text))) return true;
  // A hash lets no handler in an attribute run.
  const handler = html.match(/<body\b[^>]*\sonload\s*=\s*"([^"]*)"/i)?.[1];
  return Boolean(handler && submits(handler) && (!allowed || allowed.includes("'unsafe-inline'")));
}

export class Browser {
  constructor() {
    this.jar = [];
    this.sent = [];  // every request: {method, url, cookies: [name], origin, fields}
    this.before = undefined;  // when set, waited for with each URL before it is asked for
  }

  /** Opens a link from outside, as the command line does, or one of the page that is shown. */
  open(url, { from } = {}) { return this.navigate({ method: 'GET', url, from }); }

  /** Posts or gets a form of the page that is shown, as its button or its script would. */
  submit(form, fields = {}) {
    const all = { ...form.fields, ...fields };
    const allowed = sources(this.page.headers.get('content-security-policy'), 'form-action');
    const to = new URL(form.action).origin;
    if (allowed && !allowed.some((s) => s === '*' || s === to || s === `${to}/` || (s === "'self'" && to === new URL(this.page.url).origin)))
      throw new Error(`the policy of ${this.page.url} does not let its form go to ${to}`);
    const noReferrer = this.page.headers.get('referrer-policy') === 'no-referrer';
    if (form.method === 'POST') return this.navigate({ method: 'POST', url: form.action, fields: all, from: this.page.url, noReferrer });
    const url = new URL(form.action);
    url.search = new URLSearchParams(all);
    return this.navigate({ method: 'GET', url: url.href, from: this.page.url });
  }

  cookiesFor(url, method, from) {
    const { hostname, pathname, protocol } = new URL(url);
    const foreign = from !== undefined && site(from) !== site(url);
    const now = Date.now();
    this.jar = this.jar.filter((c) => c.ends > now);
    return this.jar.filter((c) => c.host === hostname && covers(c.path, pathname) && (!c.secure || protocol === 'https:')
      && (!foreign || c.sameSite === 'none' || (c.sameSite === 'lax' && method === 'GET')));
  }

  keep(line, url) {
    const [pair, ...rest] = line.split(';').map((x) => x.trim());
    const attributes = Object.fromEntries(rest.map((a) => { const at = a.indexOf('='); return at < 0 ? [a.toLowerCase(), ''] : [a.slice(0, at).toLowerCase(), a.slice(at + 1)]; }));
    const { hostname, pathname } = new URL(url);
    const path = attributes.path?.startsWith('/') ? attributes.path : pathname.slice(0, Math.max(pathname.lastIndexOf('/'), 1));
    const ends = attributes['max-age'] !== undefined ? Date.now() + Number(attributes['max-age']) * 1000 : attributes.expires ? Date.parse(attributes.expires) : Infinity;
    const name = pair.slice(0, pair.indexOf('='));
    this.jar = this.jar.filter((c) => !(c.host === hostname && c.path === path && c.name === name));
    this.jar.push({ host: hostname, path, name, value: pair.slice(name.length + 1), ends, secure: 'secure' in attributes, sameSite: attributes.samesite?.toLowerCase() ?? 'lax' });
  }

  async navigate({ method, url, fields, from, noReferrer }) {
    for (let hop = 0; hop < 20; hop += 1) {
      await this.before?.(url);
      const cookies = this.cookiesFor(url, method, from);
      // Fetch, "append a request Origin header": a page without a referrer has no origin to tell either.
      const origin = method === 'GET' ? undefined : noReferrer || from === undefined ? 'null' : new URL(from).origin;
      this.sent.push({ method, url, cookies: cookies.map((c) => c.name), origin, fields });
      const res = await fetch(url, {
        method, redirect: 'manual', ...(fields && { body: new URLSearchParams(fields).toString() }),
        headers: {
          accept: 'text/html,application/xhtml+xml', 'accept-language': 'en', ...(cookies.length && { cookie: cookies.map((c) => `${c.name}=${c.value}`).join('; ') }),
          ...(origin && { origin }), ...(fields && { 'content-type': 'application/x-www-form-urlencoded' }),
        },
      });
      for (const line of res.headers.getSetCookie()) this.keep(line, url);
      const location = res.headers.get('location');
      if (res.status < 300 || res.status >= 400 || !location) {
        const body = await res.text();
        this.page = { ok: res.ok, status: res.status, url, body, headers: res.headers, forms: formsOf(body, url), posts: posts(body, res.headers.get('content-security-policy')) };
        return this.page;
      }
      await res.arrayBuffer();
      if (res.status !== 307 && res.status !== 308) { method = 'GET'; fields = undefined; }
      url = new URL(location, url).href;
    }
    throw new Error(`${url}: sent around in circles`);
  }
}

/**
 * What a person does from `url` on: types name and password once where they are asked for, and lets pages post what they
 * carry. The page where nothing is left to do, or the first one that `until` names.
 */
export async function signIn(browser, url, user, until = () => false) {
  let page = await browser.open(url);
  let asked = false;
  for (let step = 0; step < 12; step += 1) {
    if (until(page)) return page;
    const login = page.forms.find((f) => 'password' in f.fields);
    // Some pages post by a script of their own file; without it a person presses the button.
    const carrier = page.posts ? page.forms[0] : page.forms.find((f) => 'SAMLResponse' in f.fields || 'SAMLRequest' in f.fields);
    if (login) {
      if (asked) throw new Error(`the provider did not take the password: ${said(page)}`);
      asked = true;
      page = await browser.submit(login, { ['user' in login.fields ? 'user' : 'username']: user.name, password: user.password });
    } else if (carrier) {
      page = await browser.submit(carrier);
    } else {
      return page;
    }
  }
  throw new Error(`asked and asked: ${said(page)}`);
}

// What every identity provider here shares: keys, the service provider's metadata, child processes, and a browser that
// reads forms. The providers themselves stand in one module each.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, until } from '../harness.mjs';

export { freePort, until };

export const persistent = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent';
export const bindings = {
  redirect: 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect',
  post: 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST',
};

/** The names by which `encrypt` of start() asks for a cipher, and what XML Encryption calls them. */
export const ciphers = {
  'aes128-gcm': 'http://www.w3.org/2009/xmlenc11#aes128-gcm',
  'aes192-gcm': 'http://www.w3.org/2009/xmlenc11#aes192-gcm',
  'aes256-gcm': 'http://www.w3.org/2009/xmlenc11#aes256-gcm',
  'aes128-cbc': 'http://www.w3.org/2001/04/xmlenc#aes128-cbc',
  'aes256-cbc': 'http://www.w3.org/2001/04/xmlenc#aes256-cbc',
};

export function escape(text) {
  return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

export function unescape(text) {
  const named = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|([a-z]+));/gi, (all, hex, dec, name) => {
    if (name) return named[name.toLowerCase()] ?? all;
    return String.fromCodePoint(hex ? parseInt(hex, 16) : Number(dec));
  });
}

/** A folder below `scratch` that nobody else has. */
export function folderOf(scratch, name) {
  return fs.mkdtempSync(path.join(scratch, `${name}-`));
}

/** RSA key and self-signed certificate, of a server at `host` where one is named: {key, cert} in PEM, {keyFile, certFile} their paths. */
export function keyPair(folder, name, { host } = {}) {
  const keyFile = path.join(folder, `${name}.key`);
  const certFile = path.join(folder, `${name}.crt`);
  const done = spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-sha256', '-days', '2', '-subj', `/CN=${name}`, ...(host ? ['-addext', `subjectAltName=DNS:${host}`] : []), '-keyout', keyFile, '-out', certFile], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`openssl: ${done.stderr}`);
  return { keyFile, certFile, key: fs.readFileSync(keyFile, 'utf8'), cert: fs.readFileSync(certFile, 'utf8') };
}

/** The base64 of a PEM certificate, as metadata wants it. */
export const bare = (pem) => pem.replace(/-----[A-Z ]+-----|\s/g, '');

export function certificateOf(metadataXml) {
  const base64 = metadataXml.match(/<(?:\w+:)?X509Certificate[^>]*>([^<]+)</)[1].replace(/\s/g, '');
  return `-----BEGIN CERTIFICATE-----\n${base64.match(/.{1,64}/g).join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** SAML metadata of the service provider `sp`, for the providers that read metadata: its own, or one made here. */
export function spMetadata(sp) {
  if (sp.metadataXml) return sp.metadataXml;
  const key = sp.cert
    ? ['signing', 'encryption'].map((use) => `<md:KeyDescriptor use="${use}"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>${bare(sp.cert)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`).join('')
    : '';
  const slo = sp.slo ? Object.values(bindings).map((b) => `<md:SingleLogoutService Binding="${b}" Location="${escape(sp.slo)}"/>`).join('') : '';
  return `<?xml version="1.0"?>
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${escape(sp.entityId)}"><md:SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">${key}${slo}<md:NameIDFormat>${persistent}</md:NameIDFormat><md:AssertionConsumerService Binding="${bindings.post}" Location="${escape(sp.acs)}" index="0" isDefault="true"/></md:SPSSODescriptor></md:EntityDescriptor>
`;
}

// A test that fails half way leaves no provider running.
const children = new Set();
process.on('exit', () => { for (const c of children) { try { process.kill(-c.pid, 'SIGKILL'); } catch { /* gone already */ } } });
// A signal alone would end this process without its exit handlers.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

/** Starts a server as the leader of a process group, so that its workers end with it. `log` is a file. */
export function launch(command, args, { cwd, env, log }) {
  const out = fs.openSync(log, 'a');
  const child = spawn(command, args, { cwd, env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', ...env }, stdio: ['ignore', out, out], detached: true });
  fs.closeSync(out);
  children.add(child);
  let failed;
  child.on('error', (e) => { failed = e; });
  child.on('exit', () => children.delete(child));
  const ended = () => failed || child.exitCode !== null || child.signalCode !== null;
  const server = {
    child,
    async ready(url, limit) {
      try {
        await until(async () => {
          if (ended()) throw new Error('it ended');
          return fetch(url, { redirect: 'manual' }).then((r) => r.status < 500, () => false);
        }, url, limit);
      } catch (e) {
        await server.stop();
        throw new Error(`${command} does not serve: ${failed ?? e.message}\n${fs.readFileSync(log, 'utf8').slice(0, 2000)}`);
      }
    },
    async stop() {
      if (ended()) return;
      // The leader alone, so that it reaps its workers; whoever is left after that is killed.
      child.kill('SIGTERM');
      await until(ended, `${command} to end`, 5000).catch(() => {});
      try { process.kill(-child.pid, 'SIGKILL'); } catch { /* all gone */ }
      if (!ended()) await once(child, 'exit');
    },
  };
  return server;
}

/** The forms of a page: [{action, method, fields:{name: value}}]; values of buttons are left out. */
export function formsOf(html, url) {
  const forms = [];
  for (const [, open, inside] of html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)) {
    const attribute = (text, name) => {
      const m = text.match(new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, 'i'));
      return m && unescape(m[1] ?? m[2] ?? m[3]);
    };
    const fields = {};
    for (const [, input] of inside.matchAll(/<input\b([^>]*)>/gi)) {
      const name = attribute(input, 'name');
      const type = (attribute(input, 'type') ?? 'text').toLowerCase();
      if (!name || ['submit', 'button', 'image', 'reset'].includes(type)) continue;
      if (['checkbox', 'radio'].includes(type) && !/\schecked\b/i.test(input)) continue;
      fields[name] = attribute(input, 'value') ?? '';
    }
    const action = attribute(open, 'action');
    forms.push({ action: action ? new URL(action, url).href : url, method: (attribute(open, 'method') ?? 'get').toUpperCase(), fields });
  }
  return forms;
}

/** A browser without scripts that stays at one provider: it never visits another origin, it says what it would send there. */
export class Browser {
  constructor(origin) {
    this.origin = origin;
    this.jar = new Map();
  }

  /**
   * Visits `target`, a URL or a form {action, method, fields}, and follows redirects.
   * {status, url, body, forms}, or {away: {method, url, fields}} once a redirect leads off the provider.
   */
  async go(target) {
    let method = typeof target === 'string' ? 'GET' : target.method ?? 'POST';
    let url = typeof target === 'string' ? target : target.action;
    let body;
    if (typeof target !== 'string') {
      const encoded = new URLSearchParams(target.fields);
      if (method === 'POST') body = encoded.toString();
      else { const u = new URL(url); u.search = encoded; url = u.href; }
    }
    for (let hop = 0; hop < 20; hop += 1) {
      if (new URL(url).origin !== this.origin) return { away: { method, url, fields: Object.fromEntries(new URL(url).searchParams) } };
      const cookie = [...this.jar].map(([k, v]) => `${k}=${v}`).join('; ');
      const headers = { accept: 'text/html,application/xhtml+xml', 'accept-language': 'en', ...(cookie && { cookie }), ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded', origin: this.origin }) };
      const res = await fetch(url, { method, redirect: 'manual', headers, body });
      for (const line of res.headers.getSetCookie()) {
        const [pair, ...attributes] = line.split(';').map((x) => x.trim());
        const name = pair.slice(0, pair.indexOf('='));
        const expires = attributes.find((a) => /^expires=/i.test(a))?.slice(8);
        const gone = attributes.some((a) => /^max-age=(0|-)/i.test(a)) || (expires && new Date(expires) < new Date());
        if (gone) this.jar.delete(name); else this.jar.set(name, pair.slice(pair.indexOf('=') + 1));
      }
      const location = res.headers.get('location');
      if (res.status < 300 || res.status >= 400 || !location) {
        const text = await res.text();
        return { status: res.status, url, body: text, forms: formsOf(text, url) };
      }
      await res.arrayBuffer();
      if (res.status !== 307 && res.status !== 308) { method = 'GET'; body = undefined; }
      url = new URL(location, url).href;
    }
    throw new Error(`${this.origin} sends its visitor around in circles`);
  }

  /** The form of `page` that has a field `name`, if any. */
  static form(page, name) { return page.forms?.find((f) => name in f.fields); }
}

/** A page as one line of text, for an error message. */
export function said(page) {
  if (page.away) return `it sends the visitor to ${page.away.url}`;
  const text = page.body.replace(/<(script|style)[\s\S]*?<\/\1>/gi, '').replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');
  return `${page.status} at ${page.url}: ${unescape(text).trim().slice(0, 300)}`;
}

/**
 * The sign-in that all providers share: `target` is the service provider's redirect or form, `names` the two fields of
 * the login form. {acsUrl, fields, browser}; the browser stays signed in there.
 */
export async function signIn(origin, target, user, names, browser = new Browser(origin)) {
  let page = await browser.go(target);
  let asked = 0;
  for (let step = 0; step < 6; step += 1) {
    const answer = Browser.form(page, 'SAMLResponse');
    if (answer && new URL(answer.action).origin !== origin) {
      const { SAMLResponse, RelayState } = answer.fields;
      return { acsUrl: answer.action, fields: { SAMLResponse, ...(RelayState !== undefined && { RelayState }) }, browser };
    }
    const login = Browser.form(page, names.password);
    if (login) {
      asked += 1;
      if (asked > 1) throw new Error(`the provider did not take the password: ${said(page)}`);
      page = await browser.go({ ...login, fields: { ...login.fields, [names.name]: user.name, [names.password]: user.password } });
    } else if (page.forms?.length === 1 && page.forms[0].method === 'POST' && Object.keys(page.forms[0].fields).some((f) => f.startsWith('SAML'))) {
      // A page that only carries a message from one of the provider's own addresses to the next.
      page = await browser.go(page.forms[0]);
    } else {
      throw new Error(`the provider neither asks nor answers: ${said(page)}`);
    }
  }
  throw new Error('the provider asks and asks');
}

/** Sends a logout message to the provider; what the browser would send to the service provider next: {method, url, fields}. */
export async function signOut(browser, target) {
  let page = await browser.go(target);
  for (let step = 0; step < 6; step += 1) {
    if (page.away) return page.away;
    const form = Browser.form(page, 'SAMLResponse') ?? Browser.form(page, 'SAMLRequest');
    if (!form) throw new Error(`the provider does not answer the logout: ${said(page)}`);
    if (new URL(form.action).origin !== browser.origin) return { method: 'POST', url: form.action, fields: form.fields };
    page = await browser.go(form);
  }
  throw new Error('the logout goes around in circles');
}

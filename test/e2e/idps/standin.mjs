// A stand-in service provider, so that every identity provider here is proven to work without the product. It asks by
// redirect, and reads what comes back with xmlsec1; it is no model of what a service provider must check.
import { createSign, createVerify, randomBytes } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import fs from 'node:fs';
import path from 'node:path';
import { keyPair, escape, bindings, certificateOf, persistent, unescape } from './parts.mjs';

const rsaSha256 = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256';
const one = (xml, pattern, what) => { const m = xml.match(pattern); if (!m) throw new Error(`no ${what} in ${xml}`); return unescape(m[1]); };

export class StandIn {
  constructor(folder) {
    this.folder = folder;
    const base = 'http://sp.test/t/default/idp/demo';
    const { key, cert, keyFile } = keyPair(folder, 'sp');
    this.key = key;
    this.keyFile = keyFile;
    this.sp = { entityId: `${base}/metadata`, acs: `${base}/callback`, slo: `${base}/logout`, cert };
  }

  /** The provider's address for `element` (SingleSignOnService, …) by `binding`, from its metadata. */
  static place(idp, element, binding) {
    const tags = [...idp.metadataXml.matchAll(new RegExp(`<(?:\\w+:)?${element}\\b([^>]*)>`, 'g'))].map((m) => m[1]);
    const tag = tags.find((t) => t.includes(`Binding="${binding}"`));
    if (!tag) throw new Error(`${idp.name} has no ${element} for ${binding}`);
    return unescape(tag.match(/Location="([^"]*)"/)[1]);
  }

  byRedirect(place, xml, sign, kind = 'SAMLRequest', relay = this.relay) {
    const query = new URLSearchParams({ [kind]: deflateRawSync(xml).toString('base64'), RelayState: relay });
    if (sign) {
      query.set('SigAlg', rsaSha256);
      query.set('Signature', createSign('sha256').update(query.toString()).sign(this.key, 'base64'));
    }
    return `${place}${place.includes('?') ? '&' : '?'}${query}`;
  }

  head(element, id, place) {
    return `<samlp:${element} xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="${id}" Version="2.0" IssueInstant="${new Date().toISOString().replace(/\.\d+/, '')}" Destination="${escape(place)}"`;
  }

  /** A new request: the URL of a redirect, or with `post` a form. */
  authnRequest(idp, { sign = false, post = false } = {}) {
    this.id = `_${randomBytes(16).toString('hex')}`;
    this.relay = randomBytes(16).toString('base64url');
    const place = StandIn.place(idp, 'SingleSignOnService', post ? bindings.post : bindings.redirect);
    const xml = `${this.head('AuthnRequest', this.id, place)} AssertionConsumerServiceURL="${this.sp.acs}" ProtocolBinding="${bindings.post}"><saml:Issuer>${this.sp.entityId}</saml:Issuer><samlp:NameIDPolicy Format="${persistent}" AllowCreate="true"/></samlp:AuthnRequest>`;
    if (post) return { action: place, fields: { SAMLRequest: Buffer.from(xml).toString('base64'), RelayState: this.relay } };
    return this.byRedirect(place, xml, sign);
  }

  xmlsec(args, xml) {
    const file = path.join(this.folder, `message-${randomBytes(4).toString('hex')}.xml`);
    fs.writeFileSync(file, xml);
    const done = spawnSync('xmlsec1', [...args, file], { encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`xmlsec1 ${args[0]}: ${done.stderr || done.error}\n${xml}`);
    return done.stdout;
  }

  /** Reads the form that the provider made for the ACS; throws where it is not an answer to our request for `user`. */
  receive(idp, { acsUrl, fields }, user, { encrypted = false, unsolicited = false } = {}) {
    const fact = (ok, what) => { if (!ok) throw new Error(`${idp.name}: ${what}`); };
    fact(acsUrl === this.sp.acs, `posts to ${acsUrl}`);
    fact(unsolicited || fields.RelayState === this.relay, `RelayState ${fields.RelayState}`);
    let xml = Buffer.from(fields.SAMLResponse, 'base64').toString();
    const raw = xml;
    const certFile = path.join(this.folder, 'idp.crt');
    fs.writeFileSync(certFile, certificateOf(idp.metadataXml));
    const ids = ['--id-attr:ID', 'urn:oasis:names:tc:SAML:2.0:protocol:Response', '--id-attr:ID', 'urn:oasis:names:tc:SAML:2.0:assertion:Assertion'];
    const signed = [];
    const check = (name, where) => {
      if (!this.has(xml, name)) return;
      this.xmlsec(['--verify', '--pubkey-cert-pem', certFile, '--enabled-reference-uris', 'same-doc', ...ids, '--node-xpath', where], xml);
      signed.push(name);
    };
    check('Response', "/*[local-name()='Response']/*[local-name()='Signature']");
    const cipher = xml.match(/<(?:\w+:)?EncryptedData[\s\S]*?<(?:\w+:)?EncryptionMethod [^>]*Algorithm="[^"]*#([^"]+)"/)?.[1];
    fact(Boolean(cipher) === encrypted, encrypted ? 'the assertion is not encrypted' : 'the assertion is encrypted');
    if (cipher) xml = this.xmlsec(['--decrypt', '--privkey-pem', this.keyFile], xml);
    check('Assertion', "//*[local-name()='Assertion']/*[local-name()='Signature']");
    fact(signed.length > 0, 'nothing is signed');
    const methods = [...new Set([...xml.matchAll(/<(?:\w+:)?(?:SignatureMethod|DigestMethod)\s[^>]*Algorithm="[^"]*#([^"]+)"/g)].map((m) => m[1]))];
    fact(xml.includes(rsaSha256), `signs with ${methods}`);
    fact(unsolicited || xml.includes(`InResponseTo="${this.id}"`), 'answers another request');
    fact(xml.includes(`>${escape(this.sp.entityId)}</`), 'is not for us');
    const values = (name) => {
      const attribute = xml.match(new RegExp(`<(?:\\w+:)?Attribute\\s[^>]*(?<!Friendly)Name="${escape(name)}"[^>]*>([\\s\\S]*?)</(?:\\w+:)?Attribute>`))?.[1] ?? '';
      return [...attribute.matchAll(/<(?:\w+:)?AttributeValue[^>]*>([^<]*)</g)].map((m) => unescape(m[1]));
    };
    for (const [name, value] of Object.entries({ ...user.attributes, groups: user.groups })) {
      // The values of an attribute have no order.
      fact(JSON.stringify(values(name).sort()) === JSON.stringify([value].flat().sort()), `attribute ${name} is ${JSON.stringify(values(name))}: ${xml}`);
    }
    const nameId = xml.match(/<(?:\w+:)?NameID\b([^>]*)>([^<]*)</);
    const read = {
      xml, raw, signed, methods, cipher, nameId: unescape(nameId[2]), format: nameId[1].match(/Format="[^"]*:([^":]+)"/)?.[1], nameIdTag: nameId[1],
      sessionIndex: xml.match(/SessionIndex="([^"]*)"/)?.[1], issueInstant: one(xml, /IssueInstant="([^"]*)"/, 'IssueInstant'),
    };
    return read;
  }

  has(xml, name) {
    const body = xml.match(new RegExp(`<(?:\\w+:)?${name}\\b[^>]*>\\s*(<[\\s\\S]*)`))?.[1] ?? '';
    // The schema wants the signature right behind the issuer.
    return /^<(?:\w+:)?Issuer\b[^>]*>[^<]*<\/(?:\w+:)?Issuer>\s*<(?:\w+:)?Signature\b/.test(body);
  }

  logoutRequest(idp, answer) {
    this.id = `_${randomBytes(16).toString('hex')}`;
    const place = StandIn.place(idp, 'SingleLogoutService', bindings.redirect);
    const xml = `${this.head('LogoutRequest', this.id, place)}><saml:Issuer>${this.sp.entityId}</saml:Issuer><saml:NameID${answer.nameIdTag}>${escape(answer.nameId)}</saml:NameID>${answer.sessionIndex ? `<samlp:SessionIndex>${answer.sessionIndex}</samlp:SessionIndex>` : ''}</samlp:LogoutRequest>`;
    return this.byRedirect(place, xml, true);
  }

  logoutResponse(idp, request, relay) {
    const place = StandIn.place(idp, 'SingleLogoutService', bindings.redirect);
    const id = one(request, /\sID="([^"]+)"/, 'ID');
    const xml = `${this.head('LogoutResponse', `_${randomBytes(16).toString('hex')}`, place)} InResponseTo="${id}"><saml:Issuer>${this.sp.entityId}</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status></samlp:LogoutResponse>`;
    return this.byRedirect(place, xml, true, 'SAMLResponse', relay ?? '');
  }

  /** A logout message as the browser would carry it here: its XML, once its signature holds. */
  logoutMessage(idp, { method, url, fields }) {
    const kind = fields.SAMLRequest ? 'SAMLRequest' : 'SAMLResponse';
    if (!url.startsWith(this.sp.slo)) throw new Error(`${idp.name}: sends the logout to ${url}`);
    const cert = certificateOf(idp.metadataXml);
    if (method === 'GET') {
      const parts = Object.fromEntries(new URL(url).search.slice(1).split('&').map((p) => [p.slice(0, p.indexOf('=')), p]));
      const text = [kind, 'RelayState', 'SigAlg'].map((n) => parts[n]).filter(Boolean).join('&');
      if (!fields.Signature) throw new Error(`${idp.name}: the logout message is not signed`);
      if (fields.SigAlg !== rsaSha256) throw new Error(`${idp.name}: the logout message is signed with ${fields.SigAlg}`);
      if (!createVerify('sha256').update(text).verify(cert, fields.Signature, 'base64')) throw new Error(`${idp.name}: the signature of the logout message does not hold`);
      return inflateRawSync(Buffer.from(fields[kind], 'base64')).toString();
    }
    const xml = Buffer.from(fields[kind], 'base64').toString();
    const certFile = path.join(this.folder, 'idp.crt');
    fs.writeFileSync(certFile, cert);
    const name = kind === 'SAMLRequest' ? 'LogoutRequest' : 'LogoutResponse';
    this.xmlsec(['--verify', '--pubkey-cert-pem', certFile, '--id-attr:ID', `urn:oasis:names:tc:SAML:2.0:protocol:${name}`], xml);
    return xml;
  }
}

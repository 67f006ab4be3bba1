// Owns the making of SAML responses that a right service provider accepts, of the metadata that goes with them, and of what
// the service provider must have read from them. Attacks start from these.
import crypto from 'node:crypto';
import { makeKeys } from './keys.mjs';
import { sign, DS } from './sign.mjs';
import { encryptAssertion } from './encrypt.mjs';

export const SAMLP = 'urn:oasis:names:tc:SAML:2.0:protocol';
export const SAML = 'urn:oasis:names:tc:SAML:2.0:assertion';
export const MD = 'urn:oasis:names:tc:SAML:2.0:metadata';
export const BEARER = 'urn:oasis:names:tc:SAML:2.0:cm:bearer';
export const EMAIL = 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress';
export const PERSISTENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent';

/** The world that every response is made for. */
export const world = {
  idp: 'https://idp.example/saml',
  sp: 'https://daypass.example/t/acme/idp/corp/metadata',
  acs: 'https://daypass.example/t/acme/idp/corp/callback',
  now: '2026-03-01T12:00:00Z',
  request: '_request-7d1f',
  slo: 'https://daypass.example/t/acme/idp/corp/logout',
  logout: '_logout-3b9e',
};

/** An instant `seconds` away from the world's. */
export const at = (seconds, now = world.now) => new Date(Date.parse(now) + seconds * 1000).toISOString().replace('.000Z', 'Z');
export const escape = (s) => String(s).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
const attribute = (name, v) => (v === null || v === undefined ? '' : ` ${name}="${escape(v)}"`);

/** Every option of a response, with the value that the plain valid one has. null leaves a part out. */
export const defaults = (random = crypto.randomBytes) => ({
  sign: 'assertion', key: 'idp', algorithm: 'rsa-sha256', digest: 'sha256', signature: {}, encrypt: null, declaration: '<?xml version="1.0" encoding="UTF-8"?>\n',
  responseId: `_r${random(16).toString('hex')}`, assertionId: `_a${random(16).toString('hex')}`,
  issuer: world.idp, responseIssuer: undefined, assertionIssuer: undefined, issuerFormat: null,
  destination: world.acs, recipient: world.acs, audiences: [[world.sp]],
  inResponseTo: world.request, responseInResponseTo: undefined, subjectInResponseTo: undefined,
  issueInstant: at(-5), notBefore: at(-60), notOnOrAfter: at(300), subjectNotBefore: null, subjectNotOnOrAfter: at(300), sessionNotOnOrAfter: at(8 * 3600),
  authnInstant: at(-5), authnStatement: true, authnStatements: 1, sessionIndex: '_session-1', conditions: true, conditionsExtra: '', conditionsFirst: '',
  nameId: 'dana@corp.example', nameIdFormat: EMAIL, nameIdQualifier: null, nameIdXml: undefined, subject: true, subjectExtra: '', confirmationMethod: BEARER, confirmationData: true,
  confirmation: undefined, version: '2.0', assertionVersion: '2.0', status: 'urn:oasis:names:tc:SAML:2.0:status:Success', statusInner: '', statusExtra: '',
  attributes: { mail: ['dana@corp.example'], groups: ['data', 'on-call'], 'urn:oid:2.5.4.42': ['Dána'] }, attributeInner: undefined,
  assertionExtra: '', advice: '', extensions: '', responseExtra: '', responseAttributes: '', assertionAttributes: '',
});

function subjectXml(o) {
  const inResponseTo = o.subjectInResponseTo === undefined ? o.inResponseTo : o.subjectInResponseTo;
  const data = o.confirmationData
    ? `<saml:SubjectConfirmationData${attribute('InResponseTo', inResponseTo)}${attribute('NotBefore', o.subjectNotBefore)}${attribute('NotOnOrAfter', o.subjectNotOnOrAfter)}${attribute('Recipient', o.recipient)}/>` : '';
  const confirmation = o.confirmation ?? (o.confirmationMethod ? `<saml:SubjectConfirmation Method="${o.confirmationMethod}">${data}</saml:SubjectConfirmation>` : '');
  const nameId = o.nameIdXml ?? `<saml:NameID${attribute('Format', o.nameIdFormat)}${attribute('SPNameQualifier', o.nameIdQualifier)}>${escape(o.nameId)}</saml:NameID>`;
  return o.subject ? `<saml:Subject>${nameId}${confirmation}${o.subjectExtra}</saml:Subject>` : '';
}

/** The assertion's text, unsigned. It declares its own namespaces, so that it means the same wherever it is put. */
export function assertionXml(o) {
  const issuer = o.assertionIssuer === undefined ? o.issuer : o.assertionIssuer;
  const restrictions = o.audiences.map((list) => `<saml:AudienceRestriction>${list.map((a) => `<saml:Audience>${escape(a)}</saml:Audience>`).join('')}</saml:AudienceRestriction>`).join('');
  const conditions = o.conditions ? `<saml:Conditions${attribute('NotBefore', o.notBefore)}${attribute('NotOnOrAfter', o.notOnOrAfter)}>${o.conditionsFirst}${restrictions}${o.conditionsExtra}</saml:Conditions>` : '';
  const statements = o.authnStatement ? [o.sessionIndex].flat().map((index) => `<saml:AuthnStatement AuthnInstant="${o.authnInstant}"${attribute('SessionIndex', index)}${attribute('SessionNotOnOrAfter', o.sessionNotOnOrAfter)}>`
    + '<saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>').join('').repeat(o.authnStatements) : '';
  const rows = Object.entries(o.attributes ?? {}).map(([name, values]) => `<saml:Attribute Name="${escape(name)}" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:basic">`
    + `${values.map((v) => `<saml:AttributeValue xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xs:string">${escape(v)}</saml:AttributeValue>`).join('')}</saml:Attribute>`).join('');
  const attributes = o.attributeInner ?? rows;
  return `<saml:Assertion xmlns:saml="${SAML}"${attribute('ID', o.assertionId)} IssueInstant="${o.issueInstant}"${attribute('Version', o.assertionVersion)}${o.assertionAttributes}>`
    + `${issuer === null ? '' : `<saml:Issuer${attribute('Format', o.issuerFormat)}>${escape(issuer)}</saml:Issuer>`}${subjectXml(o)}${conditions}`
    + `${o.advice && `<saml:Advice>${o.advice}</saml:Advice>`}${statements}`
    + `${attributes && `<saml:AttributeStatement>${attributes}</saml:AttributeStatement>`}${o.assertionExtra}</saml:Assertion>`;
}

/** The response's text around an assertion, unsigned. */
export function responseXml(o, body) {
  const issuer = o.responseIssuer === undefined ? o.issuer : o.responseIssuer;
  const inResponseTo = o.responseInResponseTo === undefined ? o.inResponseTo : o.responseInResponseTo;
  return `<samlp:Response xmlns:samlp="${SAMLP}" xmlns:saml="${SAML}"${attribute('Destination', o.destination)}${attribute('ID', o.responseId)}${attribute('InResponseTo', inResponseTo)}`
    + ` IssueInstant="${o.issueInstant}"${attribute('Version', o.version)}${o.responseAttributes}>`
    + `${issuer === null ? '' : `<saml:Issuer>${escape(issuer)}</saml:Issuer>`}${o.extensions && `<samlp:Extensions>${o.extensions}</samlp:Extensions>`}`
    + `${o.status === null ? '' : `<samlp:Status><samlp:StatusCode Value="${o.status}">${o.statusInner}</samlp:StatusCode>${o.statusExtra}</samlp:Status>`}${body}${o.responseExtra}</samlp:Response>`;
}

export class Forge {
  /** @param keys a key ring, made new unless given. `random` gives IDs and vectors, for a caller that wants them again. */
  constructor(keys = makeKeys()) { this.keys = keys; this.random = crypto.randomBytes; }

  options(changes = {}) { return { ...defaults(this.random), ...changes }; }

  signer(o, which) {
    const wanted = { key: o.key, algorithm: o.algorithm, digest: o.digest, ...o.signature, ...o[`${which}Signature`] };
    const key = this.keys[wanted.key];
    return { ...wanted, key, info: wanted.info === undefined ? key : wanted.info && this.keys[wanted.info] };
  }

  sign(xml, id, o = {}) { return sign(xml, id, this.signer(this.options({ signature: o }), 'given')); }

  /** A whole response as options say; the plain valid one without any. */
  response(changes = {}) {
    const o = this.options(changes);
    let body = assertionXml(o);
    if (o.sign === 'assertion' || o.sign === 'both') body = sign(body, o.assertionId, this.signer(o, 'assertion'));
    if (o.plainEdit) body = o.plainEdit(body);
    if (o.encrypt) body = encryptAssertion(body, { random: this.random, ...o.encrypt, to: this.keys[o.encrypt.to ?? 'sp'] });
    if (o.encryptedEdit) body = o.encryptedEdit(body);
    let xml = responseXml(o, body);
    if (o.sign === 'response' || o.sign === 'both') xml = sign(xml, o.responseId, this.signer(o, 'response'));
    return o.declaration + xml;
  }

  /** The same for the answer to a logout; `sign`: whether it is. */
  logoutOptions(changes = {}) {
    return {
      sign: true, key: 'idp', algorithm: 'rsa-sha256', digest: 'sha256', signature: {}, id: `_l${this.random(16).toString('hex')}`, issuer: world.idp, destination: world.slo, inResponseTo: world.logout, issueInstant: at(-5),
      version: '2.0', status: 'urn:oasis:names:tc:SAML:2.0:status:Success', statusInner: '', statusExtra: '', more: '', element: 'LogoutResponse', ...changes,
    };
  }
  logout(changes = {}) {
    const o = this.logoutOptions(changes);
    const status = o.status === null ? '' : `<samlp:Status><samlp:StatusCode Value="${o.status}">${o.statusInner}</samlp:StatusCode>${o.statusExtra}</samlp:Status>`;
    const xml = `<samlp:${o.element} xmlns:samlp="${SAMLP}" xmlns:saml="${SAML}"${attribute('Destination', o.destination)}${attribute('ID', o.id)}${attribute('InResponseTo', o.inResponseTo)} IssueInstant="${o.issueInstant}"${attribute('Version', o.version)}>`
      + `${o.issuer === null ? '' : `<saml:Issuer>${escape(o.issuer)}</saml:Issuer>`}${status}${o.more}</samlp:${o.element}>`;
    return o.sign ? sign(xml, o.id, { ...this.signer(o, 'logout'), ...(o.secret && { secret: this.keys[o.key].certPem }) }) : xml;
  }

  /** What a service provider must have read from `response(changes)`, for the ids that the changes fix. */
  identity(changes = {}) {
    const o = this.options(changes);
    return {
      issuer: o.issuer, name_id: o.nameId, session_indexes: [o.sessionIndex].flat(), assertion_id: o.assertionId,
      attributes: Object.fromEntries(Object.entries(o.attributes ?? {})),
    };
  }

  /** The identity provider's metadata. `signing` names the keys that may sign. */
  metadata({ entity = world.idp, signing = ['idp'], encryption = [], use = 'signing', validUntil = null, cacheDuration = null, doctype = '', inner = '' } = {}) {
    const descriptor = (name, kind) => `<md:KeyDescriptor${attribute('use', kind)}><ds:KeyInfo xmlns:ds="${DS}"><ds:X509Data><ds:X509Certificate>${this.keys[name].cert.toString('base64')}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`;
    return `<?xml version="1.0" encoding="UTF-8"?>\n${doctype}<md:EntityDescriptor xmlns:md="${MD}"${attribute('entityID', entity)}${attribute('validUntil', validUntil)}${attribute('cacheDuration', cacheDuration)}>`
      + `<md:IDPSSODescriptor protocolSupportEnumeration="${SAMLP}" WantAuthnRequestsSigned="true">${signing.map((n) => descriptor(n, use)).join('')}${encryption.map((n) => descriptor(n, 'encryption')).join('')}`
      + '<md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/logout"/>'
      + `<md:NameIDFormat>${EMAIL}</md:NameIDFormat>`
      + `<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/login"/>${inner}</md:IDPSSODescriptor></md:EntityDescriptor>\n`;
  }
}

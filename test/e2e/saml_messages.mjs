// Signed SAML logout messages, made by a test that holds the provider's keys.
import { sign as signBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { algorithms, sign } from './hostile/saml/sign.mjs';

export const instant = (seconds = 0) => new Date(Date.now() + seconds * 1000).toISOString();
const signer = (keys) => ({ privateKey: keys.key, cert: Buffer.from(keys.cert.replace(/-----[^-]+-----|\s/g, ''), 'base64') });

/** The document with its signature inside, for the POST binding. */
export const enveloped = (xml, keys) => sign(xml, xml.match(/ ID="([^"]+)"/)[1], { key: signer(keys) });

/** The query of the redirect binding, with its signature unless `keys` is null (saml-bindings section 3.4.4.1). */
export function query(xml, { keys, relay, kind = 'SAMLRequest' }) {
  const octets = [[kind, deflateRawSync(Buffer.from(xml)).toString('base64')], ...(relay ? [['RelayState', relay]] : []), ['SigAlg', algorithms['rsa-sha256'].uri]].map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join('&');
  return keys ? `${octets}&Signature=${encodeURIComponent(signBytes('sha256', Buffer.from(octets), keys.key).toString('base64'))}` : octets.replace(/&SigAlg.*/, '');
}

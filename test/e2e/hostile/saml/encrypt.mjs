// Owns XML Encryption as an identity provider does it: one content key, wrapped for the service provider, around one element.
import crypto from 'node:crypto';

const XENC = 'http://www.w3.org/2001/04/xmlenc#';
const XENC11 = 'http://www.w3.org/2009/xmlenc11#';
const DS = 'http://www.w3.org/2000/09/xmldsig#';

export const ciphers = {
  'aes128-gcm': `${XENC11}aes128-gcm`, 'aes192-gcm': `${XENC11}aes192-gcm`, 'aes256-gcm': `${XENC11}aes256-gcm`,
  'aes128-cbc': `${XENC}aes128-cbc`, 'aes192-cbc': `${XENC}aes192-cbc`, 'aes256-cbc': `${XENC}aes256-cbc`, 'tripledes-cbc': `${XENC}tripledes-cbc`,
};

function seal(cipher, key, plain, random) {
  if (cipher.endsWith('gcm')) {
    const iv = random(12);
    const c = crypto.createCipheriv(`aes-${key.length * 8}-gcm`, key, iv);
    return Buffer.concat([iv, c.update(plain), c.final(), c.getAuthTag()]);
  }
  // XML Encryption pads with any bytes, the last of which counts them.
  const block = cipher === 'tripledes-cbc' ? 8 : 16;
  const iv = random(block);
  const c = crypto.createCipheriv(cipher === 'tripledes-cbc' ? 'des-ede3-cbc' : `aes-${key.length * 8}-cbc`, key, iv).setAutoPadding(false);
  const pad = block - (plain.length % block);
  return Buffer.concat([iv, c.update(Buffer.concat([plain, Buffer.alloc(pad - 1), Buffer.from([pad])])), c.final()]);
}

/** How a content key is wrapped, by the names that options use. */
const transports = {
  oaep: { algorithm: `${XENC}rsa-oaep-mgf1p`, inner: `<ds:DigestMethod xmlns:ds="${DS}" Algorithm="${DS}sha1"/>`, hash: 'sha1' },
  oaepPlain: { algorithm: `${XENC}rsa-oaep-mgf1p`, inner: '', hash: 'sha1' },
  oaep256: { algorithm: `${XENC11}rsa-oaep`, inner: `<ds:DigestMethod xmlns:ds="${DS}" Algorithm="${XENC}sha256"/><xenc11:MGF xmlns:xenc11="${XENC11}" Algorithm="${XENC11}mgf1sha256"/>`, hash: 'sha256' },
  rsa15: { algorithm: `${XENC}rsa-1_5`, inner: '' },
};

export function encryptedKey(contentKey, { transport = 'oaep', to, id = '' }) {
  const t = transports[transport];
  const wrapped = transport === 'rsa15'
    ? crypto.publicEncrypt({ key: to.publicKey, padding: crypto.constants.RSA_PKCS1_PADDING }, contentKey)
    : crypto.publicEncrypt({ key: to.publicKey, oaepHash: t.hash, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING }, contentKey);
  return `<xenc:EncryptedKey xmlns:xenc="${XENC}"${id && ` Id="${id}"`}><xenc:EncryptionMethod Algorithm="${t.algorithm}">${t.inner}</xenc:EncryptionMethod>`
    + `<xenc:CipherData><xenc:CipherValue>${wrapped.toString('base64')}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>`;
}

/**
 * An EncryptedAssertion around a plain text.
 * @param place 'inside' puts the EncryptedKey in KeyInfo; 'beside' puts it next to EncryptedData and points there
 * @param copies how often the EncryptedKey stands there
 */
export function encryptAssertion(plain, { cipher = 'aes256-gcm', transport = 'oaep', to, place = 'inside', copies = 1, random = crypto.randomBytes, type = `${XENC}Element` }) {
  const size = cipher === 'tripledes-cbc' ? 24 : Number(/aes(\d+)/.exec(cipher)[1]) / 8;
  const key = random(size);
  const keys = Array.from({ length: copies }, () => encryptedKey(key, { transport, to, id: place === 'beside' ? '_wrapped' : '' })).join('');
  const data = seal(cipher, key, Buffer.from(plain), random).toString('base64');
  return '<saml:EncryptedAssertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">'
    + `<xenc:EncryptedData xmlns:xenc="${XENC}" Type="${type}"><xenc:EncryptionMethod Algorithm="${ciphers[cipher]}"/>`
    + `<ds:KeyInfo xmlns:ds="${DS}">${place === 'inside' ? keys : `<ds:RetrievalMethod Type="${XENC}EncryptedKey" URI="#_wrapped"/>`}</ds:KeyInfo>`
    + `<xenc:CipherData><xenc:CipherValue>${data}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>`
    + `${place === 'beside' ? keys : ''}</saml:EncryptedAssertion>`;
}

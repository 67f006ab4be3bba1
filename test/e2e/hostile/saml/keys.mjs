// Owns the keys of a run, made at start, and self-signed certificates around them in DER written by hand.
import crypto from 'node:crypto';

const der = (tag, ...parts) => {
  const body = Buffer.concat(parts);
  let length = Buffer.from([body.length]);
  if (body.length > 127) {
    const hex = body.length.toString(16);
    const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
    length = Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes]);
  }
  return Buffer.concat([Buffer.from([tag]), length, body]);
};
const sequence = (...parts) => der(0x30, ...parts);
const identifier = (hex) => der(0x06, Buffer.from(hex, 'hex'));
const rsaSha256 = () => sequence(identifier('2a864886f70d01010b'), der(0x05));
const ecdsaSha256 = () => sequence(identifier('2a8648ce3d040302'));
const commonName = (name) => sequence(der(0x31, sequence(identifier('550403'), der(0x0c, Buffer.from(name)))));

/** A self-signed X.509 certificate, DER. Nobody reads its names or dates: metadata is what a service provider trusts. */
export function certificate({ privateKey, publicKey }, name) {
  const algorithm = privateKey.asymmetricKeyType === 'rsa' ? rsaSha256() : ecdsaSha256();
  const time = (s) => der(0x17, Buffer.from(s));
  const body = sequence(der(0x02, Buffer.from([1])), algorithm, commonName(name), sequence(time('200101000000Z'), time('450101000000Z')),
    commonName(name), publicKey.export({ type: 'spki', format: 'der' }));
  const signature = crypto.sign('sha256', body, privateKey);
  return sequence(body, algorithm, der(0x03, Buffer.from([0]), signature));
}

export const pem = (label, bytes) => `-----BEGIN ${label}-----\n${bytes.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END ${label}-----\n`;

function pair(kind, detail, name) {
  const keys = crypto.generateKeyPairSync(kind, detail);
  const cert = certificate(keys, name);
  return { ...keys, name, cert, certPem: pem('CERTIFICATE', cert), keyPem: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }) };
}

/** Every key of a run by name. `other` belongs to the identity provider of another tenant, `attacker` to nobody who is trusted. */
export function makeKeys() {
  const rsa = (name) => pair('rsa', { modulusLength: 2048 }, name);
  return {
    idp: rsa('idp'), next: rsa('idp, next key'), sp: rsa('service provider'), other: rsa('other idp'), attacker: rsa('attacker'),
    p256: pair('ec', { namedCurve: 'P-256' }, 'idp p256'), p384: pair('ec', { namedCurve: 'P-384' }, 'idp p384'), p521: pair('ec', { namedCurve: 'P-521' }, 'idp p521'),
  };
}

/** Keys as one JSON text and back, so that a case found by a random run can be made again. */
export const freeze = (keys) => JSON.stringify(Object.fromEntries(Object.entries(keys).map(([n, k]) => [n, k.keyPem])));
export const thaw = (json) => Object.fromEntries(Object.entries(JSON.parse(json)).map(([name, keyPem]) => {
  const privateKey = crypto.createPrivateKey(keyPem);
  const keys = { privateKey, publicKey: crypto.createPublicKey(privateKey) };
  const cert = certificate(keys, name);
  return [name, { ...keys, name, cert, certPem: pem('CERTIFICATE', cert), keyPem }];
}));

// Debian's simplesamlphp as a SAML identity provider, served by PHP's own web server from the package's folder; its
// configuration, sessions and metadata stand in the scratch folder.
import fs from 'node:fs';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { keyPair, folderOf, freePort, launch, signIn, signOut, bare, persistent, bindings } from './parts.mjs';

/** `value` as a PHP literal. */
function php(value) {
  if (Array.isArray(value)) return `[${value.map(php).join(', ')}]`;
  if (value && typeof value === 'object') return `[${Object.entries(value).map(([k, v]) => `${/^\d+$/.test(k) ? k : php(k)} => ${php(v)}`).join(', ')}]`;
  if (typeof value === 'string') return `'${value.replace(/[\\']/g, '\\$&')}'`;
  return String(value);
}

// An encrypted assertion is AES-128-CBC under RSA-OAEP; the release has no other for a service provider's certificate.
export const variants = [{ sign: 'assertion' }, { sign: 'response' }, { encrypt: 'aes128-cbc' }];

/** `sign`: 'both' (the default), 'assertion' or 'response'; `encrypt`: 'aes128-cbc' or nothing. */
export async function start({ scratch, sps, users, sign = 'both', encrypt }) {
  if (encrypt && encrypt !== 'aes128-cbc') throw new Error(`SimpleSAMLphp cannot encrypt with ${encrypt}`);
  const folder = folderOf(scratch, 'simplesamlphp');
  const { keyFile, certFile } = keyPair(folder, 'simplesamlphp');
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const entityId = `${origin}/saml2/idp/metadata.php`;
  for (const name of ['metadata', 'log', 'data', 'tmp', 'sessions']) fs.mkdirSync(path.join(folder, name), { mode: 0o700 });
  const write = (name, text) => fs.writeFileSync(path.join(folder, name), `<?php\n${text}`, { mode: 0o600 });

  write('config.php', `$config = ${php({
    baseurlpath: `${origin}/`, certdir: `${folder}/`, loggingdir: `${folder}/log/`, datadir: `${folder}/data/`, tempdir: `${folder}/tmp`, metadatadir: `${folder}/metadata/`,
    secretsalt: randomBytes(16).toString('hex'), 'auth.adminpassword': randomBytes(16).toString('hex'), technicalcontact_name: 'Administrator', technicalcontact_email: 'na@example.org', timezone: 'UTC',
    'admin.checkforupdates': false, 'trusted.url.domains': sps.map((s) => new URL(s.acs).host), showerrors: true, errorreporting: false, debug: { saml: false, backtraces: true, validatexml: false },
    'logging.level': 7, 'logging.handler': 'errorlog', 'logging.processname': 'simplesamlphp',
    'enable.saml20-idp': true, 'module.enable': { exampleauth: true, core: true, saml: true },
    'session.cookie.secure': false, 'session.cookie.samesite': null, 'language.cookie.secure': false, 'session.phpsession.savepath': `${folder}/sessions`, 'session.phpsession.httponly': true, 'store.type': 'phpsession',
    'language.default': 'en', 'language.available': ['en'], 'metadata.sources': [{ type: 'flatfile' }], 'authproc.idp': {},
  })};\n`);

  // A user is "name:password" with attributes; uid is what the persistent NameID is made from.
  write('authsources.php', `$config = ${php({
    people: { 0: 'exampleauth:UserPass', ...Object.fromEntries(users.map((u) => [`${u.name}:${u.password}`, { uid: [u.name], ...Object.fromEntries(Object.entries(u.attributes ?? {}).map(([k, v]) => [k, [v].flat()])), groups: u.groups ?? [] }])) },
  })};\n`);

  write('metadata/saml20-idp-hosted.php', `$metadata[${php(entityId)}] = ${php({
    host: '__DEFAULT__', privatekey: path.basename(keyFile), certificate: path.basename(certFile), auth: 'people',
    'signature.algorithm': 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    'saml20.sign.assertion': sign !== 'response', 'saml20.sign.response': sign !== 'assertion', 'sign.logout': true,
    NameIDFormat: [persistent], 'attributes.NameFormat': 'urn:oasis:names:tc:SAML:2.0:attrname-format:basic',
    authproc: { 10: { class: 'saml:PersistentNameID', attribute: 'uid' } },
  })};\n`);

  write('metadata/saml20-sp-remote.php', sps.map((sp) => `$metadata[${php(sp.entityId)}] = ${php({
    AssertionConsumerService: sp.acs, NameIDFormat: persistent,
    ...(sp.slo && { SingleLogoutService: [{ Binding: bindings.redirect, Location: sp.slo }, { Binding: bindings.post, Location: sp.slo }] }),
    ...(sp.cert && { certData: bare(sp.cert), 'validate.logout': true }),
    'assertion.encryption': Boolean(encrypt && sp.cert),
  })};\n`).join(''));

  const server = launch('php', ['-d', 'display_errors=0', '-d', 'log_errors=1', '-d', 'error_log=', '-S', `127.0.0.1:${port}`, '-t', '/usr/share/simplesamlphp/www'],
    { cwd: folder, env: { SIMPLESAMLPHP_CONFIG_DIR: folder, TMPDIR: `${folder}/tmp` }, log: path.join(folder, 'log', 'php') });
  await server.ready(entityId);
  const names = { name: 'username', password: 'password' };
  const sso = `${origin}/saml2/idp/SSOService.php`;
  const logoutAt = `${origin}/saml2/idp/initSLO.php?${new URLSearchParams({ RelayState: `${origin}/logout.php` })}`;
  return {
    name: 'simplesamlphp', protocol: 'saml', variants, entityId, metadataUrl: entityId, metadataXml: await (await fetch(entityId)).text(), origin, logoutAt,
    login: (target, user, browser) => signIn(origin, target, user, names, browser),
    logout: (target, session) => signOut(session.browser, target),
    logoutHere: (session) => signOut(session.browser, logoutAt),
    unsolicited: (sp, user) => signIn(origin, `${sso}?${new URLSearchParams({ spentityid: sp.entityId, RelayState: 'unasked' })}`, user, names),
    stop: () => server.stop(),
  };
}

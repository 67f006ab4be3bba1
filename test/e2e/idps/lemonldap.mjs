// Debian's LemonLDAP::NG portal under starman, as a SAML identity provider (start) and as an OpenID provider (startOidc),
// with its demonstration backend. Configuration, sessions and caches stand in the scratch folder.
import fs from 'node:fs';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Browser, keyPair, folderOf, freePort, launch, said, signIn, signOut, spMetadata, unescape } from './parts.mjs';

const names = { name: 'user', password: 'password' };

// Lasso, which makes the messages, picks the cipher; LemonLDAP::NG has no option for it.
export const variants = [{ sign: 'assertion' }, { encrypt: 'aes128-cbc' }];

/** The portal with `more` in its configuration: {origin, folder, stop}. */
async function portal(scratch, users, more) {
  const folder = folderOf(scratch, 'lemonldap');
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  for (const name of ['conf', 'cache', 'sessions', 'sessions/lock', 'psessions', 'psessions/lock']) fs.mkdirSync(path.join(folder, name), { mode: 0o700 });
  const storage = (name) => ({ Directory: `${folder}/${name}`, LockDirectory: `${folder}/${name}/lock`, generateModule: 'Lemonldap::NG::Common::Apache::Session::Generate::SHA256' });
  const attributes = [...new Set(['uid', ...users.flatMap((u) => Object.keys(u.attributes ?? {}))])];
  const keys = keyPair(folder, 'lemonldap');
  const conf = {
    cfgNum: 1, cfgAuthor: 'test', cfgDate: '1700000000', cfgVersion: '2.16.1', cfgLog: '',
    portal: `${origin}/`, domain: '127.0.0.1', cookieName: 'lemonldap', securedCookie: 0, key: randomBytes(16).toString('hex'), whatToTrace: 'uid',
    authentication: 'Demo', userDB: 'Same', passwordDB: 'Null', registerDB: 'Null', demoExportedVars: Object.fromEntries(attributes.map((a) => [a, a])), exportedVars: {},
    globalStorage: 'Apache::Session::File', globalStorageOptions: storage('sessions'), persistentStorage: 'Apache::Session::File', persistentStorageOptions: storage('psessions'),
    localSessionStorage: 'Cache::FileCache', localSessionStorageOptions: { namespace: 'sessions', default_expires_in: 600, directory_umask: '077', cache_root: `${folder}/cache`, cache_depth: 3 },
    locationRules: { [`127.0.0.1:${port}`]: { default: 'accept' } }, exportedHeaders: {}, macros: {}, groups: {}, skipRenewConfirmation: 1, loginHistoryEnabled: 0,
    // The portal loads a captcha module even where no page has one; its own wants ImageMagick, this one does nothing.
    captcha: '::Main::Plugin',
    ...more({ origin, attributes, keys }),
  };
  fs.writeFileSync(path.join(folder, 'conf', 'lmConf-1.json'), JSON.stringify(conf, null, 1), { mode: 0o600 });
  fs.writeFileSync(path.join(folder, 'users.json'), JSON.stringify(users), { mode: 0o600 });
  fs.writeFileSync(path.join(folder, 'lemonldap-ng.ini'), `[all]
logLevel = notice
logger = Lemonldap::NG::Common::Logger::Std
userLogger = Lemonldap::NG::Common::Logger::Std
checkTime = 600
[configuration]
type = File
dirName = ${folder}/conf
localStorage = Cache::FileCache
localStorageOptions = {'namespace' => 'config', 'default_expires_in' => 600, 'directory_umask' => '077', 'cache_root' => '${folder}/cache', 'cache_depth' => 3}
[portal]
staticPrefix = /static
templateDir = /usr/share/lemonldap-ng/portal/templates
languages = en
`);
  const server = launch('starman', ['--host', '127.0.0.1', '--port', String(port), '--workers', '2', '--env', 'deployment', '--disable-keepalive', fileURLToPath(new URL('lemonldap.psgi', import.meta.url))],
    { cwd: folder, env: { LLNG_DEFAULTCONFFILE: `${folder}/lemonldap-ng.ini`, IDP_USERS: `${folder}/users.json` }, log: path.join(folder, 'log') });
  await server.ready(`${origin}/ping`);
  return { origin, folder, stop: () => server.stop() };
}

/** `sign`: 'both' (the default) or 'assertion', which is always signed; `encrypt`: 'aes128-cbc' or nothing. */
export async function start({ scratch, sps, users, sign = 'both', encrypt }) {
  if (sign === 'response') throw new Error('LemonLDAP::NG signs every assertion');
  if (encrypt && encrypt !== 'aes128-cbc') throw new Error(`LemonLDAP::NG cannot encrypt with ${encrypt}`);
  const key = (i) => `sp${i}`;
  const each = (make) => Object.fromEntries(sps.map((sp, i) => [key(i), make(sp)]));
  const { origin, folder, stop } = await portal(scratch, users, ({ attributes, keys }) => ({
    issuerDBSAMLActivation: 1,
    // The certificate, not the bare key: with it LemonLDAP::NG can put the certificate into metadata and responses.
    samlServicePrivateKeySig: keys.key, samlServicePublicKeySig: keys.cert, samlServiceUseCertificateInResponse: 1, samlServiceSignatureMethod: 'RSA_SHA256',
    samlIDPSSODescriptorWantAuthnRequestsSigned: 0,
    samlSPMetaDataXML: each((sp) => ({ samlSPMetaDataXML: spMetadata(sp) })),
    samlSPMetaDataOptions: each((sp) => ({
      samlSPMetaDataOptionsNameIDFormat: 'persistent', samlSPMetaDataOptionsSignSSOMessage: sign === 'both' ? 1 : 0, samlSPMetaDataOptionsSignSLOMessage: 1, samlSPMetaDataOptionsSignatureMethod: 'RSA_SHA256',
      samlSPMetaDataOptionsCheckSSOMessageSignature: 0, samlSPMetaDataOptionsCheckSLOMessageSignature: sp.cert ? 1 : 0, samlSPMetaDataOptionsEncryptionMode: encrypt ? 'assertion' : 'none',
      samlSPMetaDataOptionsEnableIDPInitiatedURL: 1, samlSPMetaDataOptionsNotOnOrAfterTimeout: 300,
    })),
    // mandatory;name;name format;friendly name
    samlSPMetaDataExportedAttributes: each(() => Object.fromEntries([...attributes, 'groups'].map((a) => [a, `0;${a};urn:oasis:names:tc:SAML:2.0:attrname-format:basic;${a}`]))),
  }));
  const entityId = `${origin}/saml/metadata`;
  return {
    name: 'lemonldap', protocol: 'saml', variants, entityId, metadataUrl: `${entityId}/idp`, metadataXml: await (await fetch(`${entityId}/idp`)).text(), origin, folder, logoutAt: `${origin}/?logout=1`,
    login: (target, user, browser) => signIn(origin, target, user, names, browser),
    logout: (target, session) => signOut(session.browser, target),
    /** The portal's page after a logout has one frame per service provider, with the request as its address. */
    logoutHere: async (session) => {
      const page = await session.browser.go(`${origin}/?logout=1`);
      const frame = page.body?.match(/<iframe\b[^>]*\ssrc="([^"]+)"/);
      if (!frame) throw new Error(`no frame for a service provider: ${said(page)}`);
      return signOut(session.browser, unescape(frame[1]));
    },
    unsolicited: (sp, user) => signIn(origin, `${origin}/saml/singleSignOn?${new URLSearchParams({ IDPInitiated: 1, sp: sp.entityId })}`, user, names),
    stop,
  };
}

/**
 * `clients`: [{clientId, clientSecret, redirectUri}]. {protocol: 'oidc', issuer, login: async (authorizeUrl, user) → the
 * redirect URI with its parameters, stop}.
 */
export async function startOidc({ scratch, clients, users }) {
  const each = (make) => Object.fromEntries(clients.map((c, i) => [`rp${i}`, make(c)]));
  const { origin, folder, stop } = await portal(scratch, users, ({ origin: issuer, attributes, keys }) => ({
    issuerDBOpenIDConnectActivation: 1, oidcServiceMetaDataIssuer: issuer,
    oidcServicePrivateKeySig: keys.key, oidcServicePublicKeySig: keys.cert, oidcServiceKeyIdSig: 'one',
    oidcRPMetaDataOptions: each((c) => ({
      oidcRPMetaDataOptionsClientID: c.clientId, oidcRPMetaDataOptionsClientSecret: c.clientSecret, oidcRPMetaDataOptionsRedirectUris: c.redirectUri, oidcRPMetaDataOptionsPostLogoutRedirectUris: c.redirectUri.replace(/callback$/, 'logout'), oidcRPMetaDataOptionsDisplayName: 'Daypass',
      oidcRPMetaDataOptionsBypassConsent: 1, oidcRPMetaDataOptionsIDTokenSignAlg: 'RS256', oidcRPMetaDataOptionsUserIDAttr: 'uid',
      // Without these two the provider compares no code verifier, and keeps claims out of the ID token.
      oidcRPMetaDataOptionsRequirePKCE: 1, oidcRPMetaDataOptionsIDTokenForceClaims: 1,
    })),
    oidcRPMetaDataExportedVars: each(() => ({ ...Object.fromEntries(attributes.map((a) => [a, `${a};string;auto`])), name: 'displayName;string;never', groups: 'groups;string;always' })),
    // Claims that OpenID Connect does not know belong to no scope until they are put into one; this list replaces the
    // scope's own, so name stands in it too.
    oidcRPMetaDataOptionsExtraClaims: each(() => ({ profile: [...attributes, 'name', 'groups'].join(' ') })),
  }));
  return {
    name: 'lemonldap', protocol: 'oidc', issuer: origin, origin, folder,
    login: async (authorizeUrl, user, browser = new Browser(origin)) => {
      let page = await browser.go(authorizeUrl);
      const form = Browser.form(page, names.password);
      if (form) page = await browser.go({ ...form, fields: { ...form.fields, [names.name]: user.name, [names.password]: user.password } });
      if (page.away) return page.away.url;
      throw new Error(Browser.form(page, names.password) ? `the provider did not take the password: ${said(page)}` : `the provider neither asks nor answers: ${said(page)}`);
    },
    stop,
  };
}

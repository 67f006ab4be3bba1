// Keycloak as a SAML identity provider (start) and as an OpenID provider (startOidc), over TLS on loopback. The distribution
// stays as tools/keycloak left it; a server's realm, key and data stand in the scratch folder. Where Keycloak can't be
// had, what is thrown has `absent`, the reason.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Browser, bare, ciphers, folderOf, freePort, keyPair, launch, said, signIn, signOut } from './parts.mjs';

const names = { name: 'username', password: 'password' };

// The content key is wrapped by RSA-OAEP with SHA-256, which Debian's xmlsec1 does not know: the stand-in gets SHA-1.
export const variants = [{ sign: 'assertion' }, { sign: 'response' }, { encrypt: 'aes256-gcm', wrap: 'sha1' }, { encrypt: 'aes128-cbc', wrap: 'sha1' }];

function distribution() {
  const done = spawnSync(fileURLToPath(new URL('../../../tools/keycloak', import.meta.url)), { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (done.status === 0) return done.stdout.trim();
  const absent = done.stderr?.trim().split('\n').at(-1) || String(done.error);
  throw Object.assign(new Error(absent), { absent });
}

/** A server whose one realm has these people and clients: {realm: its address, shared: what start and startOidc return of it}. */
async function serve(scratch, users, clients) {
  const home = distribution();
  const folder = folderOf(scratch, 'keycloak');
  const { keyFile, certFile, cert } = keyPair(folder, 'keycloak', { host: 'localhost' });
  for (const name of ['lib', 'conf', 'providers', 'themes']) fs.symlinkSync(path.join(home, name), path.join(folder, name));
  fs.mkdirSync(path.join(folder, 'data', 'import'), { recursive: true });
  // With its tables and its own realm, which take longer than all the rest of a start.
  fs.cpSync(path.join(home, 'data', 'h2'), path.join(folder, 'data', 'h2'), { recursive: true });
  // Without a profile of its own a realm asks everybody for an e-mail address and a last name, and drops what it does not know.
  const profile = { attributes: ['username', 'email'].map((name) => ({ name, permissions: { view: ['admin', 'user'], edit: ['admin'] } })), unmanagedAttributePolicy: 'ADMIN_EDIT' };
  fs.writeFileSync(path.join(folder, 'data', 'import', 'corp-realm.json'), JSON.stringify({
    realm: 'corp', enabled: true, clients,
    groups: [...new Set(users.flatMap((u) => u.groups ?? []))].map((name) => ({ name })),
    users: users.map((u) => ({
      id: u.name, username: u.name, enabled: true, firstName: u.attributes?.displayName, credentials: [{ type: 'password', value: u.password }],
      attributes: Object.fromEntries(Object.entries(u.attributes ?? {}).map(([k, v]) => [k, [v].flat()])), groups: (u.groups ?? []).map((g) => `/${g}`),
    })),
    components: { 'org.keycloak.userprofile.UserProfileProvider': [{ providerId: 'declarative-user-profile', config: { 'kc.user.profile.config': [JSON.stringify(profile)] } }] },
  }), { mode: 0o600 });
  const port = await freePort();
  const origin = `https://localhost:${port}`;
  const server = launch(path.join(home, 'bin', 'kc.sh'), ['start', '--optimized', '--cache=local', '--import-realm', '--http-host=127.0.0.1', `--https-port=${port}`, `--hostname=${origin}`, `--https-certificate-file=${certFile}`, `--https-certificate-key-file=${keyFile}`, `-Dkc.home.dir=${folder}`],
    { cwd: folder, env: { JAVA_OPTS_KC_HEAP: '-Xmx512m', JAVA_OPTS_APPEND: '-XX:TieredStopAtLevel=1' }, log: path.join(folder, 'log') });
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), cert]);
  const realm = `${origin}/realms/corp`;
  await server.ready(realm, 300000);
  return { realm, shared: { name: 'keycloak', origin, folder, caFile: certFile, logoutAt: `${realm}/protocol/openid-connect/logout`, stop: () => server.stop() } };
}

/** What is asked of a person at the realm's own logout page. */
async function question(browser, logoutAt) {
  const page = await browser.go(logoutAt);
  const [form] = page.forms ?? [];
  if (!form) throw new Error(`the provider does not ask whether to log out: ${said(page)}`);
  return form;
}

const mapper = (protocol, protocolMapper, name, config) => ({ name, protocol, protocolMapper, config });

/** `sign`: 'both' (the default), 'assertion' or 'response'; `encrypt`: 'aes256-gcm', 'aes128-cbc' or nothing; `wrap`: 'sha1' or Keycloak's own choice. */
export async function start({ scratch, sps, users, sign = 'both', encrypt, wrap }) {
  const attributes = [...new Set(users.flatMap((u) => Object.keys(u.attributes ?? {})))];
  const { realm, shared } = await serve(scratch, users, sps.map((sp) => ({
    clientId: sp.entityId, protocol: 'saml', enabled: true, frontchannelLogout: true, redirectUris: [sp.acs],
    attributes: {
      saml_assertion_consumer_url_post: sp.acs, 'saml.force.post.binding': 'true', saml_name_id_format: 'persistent', 'saml.authnstatement': 'true',
      'saml.server.signature': String(sign !== 'assertion'), 'saml.assertion.signature': String(sign !== 'response'), 'saml.signature.algorithm': 'RSA_SHA256',
      saml_signature_canonicalization_method: 'http://www.w3.org/2001/10/xml-exc-c14n#', saml_idp_initiated_sso_url_name: `sp-${sps.indexOf(sp)}`,
      ...(sp.slo && { saml_single_logout_service_url_redirect: sp.slo, saml_single_logout_service_url_post: sp.slo }),
      // Of requests and logouts alike; the stand-in signs only some of its requests.
      'saml.client.signature': String(Boolean(sp.cert && sp.metadataXml)), ...(sp.cert && { 'saml.signing.certificate': bare(sp.cert) }),
      ...(wrap === 'sha1' && { 'saml.encryption.keyAlgorithm': 'http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p', 'saml.encryption.digestMethod': 'http://www.w3.org/2000/09/xmldsig#sha1' }),
      ...(encrypt && sp.cert && { 'saml.encrypt': 'true', 'saml.encryption.certificate': bare(sp.cert), 'saml.encryption.algorithm': ciphers[encrypt] }),
    },
    protocolMappers: [
      ...attributes.map((a) => mapper('saml', 'saml-user-attribute-mapper', a, { 'user.attribute': a, 'attribute.name': a, 'attribute.nameformat': 'Basic' })),
      mapper('saml', 'saml-group-membership-mapper', 'groups', { 'attribute.name': 'groups', 'attribute.nameformat': 'Basic', 'full.path': 'false', single: 'true' }),
    ],
  })));
  const descriptor = `${realm}/protocol/saml/descriptor`;
  return {
    ...shared, protocol: 'saml', variants, entityId: realm, metadataUrl: descriptor, metadataXml: await (await fetch(descriptor)).text(),
    login: (target, user, browser) => signIn(shared.origin, target, user, names, browser),
    logout: (target, session) => signOut(session.browser, target),
    logoutHere: async (session) => signOut(session.browser, await question(session.browser, shared.logoutAt)),
    unsolicited: (sp, user) => signIn(shared.origin, `${realm}/protocol/saml/clients/sp-${sps.indexOf(sp)}`, user, names),
  };
}

/** `clients`: [{clientId, clientSecret, redirectUri, backchannel?}]. As startOidc of lemonldap.mjs. */
export async function startOidc({ scratch, clients, users }) {
  const attributes = [...new Set(users.flatMap((u) => Object.keys(u.attributes ?? {})))];
  const { realm, shared } = await serve(scratch, users, clients.map((c) => ({
    clientId: c.clientId, secret: c.clientSecret, protocol: 'openid-connect', enabled: true, publicClient: false, standardFlowEnabled: true, implicitFlowEnabled: false, directAccessGrantsEnabled: false,
    redirectUris: [c.redirectUri], frontchannelLogout: false,
    attributes: { 'pkce.code.challenge.method': 'S256', 'post.logout.redirect.uris': c.redirectUri.replace(/callback$/, 'logout'), ...(c.backchannel && { 'backchannel.logout.url': c.backchannel, 'backchannel.logout.session.required': 'true' }) },
    protocolMappers: [
      ...attributes.map((a) => mapper('openid-connect', 'oidc-usermodel-attribute-mapper', a, { 'user.attribute': a, 'claim.name': a, 'jsonType.label': 'String', 'id.token.claim': 'true' })),
      mapper('openid-connect', 'oidc-group-membership-mapper', 'groups', { 'claim.name': 'groups', 'full.path': 'false', 'id.token.claim': 'true' }),
    ],
  })));
  return {
    ...shared, protocol: 'oidc', issuer: realm,
    login: async (authorizeUrl, user, browser = new Browser(shared.origin)) => {
      let page = await browser.go(authorizeUrl);
      const form = Browser.form(page, names.password);
      if (form) page = await browser.go({ ...form, fields: { ...form.fields, [names.name]: user.name, [names.password]: user.password } });
      if (page.away) return page.away.url;
      throw new Error(Browser.form(page, names.password) ? `the provider did not take the password: ${said(page)}` : `the provider neither asks nor answers: ${said(page)}`);
    },
  };
}

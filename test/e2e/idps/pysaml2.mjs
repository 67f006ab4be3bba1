// Debian's python3-pysaml2 as a SAML identity provider; the server itself is pysaml2.py.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { keyPair, folderOf, freePort, launch, signIn, signOut, spMetadata } from './parts.mjs';

// Triple DES is what pysaml2 encrypts with unless it is patched, as pysaml2.py does for the others.
export const variants = [{ sign: 'assertion' }, { sign: 'response' }, { encrypt: 'aes256-gcm' }, { encrypt: 'aes128-cbc' }, { encrypt: 'tripledes-cbc' }];

/** `sign`: 'both' (the default), 'assertion' or 'response'; `encrypt`: one of those above, or nothing. */
export async function start({ scratch, sps, users, sign = 'both', encrypt }) {
  const folder = folderOf(scratch, 'pysaml2');
  const { keyFile, certFile } = keyPair(folder, 'pysaml2');
  const origin = `http://127.0.0.1:${await freePort()}`;
  const files = sps.map((sp, i) => {
    const file = path.join(folder, `sp-${i}.xml`);
    fs.writeFileSync(file, spMetadata(sp));
    return file;
  });
  const config = path.join(folder, 'config.json');
  fs.writeFileSync(config, JSON.stringify({ origin, folder, key: keyFile, cert: certFile, spMetadata: files, users, sign, encrypt }));
  // Debian's Python: another one in PATH has no pysaml2.
  const server = launch('/usr/bin/python3', ['-B', fileURLToPath(new URL('pysaml2.py', import.meta.url)), config], { cwd: folder, log: path.join(folder, 'log') });
  const entityId = `${origin}/metadata`;
  await server.ready(entityId);
  const names = { name: 'username', password: 'password' };
  return {
    name: 'pysaml2', protocol: 'saml', variants, entityId, metadataUrl: entityId, metadataXml: await (await fetch(entityId)).text(), origin, logoutAt: `${origin}/logout`,
    login: (target, user, browser) => signIn(origin, target, user, names, browser),
    logout: (target, session) => signOut(session.browser, target),
    logoutHere: (session) => signOut(session.browser, `${origin}/logout`),
    unsolicited: (sp, user) => signIn(origin, `${origin}/sso?${new URLSearchParams({ sp: sp.entityId, RelayState: 'unasked' })}`, user, names),
    stop: () => server.stop(),
  };
}

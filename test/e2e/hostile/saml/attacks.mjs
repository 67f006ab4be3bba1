// Owns the table of attacks on the service provider: every entry with its valid twin and the check that must refuse it.
//   {name, twin, mutate(xml, tools), expect, metadata, cli, attackMetadata, attackCli, raw, same, accept, either, needsServer, anyAttributes, anyId, heavy}
// twin: options of the valid response that it is made from; it must be accepted. mutate: gives the attack, or a list of them.
// expect: which check may refuse it. metadata, cli: options of the identity provider's metadata and of the command line, for
// both; attackMetadata, attackCli: for the attack only.
// logout: the answer to a logout, and not a response to a sign-in; outcome: what it must be taken for, 'signed_out' unless said.
// raw: what mutate gives is the posted field and not the document. same: all of a list are refused in the same words.
// accept: a variant that must be accepted. either: it may be accepted, with the twin's identity, or refused by `expect`.
// needsServer: one call cannot show it. anyAttributes, anyId: these are not compared. heavy: large, slow to make.
import { Tools } from './attacks/tools.mjs';
import { wrapping } from './attacks/wrapping.mjs';
import { signature } from './attacks/signature.mjs';
import { document } from './attacks/document.mjs';
import { conditions } from './attacks/conditions.mjs';
import { encryption } from './attacks/encryption.mjs';
import { logout } from './attacks/logout.mjs';

const tables = { wrapping, signature, document, conditions, encryption, logout };

export const attacks = Object.entries(tables).flatMap(([table, list]) => list.map((a) => ({ twin: {}, metadata: {}, cli: {}, attackMetadata: {}, attackCli: {}, ...a, name: `${table}: ${a.name}` })));
const names = new Set();
for (const { name } of attacks) {
  if (names.has(name)) throw new Error(`two attacks are called "${name}"`);
  names.add(name);
}

/** The twin's text and the attack's texts, all with the same IDs. */
export function prepare(attack, forge) {
  const options = attack.logout ? forge.logoutOptions(attack.twin) : forge.options(attack.twin);
  const twin = attack.logout ? forge.logout(options) : forge.response(options);
  const made = attack.mutate(twin, new Tools(forge, options));
  return { options, twin, variants: Array.isArray(made) ? made : [made] };
}

/** What stands in the posted field. */
export const field = (attack, text) => (attack.raw ? text : Buffer.from(text).toString('base64'));

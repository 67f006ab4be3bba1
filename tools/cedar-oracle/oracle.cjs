// Asks the official Cedar engine (npm @cedar-policy/cedar-wasm 4.10.0): one JSON question a line on standard input, one
// JSON answer a line on standard output. First argument: the folder whose node_modules has the engine.
//   {"schema": text or object, "policies": text, "entities"?, "requests"?} ->
//   {"schema": error or null, "json": object, "policies": error or null, "errors": {id: [kind]}, "warnings": {id: [kind]},
//    "entities": error or null, "requests": [error or null]}
//   {"texts": [text of one policy or template]} -> {"jsons": [policy JSON or {"refused": error}]}
//   {"jsons": [policy JSON]} -> {"refused": [error or null]}
//   {"set": policy set JSON, "entities", "requests"} -> {"refused": error} or {"answers": [{"decision", "reason", "errors"}]}
//   {"text": policies, "templates": [text], "links": [{"of": number, "id", "principal"?, "resource"?}], "entities", "requests"} ->
//    {"policies": error or null, "answers": [{"decision", "reason", "errors"} or {"failed": error}]}
//   {"validate": policy set JSON, "schema"} -> {"refused": error} or {"errors", "warnings"} as above
'use strict';
const path = require('path');
const readline = require('readline');
const cedar = require(path.join(path.resolve(process.argv[2]), 'node_modules/@cedar-policy/cedar-wasm/nodejs'));

// Kinds by the wording of the messages; the package hands out no codes.
const kinds = [
  [/unrecognized entity type/, 'unknown_entity_type'],
  [/unrecognized action/, 'unknown_action'],
  [/unable to find an applicable action/, 'never_applies'],
  [/unexpected type/, 'unexpected_type'],
  [/the types .* are not compatible/s, 'incompatible_types'],
  [/unable to guarantee safety of access to optional attribute/, 'optional_attribute'],
  [/unable to guarantee safety of access to tag/, 'unsafe_tag'],
  [/attribute .* not found/s, 'unknown_attribute'],
  [/tags? .*not (have|allowed)|cannot have tags|does not have tags|no tags/s, 'no_tags'],
  [/wrong number of arguments/, 'wrong_arity'],
  [/extension function argument validation/, 'bad_literal'],
  [/empty set literals are forbidden/, 'empty_set'],
  [/non-literal expressions/, 'not_literal'],
  [/enumerated|invalid .*enum/i, 'bad_enum_id'],
  [/policy is impossible/, 'impossible'],
  [/string .* contains mixed scripts/s, 'mixed_script'],
  [/identifier .* contains mixed scripts/s, 'mixed_script_name'],
  [/string .* contains BIDI/s, 'bidi'],
  [/identifier .* contains BIDI/s, 'bidi_name'],
  [/General Security Profile/, 'confusable_name'],
];
const kindOf = (message) => (kinds.find(([wording]) => wording.test(message)) || [null, message])[1];

function grouped(list) {
  const out = {};
  for (const one of list) (out[one.policyId] = out[one.policyId] || new Set()).add(kindOf(one.error.message));
  for (const id of Object.keys(out)) out[id] = [...out[id]].sort();
  return out;
}
const failure = (answer) => (answer.type === 'success' ? null : answer.errors.map((e) => e.message).join('; '));

// Policies and templates have functions of their own; which of them one is, is told by what the first refuses.
function either(one, asPolicy, asTemplate) {
  const first = asPolicy(one);
  if (first.type === 'success' || !first.errors.some((e) => /got a template/.test(e.message))) return first;
  return asTemplate(one);
}
function toJson(text) {
  const read = either(text, cedar.policyToJson, cedar.templateToJson);
  return read.type === 'success' ? read.json : { refused: failure(read) };
}
const verdictOf = ({ decision, diagnostics }) => ({
  decision, reason: diagnostics.reason.sort(), errors: diagnostics.errors.map((e) => e.policyId).sort(),
});
function decide(q) {
  const answers = [];
  for (const request of q.requests) {
    const verdict = cedar.isAuthorized({ ...request, policies: q.set, entities: q.entities, validateRequest: false });
    if (verdict.type !== 'success') return { refused: failure(verdict) };
    answers.push(verdictOf(verdict.response));
  }
  return { answers };
}
function decideText(q) {
  const templates = {};
  q.templates.forEach((text, i) => (templates[`template${i}`] = text));
  const templateLinks = q.links.map((link) => {
    const values = {};
    if (link.principal !== undefined) values['?principal'] = link.principal;
    if (link.resource !== undefined) values['?resource'] = link.resource;
    return { templateId: `template${link.of}`, newId: link.id, values };
  });
  const out = { policies: failure(cedar.preparsePolicySet('set', { staticPolicies: q.text, templates, templateLinks })) };
  if (out.policies !== null) return out;
  out.answers = q.requests.map((request) => {
    const said = cedar.statefulIsAuthorized({ ...request, preparsedPolicySetId: 'set', entities: q.entities });
    return said.type === 'success' ? verdictOf(said.response) : { failed: failure(said) };
  });
  return out;
}
function validateSet(q) {
  const verdict = cedar.validate({ schema: q.schema, policies: q.validate });
  if (verdict.type !== 'success') return { refused: failure(verdict) };
  return { errors: grouped(verdict.validationErrors), warnings: grouped(verdict.validationWarnings) };
}

function answer(q) {
  if (q.texts !== undefined) return { jsons: q.texts.map(toJson) };
  if (q.jsons !== undefined)
    return { refused: q.jsons.map((one) => failure(either(one, cedar.policyToText, cedar.templateToText))) };
  if (q.set !== undefined) return decide(q);
  if (q.text !== undefined) return decideText(q);
  if (q.validate !== undefined) return validateSet(q);
  const out = { schema: failure(cedar.checkParseSchema(q.schema)) };
  if (out.schema !== null) return out;
  const json = cedar.schemaToJson(q.schema);
  if (json.type === 'success') out.json = json.json;
  if (q.policies !== undefined) {
    const policies = { staticPolicies: q.policies, templates: {}, templateLinks: [] };
    const verdict = cedar.validate({ schema: q.schema, policies });
    out.policies = failure(verdict);
    if (out.policies === null) {
      out.errors = grouped(verdict.validationErrors);
      out.warnings = grouped(verdict.validationWarnings);
    }
  }
  if (q.entities !== undefined) out.entities = failure(cedar.checkParseEntities({ entities: q.entities, schema: q.schema }));
  if (q.requests !== undefined)
    out.requests = q.requests.map((r) =>
      failure(cedar.isAuthorized({ ...r, schema: q.schema, validateRequest: true, entities: [],
                                   policies: { staticPolicies: '', templates: {}, templateLinks: [] } })));
  return out;
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  let out;
  try {
    out = answer(JSON.parse(line));
  } catch (e) {
    out = { thrown: String(e) };
  }
  process.stdout.write(JSON.stringify(out) + '\n');
});

// The official Cedar engine (npm @cedar-policy/cedar-wasm 4.10.0) on the shape of src/cedar/authorize_bench.cc: N policies
// that map a group to a role, three entities, policies pre-parsed, one thread. Entities and context go in as objects with
// each call, which is the only way that the package has.
//   node bench.cjs FOLDER [FIGURES [NATIVE]]
// FOLDER: whose node_modules has the engine. FIGURES: what cedar_bench wrote with --benchmark_out, to stand beside it.
// NATIVE: what native/ printed, the official engine without JavaScript around it.
'use strict';
const fs = require('fs');
const path = require('path');
const cedar = require(path.join(path.resolve(process.argv[2]), 'node_modules/@cedar-policy/cedar-wasm/nodejs'));

function roleMapping(policies) {
  let text = '';
  for (let n = 0; n < policies; n += 1) {
    text += `@id("map-${n}") @duration("1h")\npermit(principal in Group::"okta/team-${n}", action == Action::"assume", `
      + `resource == Role::"pg/db-${n}/reader")\nwhen { context.mfa && principal.department == "data" };\n`;
  }
  return text;
}

function callFor(policies) {
  const n = Math.floor(policies / 2);
  const team = { type: 'Group', id: `okta/team-${n}` };
  const role = { type: 'Role', id: `pg/db-${n}/reader` };
  return {
    principal: { type: 'User', id: 'alice' },
    action: { type: 'Action', id: 'assume' },
    resource: role,
    context: { mfa: true, reason: 'ticket 42' },
    preparsedPolicySetId: `set-${policies}`,
    entities: [
      { uid: { type: 'User', id: 'alice' }, attrs: { department: 'data' }, parents: [team] },
      { uid: team, attrs: {}, parents: [{ type: 'Group', id: 'okta/all' }] },
      { uid: role, attrs: { env: 'prod' }, parents: [] },
    ],
  };
}

// Nanoseconds of one decision: the median of seven rounds, each at least a tenth of a second and one decision long.
function decision(call) {
  const rounds = [];
  for (let round = 0; round < 7; round += 1) {
    const begin = process.hrtime.bigint();
    let calls = 0;
    let spent = 0n;
    do {
      const answer = cedar.statefulIsAuthorized(call);
      if (answer.type !== 'success' || answer.response.decision !== 'allow') throw new Error(JSON.stringify(answer));
      calls += 1;
      spent = process.hrtime.bigint() - begin;
    } while (spent < 100000000n);
    rounds.push(Number(spent) / calls);
  }
  return rounds.sort((a, b) => a - b)[3];
}

const ours = new Map();
if (process.argv[3] !== undefined) {
  const unit = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };
  for (const one of JSON.parse(fs.readFileSync(process.argv[3], 'utf8')).benchmarks) {
    if (!one.name.includes('threads')) ours.set(one.name, one.real_time * unit[one.time_unit]);
  }
}
const readable = (ns) => (ns === undefined ? '-'
  : ns < 1e4 ? `${ns.toFixed(0)} ns` : ns < 1e7 ? `${(ns / 1e3).toFixed(1)} us` : `${(ns / 1e6).toFixed(0)} ms`);
const beside = (name, official) => {
  const mine = ours.get(name);
  return `${readable(mine).padStart(11)}${(mine === undefined ? '' : `${(official / mine).toFixed(0)} x`).padStart(11)}`;
};

console.log('policies   official (npm)      decided      ratio   from JSON*      ratio  reference      ratio');
for (const policies of [1, 10, 1000, 100000]) {
  const begin = process.hrtime.bigint();
  const parsed = cedar.preparsePolicySet(`set-${policies}`, { staticPolicies: roleMapping(policies) });
  const load = Number(process.hrtime.bigint() - begin);
  if (parsed.type !== 'success') throw new Error(JSON.stringify(parsed).slice(0, 500));
  const official = decision(callFor(policies));
  console.log(`${String(policies).padStart(8)}${readable(official).padStart(17)}  ${beside(`decided/${policies}`, official)}`
    + `  ${beside(`answered_from_json_with_entities/${policies}`, official)}${beside(`reference/${policies}`, official)}`);
  if (policies === 100000) console.log(`loading ${policies}: official ${readable(load)}, ours ${beside(`load/${policies}`, load)}`);
}
if (process.argv[4] !== undefined) {
  const native = JSON.parse(fs.readFileSync(process.argv[4], 'utf8'));
  console.log('\npolicies  official (native)   answered      ratio   native, context JSON  from JSON      ratio   native, all JSON  from JSON*      ratio');
  for (const [policies, one] of Object.entries(native)) {
    console.log(`${policies.padStart(8)}${readable(one.decided).padStart(19)}${beside(`answered/${policies}`, one.decided)}`
      + `${readable(one.from_json).padStart(23)}${beside(`answered_from_json/${policies}`, one.from_json)}`
      + `${readable(one.all_from_json).padStart(19)}${beside(`answered_from_json_with_entities/${policies}`, one.all_from_json)}`);
    if (policies === '100000') console.log(`loading ${policies}: native ${readable(one.load)}, ours ${beside(`load/${policies}`, one.load)}`);
  }
}
console.log('* context as JSON text and the three entities built for the decision: what each call of the official engine does too');

// npm @node-saml/node-saml on one honest response, beside Daypass on one of the same kind in the same run.
//   node bench.mjs [FIGURES]   FIGURES: what idp_saml_bench wrote with --benchmark_out
import fs from 'node:fs';
import { Forge, world } from './forge.mjs';
import { NodeSaml, atTime } from './peer_node.mjs';

const forge = new Forge();
const ours = new Map();
if (process.argv[2] && fs.existsSync(process.argv[2]))
  for (const b of JSON.parse(fs.readFileSync(process.argv[2], 'utf8')).benchmarks) ours.set(b.name, b.real_time * { ns: 1e-3, us: 1, ms: 1e3 }[b.time_unit]);
atTime(world.now);
const peer = new NodeSaml({ certificates: [forge.keys.idp.certPem], spKey: forge.keys.sp.keyPem });
console.log('a signed Response            node-saml      Daypass      ratio');
for (const [name, sign, figure] of [['assertion signed', 'assertion', 'response/assertion_signed'], ['response signed', 'response', 'response/response_signed'], ['both signed', 'both', 'response/both_signed']]) {
  const base64 = Buffer.from(forge.response({ sign })).toString('base64');
  const rounds = [];
  for (let round = 0; round < 7; round += 1) {
    const begin = process.hrtime.bigint();
    let calls = 0;
    do { const v = await peer.verdict(base64); if (!v.ok) throw new Error(JSON.stringify(v)); calls += 1; } while (process.hrtime.bigint() - begin < 200000000n);
    rounds.push(Number(process.hrtime.bigint() - begin) / calls / 1e3);
  }
  const us = rounds.sort((a, b) => a - b)[3];
  const mine = ours.get(figure);
  console.log(`${name.padEnd(24)}${us.toFixed(0).padStart(11)} us${(mine ? `${mine.toFixed(0)} us` : '-').padStart(13)}${(mine ? `${(us / mine).toFixed(1)} x` : '').padStart(11)}`);
}

// Owns endpoints that lie where nobody may be asked: this machine, its neighbours, and what a cloud tells its machines. They
// are tried in a namespace where all these addresses are this machine's, and where the provider listens at each.
import { accepted, refused } from './tools.mjs';

export const here = '8.8.4.4';  // an address of the internet; in the namespace it is the provider's
export const hosts = {
  'idp.example': [here], 'metadata.example': ['169.254.169.254'], 'inside.example': ['10.0.0.1'], 'loopback.example': ['127.0.0.1'], 'six.example': ['fd00::1'], 'loopback-six.example': ['::1'], 'mapped.example': ['::ffff:10.0.0.1'],
  'both.example': ['169.254.169.254', here],
  'rebind.example': [here], // and at the second question 169.254.169.254
};
export const addresses = ['127.0.0.1', '127.8.8.8', '169.254.169.254', '10.0.0.1', '172.16.0.1', '192.168.0.1', '100.64.0.1', '100.100.100.200', '168.63.129.16', '::1', 'fd00::1', 'fd00:ec2::254', '64:ff9b::a9fe:a9fe'];

const spelled = {
  '169.254.169.254': 'the metadata service', 2852039166: 'the metadata service in decimal', '0xa9fea9fe': 'the metadata service in hexadecimal', '0251.0376.0251.0376': 'the metadata service in octal', '169.254.43518': 'the metadata service in three parts',
  '127.0.0.1': 'loopback', '127.8.8.8': 'loopback elsewhere', '127.1': 'loopback in two parts', 2130706433: 'loopback in decimal', '0x7f000001': 'loopback in hexadecimal', '0177.0.0.1': 'loopback in octal', localhost: 'localhost', 0: 'this host as 0', '0.0.0.0': 'this host',
  '10.0.0.1': 'a private address', '172.16.0.1': 'a private address of 172.16/12', '192.168.0.1': 'a private address of 192.168/16', '100.64.0.1': 'a shared address', '100.100.100.200': 'a cloud\'s metadata service', '168.63.129.16': 'a cloud\'s host agent',
  '[::1]': 'loopback in IPv6', '[::]': 'this host in IPv6', '[::ffff:127.0.0.1]': 'loopback, mapped', '[::ffff:a9fe:a9fe]': 'the metadata service, mapped', '[64:ff9b::a9fe:a9fe]': 'the metadata service, translated', '[fd00::1]': 'a private address in IPv6', '[fd00:ec2::254]': 'a cloud\'s metadata service in IPv6',
  'metadata.example': 'a name of the metadata service', 'inside.example': 'a name of a private address', 'loopback.example': 'a name of loopback', 'six.example': 'a name of a private IPv6 address', 'loopback-six.example': 'a name of loopback in IPv6', 'mapped.example': 'a name of a mapped private address', 'LOOPBACK.Example': 'a name of loopback in other letters',
};
const endpoint = { jwks_uri: 'jwks', token_endpoint: 'token_endpoint', userinfo_endpoint: 'userinfo' };
const at = (host, names) => ({ discovery: (d) => ({ ...d, ...Object.fromEntries(names.map((n) => [n, d[n].replace('idp.example', host)])) }) });
const userinfo = 'userinfo = true\n';
const lead = (name, host, why) => refused(`${name}: ${why}`, `\`${name}\` at https://${host}/`, `${endpoint[name]}.egress`, at(host, [name]), { fresh: true, idp: userinfo });
const some = ['169.254.169.254', '127.0.0.1', '[::1]', '10.0.0.1', 'metadata.example'];

export const ssrf = [
  ...Object.entries(spelled).map(([host, why]) => lead('jwks_uri', host, why)),
  ...['token_endpoint', 'userinfo_endpoint'].flatMap((name) => some.map((host) => lead(name, host, spelled[host]))),
  refused('a name that changes its address', 'token endpoint and keys at a name that leads to the provider first, and to the metadata service then', 'jwks.egress', at('rebind.example', ['token_endpoint', 'jwks_uri']), { fresh: true, idp: userinfo }),
  refused('http to loopback', '`jwks_uri` at http://127.0.0.1/, of an issuer that is not there', 'discovery.endpoint', { discovery: (d) => ({ ...d, jwks_uri: 'http://127.0.0.1/' }) }, { fresh: true, idp: userinfo }),
  refused('the metadata service, though listed', '`jwks_uri` at 169.254.169.254, which `allowed_hosts` names', 'jwks.egress', at('169.254.169.254', ['jwks_uri']), { fresh: true, idp: `${userinfo}allowed_hosts = ["169.254.169.254"]\n` }),
  refused('a private address, another one listed', '`jwks_uri` at a private name, where `allowed_hosts` names another', 'jwks.egress', at('inside.example', ['jwks_uri']), { fresh: true, idp: `${userinfo}allowed_hosts = ["six.example"]\n` }),
  accepted('a private address that is listed', '`jwks_uri` at a private name, which `allowed_hosts` names', at('inside.example', ['jwks_uri']), { fresh: true, idp: `${userinfo}allowed_hosts = ["inside.example"]\n`, reaches: '10.0.0.1' }),
  accepted('a name with a good address and a bad one', '`jwks_uri` at a name with two addresses: the good one is asked', at('both.example', ['jwks_uri']), { fresh: true, idp: userinfo }),
];

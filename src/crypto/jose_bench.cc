// What verifying a token costs beside the bare signature check of OpenSSL, in the same run, and what the parts cost.
#include <benchmark/benchmark.h>
#include <openssl/rsa.h>

#include <string>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "crypto/jose_key.h"
#include "crypto/pem.h"

namespace daypass::crypto {
namespace {

const char payload[] =
    R"({"iss":"https://idp.example.com","sub":"248289761001","aud":"daypass","exp":1763999999,"iat":1763996399,)"
    R"("nonce":"n-0S6_WzA2Mj","email":"a.person@example.com","groups":["data","engineering","on-call"]})";

const SigningKey& key_of(Alg alg) {
  static const std::vector<SigningKey> keys = [] {
    std::vector<SigningKey> out;
    for (const Alg a : all_algs) out.push_back(SigningKey::generate(a));
    return out;
  }();
  return keys[static_cast<std::size_t>(alg)];
}

KeySet keys_of_all() {
  base::json::Array list;
  for (const Alg alg : all_algs) list.emplace_back(key_of(alg).public_jwk());
  return KeySet::parse(base::json::dump(base::json::Object{{"keys", list}})).value();
}

// The whole: base64url, header, choice among five keys, signature.
void verify_token(benchmark::State& state, Alg alg) {
  const KeySet keys = keys_of_all();
  const std::string token = key_of(alg).sign(payload);
  for (auto _ : state) DP_ASSERT(verify_jws(token, keys).ok());
  state.SetItemsProcessed(state.iterations());
}

// The least that OpenSSL can do it with: a started context, the signature already in its own form.
void verify_bare(benchmark::State& state, Alg alg) {
  const PkeyPtr key = private_key_from_pem(key_of(alg).to_pem());
  const std::string token = key_of(alg).sign(payload);
  const std::string text = token.substr(0, token.rfind('.'));
  std::string signature = *base::base64url_decode(token.substr(text.size() + 1));
  if (alg == Alg::es256) signature = ecdsa_raw_to_der(signature, 32);
  if (alg == Alg::es384) signature = ecdsa_raw_to_der(signature, 48);
  if (alg == Alg::eddsa) {
    for (auto _ : state) {
      const MdCtxPtr context = start_verify(key.get(), alg);
      DP_ASSERT(EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(text), text.size()) == 1);
    }
  } else {
    // Hash and public key operation only: the context of the operation is made once, outside.
    const MdCtxPtr context = start_verify(key.get(), alg);
    EVP_PKEY_CTX* operation = EVP_MD_CTX_get_pkey_ctx(context.get());
    const PkeyCtxPtr bare(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
    DP_ASSERT(EVP_PKEY_verify_init(bare.get()) == 1 && operation != nullptr);
    const EVP_MD* md = alg == Alg::es384 ? md_sha384() : md_sha256();
    DP_ASSERT(EVP_PKEY_CTX_set_signature_md(bare.get(), md) == 1);
    if (alg == Alg::ps256) {
      DP_ASSERT(EVP_PKEY_CTX_set_rsa_padding(bare.get(), RSA_PKCS1_PSS_PADDING) == 1 &&
                EVP_PKEY_CTX_set_rsa_pss_saltlen(bare.get(), RSA_PSS_SALTLEN_DIGEST) == 1);
    }
    for (auto _ : state) {
      const std::string hash = alg == Alg::es384 ? sha384(text) : sha256(text);
      DP_ASSERT(EVP_PKEY_verify(bare.get(), bytes(signature), signature.size(), bytes(hash), hash.size()) == 1);
    }
  }
  state.SetItemsProcessed(state.iterations());
}

void sign_token(benchmark::State& state, Alg alg) {
  for (auto _ : state) benchmark::DoNotOptimize(key_of(alg).sign(payload));
  state.SetItemsProcessed(state.iterations());
}

void import_set(benchmark::State& state) {
  const std::string text = [] {
    base::json::Array list;
    for (const Alg alg : all_algs) list.emplace_back(key_of(alg).public_jwk());
    return base::json::dump(base::json::Object{{"keys", list}});
  }();
  for (auto _ : state) DP_ASSERT(KeySet::parse(text)->keys().size() == 5);
}

void hash(benchmark::State& state) {
  const std::string data(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(sha256(data));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void mac(benchmark::State& state) {
  const std::string data(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(hmac_sha256("a key of some length, say 32 byte", data));
}

const int registered = [] {
  for (const Alg alg : all_algs) {
    const std::string name(to_string(alg));
    benchmark::RegisterBenchmark(("verify/" + name).c_str(), verify_token, alg);
    benchmark::RegisterBenchmark(("bare/" + name).c_str(), verify_bare, alg);
  }
  for (const Alg alg : all_algs)
    benchmark::RegisterBenchmark(("sign/" + std::string(to_string(alg))).c_str(), sign_token, alg);
  return 0;
}();
BENCHMARK(import_set);
BENCHMARK(hash)->Arg(65)->Arg(4096);
BENCHMARK(mac)->Arg(65);

}  // namespace
}  // namespace daypass::crypto

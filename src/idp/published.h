// What an issuer publishes: a document at a well-known address, and the keys that the document points to.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/time.h"
#include "core/ids.h"
#include "idp/cached.h"
#include "idp/fetch.h"
#include "idp/key_cache.h"

namespace daypass::idp {

/// Safe from any thread. Fetches are single-flight, each kind at most once in 10 s when something is there already,
/// last good on failure. `Document` has a `jwks_uri`.
template <class Document>
class Published {
 public:
  using Ptr = std::shared_ptr<const Document>;
  struct Source {
    std::string issuer;
    std::string url;  ///< of the document
    Reach reach;
    std::string family;  ///< of errors when it can't be fetched: "discovery"
    std::size_t max_bytes;
    base::Millis fetch_cap;  ///< of one fetch, however much time the caller still has
    std::function<base::Result<Document>(std::string_view text)> parse;
    Ptr given = nullptr;  ///< in its place; nothing is fetched then but keys
  };

  Published(const base::Clock& clock, const base::Log& log, Fetch fetch, core::TenantId tenant, Source source)
      : clock_(clock),
        log_(log),
        fetch_(std::move(fetch)),
        tenant_(std::move(tenant)),
        source_(std::move(source)),
        document_(clock, policy, no_answer_in_time(source_.family),
                  [this](base::MonoTime deadline) { return load(deadline); }),
        keys_(clock, [this](base::MonoTime deadline) { return load_keys(deadline); }) {}

  /// Fresh for an hour, usable for a day when the issuer does not answer.
  base::Result<Ptr> document(base::MonoTime deadline) {
    if (source_.given != nullptr) return source_.given;
    DP_TRY(auto got, document_.get(deadline, [](const Document&) { return true; }));
    return std::move(got.value);
  }
  KeyCache& keys() noexcept { return keys_; }
  /// Asks for both. The first error, even while the last good ones still serve.
  base::Status probe(base::MonoTime deadline) {
    if (source_.given == nullptr) DP_CHECK(document_.refresh(deadline));
    return keys_.refresh(deadline);
  }

 private:
  static constexpr typename Cached<Document>::Policy policy{.fresh = std::chrono::hours(1),
                                                            .usable = std::chrono::hours(24),
                                                            .between = std::chrono::seconds(10),
                                                            .first_retry = std::chrono::seconds(1),
                                                            .patience = base::Millis(0)};

  base::Result<Document> load(base::MonoTime deadline) {
    Request request;
    request.url = source_.url;
    request.timeout = remaining(clock_, deadline, source_.fetch_cap);
    request.max_bytes = source_.max_bytes;
    source_.reach.apply(request);
    auto reply = fetch_ok(fetch_, request, source_.family);
    if (!reply.ok()) return noted(std::move(reply).error());
    auto document = source_.parse(reply->body);
    if (!document.ok()) return noted(std::move(document).error());
    return document;
  }
  base::Result<crypto::KeySet> load_keys(base::MonoTime deadline) {
    DP_TRY(const Ptr known, document(deadline));
    auto keys = fetch_keys(fetch_, known->jwks_uri, source_.reach, remaining(clock_, deadline, source_.fetch_cap));
    if (!keys.ok()) return noted(std::move(keys).error());
    return keys;
  }
  base::Error noted(base::Error error) const {
    log_.warn("identity provider: metadata not fetched",
              {{"tenant", tenant_.str()}, {"issuer", source_.issuer}, {"check", error.check}, {"why", error.message}});
    return error;
  }

  const base::Clock& clock_;
  const base::Log& log_;
  Fetch fetch_;
  core::TenantId tenant_;
  Source source_;
  Cached<Document> document_;
  KeyCache keys_;
};

}  // namespace daypass::idp

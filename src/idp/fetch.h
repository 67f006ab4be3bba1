// Fetch: the one way out of this room. app/ binds it to the egress-guarded HTTP client, tests to a scripted provider.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/spec.h"

namespace daypass::idp {

/// One exchange, over in `timeout` at the latest. Certificates are always verified; a redirect is an answer, not
/// followed.
struct Request {
  std::string method = "GET";
  std::string url;  ///< absolute; http only where `loopback_http`
  std::string accept = "application/json";
  std::string content_type;  ///< of `body`; empty when there is none
  std::string content_language;
  base::Secret body;           ///< may hold a code, a verifier, a client secret
  base::Secret authorization;  ///< value of the Authorization header, or empty
  base::Millis timeout{10'000};
  std::size_t max_bytes = std::size_t{256} * 1024;  ///< of the reply's body; more is an error
  std::string ca_file;                              ///< PEM trust anchors for this provider; empty: the system's
  std::vector<std::string> allowed_hosts;           ///< private hosts that this provider may be reached at
  bool loopback = false;                            ///< https to loopback is allowed: the issuer itself lives there
  bool loopback_http = false;                       ///< http to loopback is allowed: the issuer itself is such a URL
};

struct Reply {
  int status = 0;
  std::string media_type;  ///< lower case, without parameters; empty when there was none
  std::string body;
};

/// Blocking; called from several threads at once. Any HTTP status is a Reply; only "no answer" is an Error.
using Fetch = std::function<base::Result<Reply>(const Request&)>;

/// How a provider may be reached: the parts of its settings that every request to it carries. `address` is the URL that
/// its settings name: only if that one is on loopback may anything of it be.
struct Reach {
  std::string ca_file;
  std::vector<std::string> allowed_hosts;
  bool loopback = false, loopback_http = false;
  static Reach of(const core::IdpSpec& spec, const std::string& address);
  void apply(Request& request) const;
};

/// Runs `fetch` and makes one error family of it: "<family>.fetch" (no answer; the code tells timeout from
/// unavailable), "<family>.egress" (its address is none that may be asked), "<family>.too_large", "<family>.status" (no
/// 200). The message names the host, never the URL's query.
base::Result<Reply> fetch_ok(const Fetch& fetch, const Request& request, const std::string& family);
/// Same, but any status is an answer.
base::Result<Reply> fetch_any(const Fetch& fetch, const Request& request, const std::string& family);
/// "<family>.fetch", when time was over before anybody was asked.
base::Error no_answer_in_time(const std::string& family);

/// Milliseconds until `deadline`, at most `cap`, never negative.
base::Millis remaining(const base::Clock& clock, base::MonoTime deadline, base::Millis cap);

}  // namespace daypass::idp

// Fetch: the one way out of this room. app/ binds it to the egress-guarded HTTP client, tests to a scripted provider.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace daypass::idp::oidc {

/// One exchange, over in `timeout` at the latest. Certificates are always verified; a redirect is an answer, not
/// followed.
struct Request {
  std::string method = "GET";
  std::string url;  ///< absolute; http only where `loopback_http`
  std::string accept = "application/json";
  std::string content_type;    ///< of `body`; empty when there is none
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

}  // namespace daypass::idp::oidc

#include "net/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include "base/encoding.h"

namespace daypass::net {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostHeaderBytes = 64 * 1024;

struct EasyFree {
  void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
};
struct UrlFree {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};
using EasyPtr = std::unique_ptr<CURL, EasyFree>;
using UrlPtr = std::unique_ptr<CURLU, UrlFree>;

/// curl's list of header lines, zeroed when it goes: one of them may be the authorization.
class HeaderList {
 public:
  HeaderList() = default;
  ~HeaderList() {
    for (curl_slist* at = list_; at != nullptr; at = at->next)
      base::wipe(at->data, std::char_traits<char>::length(at->data));
    curl_slist_free_all(list_);
  }
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  void add(const std::string& line) {
    if (curl_slist* longer = curl_slist_append(list_, line.c_str())) list_ = longer;
  }
  void add(std::string_view prefix, std::string_view secret) {
    std::string line;
    line.reserve(prefix.size() + secret.size());
    line.append(prefix).append(secret);
    add(line);
    base::wipe(line.data(), line.size());
  }
  [[nodiscard]] curl_slist* get() const noexcept { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

/// A peer that hangs up in the middle of a TLS write raises SIGPIPE on this thread; curl is told not to touch signals.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec at_once{};
    if (!was_pending_) {
      while (sigtimedwait(&pipe_, nullptr, &at_once) > 0) continue;
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

/// What curl's callbacks know of one exchange.
struct Exchange {
  Exchange(const HttpFetch& r, std::string h, bool t) : request(r), host(std::move(h)), https(t) {}
  const HttpFetch& request;
  std::string host;
  bool https;
  HttpReply reply;
  std::size_t header_bytes = 0;
  bool refused = false;  // an address that the policy forbids
  bool opened = false;   // an address that it allows
  bool too_large = false;
};

bool may_open(const Exchange& exchange, const curl_sockaddr& address) {
  // The path of a unix socket comes from the caller, not from the peer.
  if (!exchange.request.unix_socket.empty()) return address.family == AF_UNIX;
  return may_connect(exchange.request.egress, classify(&address.addr, address.addrlen), exchange.host, exchange.https);
}

// Asked at the moment of connecting, with the address itself: what the name resolved to earlier doesn't matter.
curl_socket_t open_socket(void* context, curlsocktype purpose, curl_sockaddr* address) {
  auto& exchange = *static_cast<Exchange*>(context);
  if (purpose != CURLSOCKTYPE_IPCXN || !may_open(exchange, *address)) {
    exchange.refused = true;
    return CURL_SOCKET_BAD;
  }
  exchange.opened = true;
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  if (exchange.reply.body.size() + size > exchange.request.max_bytes) {
    exchange.too_large = true;
    return 0;
  }
  exchange.reply.body.append(data, size);
  return size;
}

std::size_t take_header(char* data, std::size_t, std::size_t size, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  exchange.header_bytes += size;
  if (exchange.header_bytes > kMostHeaderBytes) {
    exchange.too_large = true;
    return 0;
  }
  std::string_view line(data, size);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) exchange.reply.headers.clear();  // an interim response (1xx) is not the answer
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return size;
  std::string name(line.substr(0, colon));
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  exchange.reply.headers.emplace_back(std::move(name), std::string(value));
  return size;
}

int keep_going(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const std::atomic<bool>* const stop = static_cast<Exchange*>(context)->request.stop;
  return stop != nullptr && stop->load(std::memory_order_relaxed) ? 1 : 0;
}

Error url_error(std::string why) {
  return Error(Code::invalid, "http.url", "the URL " + std::move(why),
               "give an absolute URL such as https://idp.example/");
}

std::optional<std::string> url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return std::nullopt;
  std::string out(text);
  curl_free(text);
  return out;
}

/// Parses once; curl gets the parsed form, so that nobody reads the text in a second way.
Result<UrlPtr> parse_url(const HttpFetch& request, std::string& host, bool& https) {
  const bool plain = !request.url.empty() && request.url.size() <= 8192 &&
                     std::ranges::all_of(request.url, [](char c) { return c > 0x20 && c < 0x7f && c != '\\'; });
  if (!plain) return url_error("is empty, too long, or has spaces or foreign characters");
  UrlPtr url(curl_url());
  const CURLUcode parsed =
      url ? curl_url_set(url.get(), CURLUPART_URL, request.url.c_str(), CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME)
          : CURLUE_OUT_OF_MEMORY;
  if (parsed == CURLUE_USER_NOT_ALLOWED) return url_error("holds user information");
  if (parsed != CURLUE_OK) return url_error("is malformed or not absolute");
  const std::string scheme = url_part(url.get(), CURLUPART_SCHEME).value_or("");
  host = url_part(url.get(), CURLUPART_HOST).value_or("");
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  https = scheme == "https";
  const bool http_is_fine = request.egress.allow_loopback_http || !request.unix_socket.empty();
  if (!https && !(scheme == "http" && http_is_fine))
    return Error(Code::denied, "http.scheme", "the URL must begin with https://", "use https");
  if (host.empty()) return url_error("has no host");
  if (url_part(url.get(), CURLUPART_FRAGMENT)) return url_error("has a fragment");
  return url;
}

Status check_headers(const HttpFetch& request) {
  const auto clean = [](std::string_view text) {
    return std::ranges::none_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
  };
  bool good =
      !request.method.empty() && std::ranges::all_of(request.method, [](char c) { return c >= 'A' && c <= 'Z'; });
  for (const auto& [name, value] : request.headers)
    good = good && !name.empty() && clean(name) && !name.contains(':') && clean(value);
  good = good && clean(request.authorization.reveal());
  if (!good) return Error(Code::invalid, "http.request", "the method or a header of the request is malformed");
  return {};
}

void set_headers(const HttpFetch& request, HeaderList& list) {
  // An empty value needs a semicolon, or curl takes the header away.
  for (const auto& [name, value] : request.headers) list.add(value.empty() ? name + ";" : name + ": " + value);
  list.add("Expect:");  // a second round trip for nothing
  if (!request.authorization.empty()) {
    list.add("Authorization: ", request.authorization.reveal());
  } else if (request.basic) {
    std::string pair = request.basic->user + ":";
    pair.append(request.basic->password.reveal());
    std::string encoded = base::base64_encode(pair);
    list.add("Authorization: Basic ", encoded);
    base::wipe(pair.data(), pair.size());
    base::wipe(encoded.data(), encoded.size());
  }
}

void set_body(CURL* easy, const HttpFetch& request) {
  const std::string_view body =
      request.secret_body.empty() ? std::string_view(request.body) : request.secret_body.reveal();
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    return;
  }
  if (request.method != "GET" || !body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data());  // not copied
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

/// What is the same for every fetch: one exchange, no detours, no hidden inputs.
void set_rules(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // and so none from the environment
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
  curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
}

void set_trust(CURL* easy, const HttpFetch& request) {
  if (request.ca_file.empty() && request.ca_pem.empty()) return;
  // The distribution's curl also has a folder of roots built in: instead of them means without that too.
  curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  if (!request.ca_pem.empty()) {
    curl_blob blob{const_cast<char*>(request.ca_pem.data()), request.ca_pem.size(), CURL_BLOB_NOCOPY};
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
  } else {
    curl_easy_setopt(easy, CURLOPT_CAINFO, request.ca_file.c_str());
  }
}

Error connect_error(const Exchange& exchange) {
  const std::string& host = exchange.host;
  if (exchange.refused && !exchange.opened)
    return Error(Code::denied, "http.egress",
                 "connecting to " + host + " is not allowed: its address is not a public one",
                 "list the host among the private ones if it is meant to be inside the network");
  return Error(Code::unavailable, "http.connect", "can't connect to " + host, "check that it runs and is reachable");
}

Error error_of(CURLcode code, const Exchange& exchange) {
  const std::string& host = exchange.host;
  switch (code) {
    case CURLE_URL_MALFORMAT:
      return url_error("is malformed");
    case CURLE_COULDNT_RESOLVE_HOST:
      return Error(Code::unavailable, "http.resolve", "can't resolve " + host, "check the name and this machine's DNS");
    case CURLE_COULDNT_CONNECT:
      return connect_error(exchange);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
      return Error(Code::unavailable, "http.tls",
                   "no trusted TLS connection to " + host + ": " + curl_easy_strerror(code),
                   "check its certificate and name, or give its authority as the one to trust");
    case CURLE_OPERATION_TIMEDOUT:
      return Error(Code::timeout, "http.timeout", host + " did not answer in time");
    case CURLE_FILESIZE_EXCEEDED:
      return Error(Code::invalid, "http.too_large", "the answer of " + host + " is larger than allowed");
    case CURLE_ABORTED_BY_CALLBACK:
      return Error(Code::unavailable, "http.cancelled", "the request was given up");
    default:
      break;
  }
  if (exchange.too_large)
    return Error(Code::invalid, "http.too_large", "the answer of " + host + " is larger than allowed");
  return Error(Code::unavailable, "http.protocol",
               "the exchange with " + host + " failed: " + curl_easy_strerror(code));
}

void global_init() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

base::Secret authorization_of(base::Secret secret) {
  if (secret.reveal().find(' ') != std::string_view::npos) return secret;
  return base::Secret::take("Bearer " + std::string(secret.reveal()));
}

std::optional<std::string_view> HttpReply::header(std::string_view name) const noexcept {
  const std::string* const value = find(headers, name);
  if (value == nullptr) return std::nullopt;
  return std::string_view(*value);
}

std::string HttpReply::media_type() const {
  HttpRequest as_request;
  as_request.headers = headers;
  return as_request.media_type();
}

HttpClient::HttpClient(std::string user_agent) : user_agent_(std::move(user_agent)) {
  global_init();
}

Result<HttpReply> HttpClient::fetch(const HttpFetch& request) {
  std::string host;
  bool https = false;
  DP_CHECK(check_headers(request));
  DP_TRY(const UrlPtr url, parse_url(request, host, https));
  Exchange exchange(request, std::move(host), https);
  const EasyPtr owner(curl_easy_init());
  CURL* const easy = owner.get();
  if (easy == nullptr) return Error(Code::internal, "http.protocol", "libcurl has no memory");
  HeaderList headers;
  set_headers(request, headers);
  set_rules(easy);
  set_trust(easy, request);
  set_body(easy, request);
  curl_easy_setopt(easy, CURLOPT_CURLU, url.get());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent_.c_str());
  if (!request.unix_socket.empty()) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request.unix_socket.c_str());
  // 0 would mean no limit to curl.
  const auto positive = [](base::Millis time) {
    return static_cast<long>(std::max<base::Millis::rep>(1, time.count()));
  };
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, positive(request.timeout));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, positive(std::min(request.timeout, request.connect_timeout)));
  curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
                   static_cast<curl_off_t>(std::max<std::size_t>(1, request.max_bytes)));
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, keep_going);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &exchange);
  const NoSigpipe quiet;
  const CURLcode code = curl_easy_perform(easy);
  if (code != CURLE_OK) return error_of(code, exchange);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  exchange.reply.status = static_cast<int>(status);
  return std::move(exchange.reply);
}

}  // namespace daypass::net

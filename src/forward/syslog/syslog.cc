#include "forward/syslog/syslog.h"

#include <algorithm>
#include <charconv>

#include "core/audit.h"
#include "forward/format.h"

#ifndef DAYPASS_VERSION
#define DAYPASS_VERSION "unknown"
#endif

namespace daypass::forward::syslog {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr int log_audit = 13, notice = 5, informational = 6;  // RFC 5424 section 6.2.1
constexpr std::uint64_t most_of_a_sequence = 2147483647;      // section 7.3.1

/// PRINTUSASCII of at most `most`; "-" when nothing is left.
std::string word(std::string_view text, std::size_t most) {
  std::string out;
  for (const char c : text)
    if (out.size() < most && c > ' ' && c <= '~') out += c;
  return out.empty() ? "-" : out;
}

/// Of "tls://logs.example:6514"; 0: there is none.
std::uint16_t port_of(const std::string& url) {
  const char* const end = url.data() + url.size();
  std::uint16_t out = 0;
  const auto [stop, failed] = std::from_chars(url.data() + url.rfind(':') + 1, end, out);
  return failed == std::errc() && stop == end ? out : std::uint16_t{0};
}

class Syslog final : public Receiver {
 public:
  Syslog(net::Feeder& feeder, std::string host, core::ForwardSpec spec)
      : feeder_(feeder), host_(std::move(host)), spec_(std::move(spec)) {
    to_.host = spec_.host();
    to_.port = port_of(spec_.url);
    to_.tls = spec_.url.starts_with("tls:");
    to_.ca_file = spec_.ca_file;
    to_.egress.private_hosts = spec_.allowed_hosts;
    to_.egress.allow_loopback = spec_.at_loopback();
    to_.egress.allow_loopback_http = spec_.at_loopback() && !to_.tls;
  }

  Status deliver(const Batch& batch, Millis budget) override {
    std::string bytes;
    for (const auto& record : batch.records) {
      DP_TRY(const std::string one, frame(record, spec_.format, host_));
      bytes += one;
    }
    net::FeedTarget to = to_;
    to.timeout = budget;
    const Status sent = feeder_.send(to, std::move(bytes));
    if (sent.ok()) return {};
    return Error{sent.error().code == Code::timeout ? Code::timeout : Code::unavailable, "forward.unreachable",
                 "the receiver can't be reached: " + sent.error().message + " (" + sent.error().check + ")",
                 sent.error().hint};
  }

 private:
  net::Feeder& feeder_;
  const std::string host_;
  const core::ForwardSpec spec_;
  net::FeedTarget to_;
};

class SyslogDriver final : public Driver {
 public:
  SyslogDriver(net::Feeder& feeder, std::string host) : feeder_(feeder), host_(std::move(host)) {}

  [[nodiscard]] Status validate(const core::ForwardSpec& spec) const override {
    if (!spec.is_syslog() || spec.host().empty() || port_of(spec.url) == 0)
      return Error{Code::invalid, "forward.url", "a syslog receiver is tls://host:port or tcp://host:port"};
    return {};
  }
  Result<std::shared_ptr<Receiver>> make(const core::TenantId&, const core::ForwardSpec& spec) override {
    DP_CHECK(validate(spec));
    return std::shared_ptr<Receiver>(std::make_shared<Syslog>(feeder_, host_, spec));
  }

 private:
  net::Feeder& feeder_;
  const std::string host_;
};

}  // namespace

Result<std::string> frame(const std::string& record, core::ForwardFormat format, std::string_view host) {
  const auto event = core::audit_from_canonical(record);
  if (!event.ok()) return Error{Code::internal, "forward.record", event.error().message};
  DP_TRY(const std::string line, line_of(record, format));
  const int severity = event->outcome == "ok" ? informational : notice;
  // No byte order mark before the text (section 6.4 allows octets of any kind): RFC 8259 section 8.1 forbids one before
  // JSON, and the parsers behind receivers take it at its word. What is ours has no place in structured data, which
  // wants a registered enterprise number.
  std::string message = "<" + std::to_string(log_audit * 8 + severity) + ">1 " + base::to_rfc3339(event->at) + " " +
                        word(host, 255) + " daypass - " + word(event->action, 32) + " [meta sequenceId=\"" +
                        std::to_string(event->seq % most_of_a_sequence + 1) +
                        "\"][origin software=\"Daypass\" swVersion=\"" DAYPASS_VERSION "\"] " + line;
  return std::to_string(message.size()) + " " + message;
}

std::unique_ptr<Driver> make_syslog_driver(net::Feeder& feeder, std::string host) {
  return std::make_unique<SyslogDriver>(feeder, std::move(host));
}

}  // namespace daypass::forward::syslog

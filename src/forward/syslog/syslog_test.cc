#include "forward/syslog/syslog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/audit.h"

namespace daypass::forward::syslog {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string record(std::uint64_t seq, const std::string& outcome = "ok", const std::string& action = "grant.opened") {
  core::AuditEvent event;
  event.seq = seq;
  event.at = base::WallTime(base::Millis(1'700'000'000'123));
  event.tenant = core::TenantId("north");
  event.actor = "corp/änn";
  event.action = action;
  event.object = "gr_a";
  event.outcome = outcome;
  return core::canonical(event);
}

struct Wire final : net::Feeder {
  base::Status answer;
  net::FeedTarget to;
  std::string bytes;
  base::Status send(const net::FeedTarget& where, std::string what) override {
    to = where;
    bytes = std::move(what);
    return answer;
  }
};

// RFC 5424 section 6, RFC 5425 section 4.3.
TEST(Syslog, AMessageIsFramedByItsLengthInBytes) {
  const std::string one = *frame(record(12), core::ForwardFormat::jsonl, "daypass.example");
  const std::size_t space = one.find(' ');
  const std::string message = one.substr(space + 1);
  EXPECT_EQ(one.substr(0, space), std::to_string(message.size()));
  EXPECT_THAT(message, StartsWith("<110>1 2023-11-14T22:13:20.123Z daypass.example daypass - grant.opened [meta "
                                  "sequenceId=\"13\"][origin software=\"Daypass\" swVersion=\""));
  EXPECT_TRUE(message.ends_with("] " + record(12)));
  EXPECT_THAT(*frame(record(12, "denied"), core::ForwardFormat::jsonl, "h"), HasSubstr(" <109>1 "));
  EXPECT_THAT(*frame(record(2147483647), core::ForwardFormat::jsonl, "h"), HasSubstr("sequenceId=\"1\""));
  EXPECT_THAT(*frame(record(1, "ok", "an action of öther wörds, " + std::string(50, 'x')), core::ForwardFormat::jsonl,
                     "a host with spaces"),
              HasSubstr(" ahostwithspaces daypass - anactionoftherwrds,xxxxxxxxxxxxx [meta"));
  EXPECT_THAT(*frame(record(1, "ok", "ö"), core::ForwardFormat::jsonl, ""), HasSubstr("Z - daypass - - [meta"));
  EXPECT_THAT(*frame(record(1), core::ForwardFormat::ocsf, "h"), HasSubstr("\"type_uid\":300501"));
  EXPECT_EQ(frame("no record", core::ForwardFormat::jsonl, "h").error().check, "forward.record");
}

TEST(Syslog, GoesWhereItIsSaid) {
  Wire wire;
  const auto driver = make_syslog_driver(wire, "daypass.example");
  core::ForwardSpec spec{.name = "siem",
                         .url = "tls://logs.example:6514",
                         .secrets = {},
                         .authorization = {},
                         .ca_file = "/ca.pem",
                         .allowed_hosts = {"logs.example"}};
  const auto send = [&](std::vector<std::string> records) {
    return (*driver->make(core::TenantId("north"), spec))
        ->deliver({core::TenantId("north"), 7, std::move(records)}, std::chrono::seconds(3));
  };
  ASSERT_TRUE(send({record(7), record(8)}).ok());
  EXPECT_EQ(wire.bytes,
            *frame(record(7), spec.format, "daypass.example") + *frame(record(8), spec.format, "daypass.example"));
  EXPECT_EQ(wire.to.host, "logs.example");
  EXPECT_EQ(wire.to.port, 6514);
  EXPECT_TRUE(wire.to.tls);
  EXPECT_EQ(wire.to.ca_file, "/ca.pem");
  EXPECT_EQ(wire.to.egress.private_hosts, spec.allowed_hosts);
  EXPECT_FALSE(wire.to.egress.allow_loopback || wire.to.egress.allow_loopback_http);
  EXPECT_EQ(wire.to.timeout, std::chrono::seconds(3));
  wire.answer = base::Error{base::Code::unavailable, "net.connect", "refused"};
  EXPECT_EQ(send({record(7)}).error().check, "forward.unreachable");
  spec.url = "tcp://[::1]:601";
  wire.answer = {};
  ASSERT_TRUE(send({record(7)}).ok());
  EXPECT_EQ(wire.to.host, "::1");
  EXPECT_FALSE(wire.to.tls);
  EXPECT_TRUE(wire.to.egress.allow_loopback_http);
  for (const char* url :
       {"https://x/", "tls://host", "tls://:6514", "tls://host:0", "tls://host:65536", "tls://host:1x"}) {
    spec.url = url;
    EXPECT_EQ(driver->validate(spec).error().check, "forward.url") << url;
  }
}

}  // namespace
}  // namespace daypass::forward::syslog

#include "forward/webhook/webhook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "core/audit.h"

namespace daypass::forward::webhook {
namespace {

using base::Secret;
using testing::HasSubstr;
namespace json = base::json;

struct Clock final : base::Clock {
  [[nodiscard]] base::WallTime wall() const override { return now; }
  [[nodiscard]] base::MonoTime mono() const override { return {}; }
  base::WallTime now{base::Millis(1'700'000'000'999)};
};

struct Wire final : net::HttpFetcher {
  base::Result<net::HttpReply> reply = net::HttpReply{204, {}, ""};
  std::string method, url, body, authorization, ca_file;
  std::map<std::string, std::string> headers;
  net::EgressPolicy egress;
  base::Millis timeout{};
  base::Result<net::HttpReply> fetch(const net::HttpFetch& request) override {
    method = request.method;
    url = request.url;
    body = request.body;
    authorization = std::string(request.authorization.reveal());
    ca_file = request.ca_file;
    egress = request.egress;
    timeout = request.timeout;
    headers.clear();
    for (const auto& [name, value] : request.headers) headers.emplace(name, value);
    return reply;
  }
};

std::string record(std::uint64_t seq, const std::string& outcome = "ok") {
  core::AuditEvent event;
  event.seq = seq;
  event.at = base::WallTime(base::Millis(1'700'000'000'000));
  event.tenant = core::TenantId("north");
  event.actor = "corp/ann";
  event.action = "grant.opened";
  event.object = "gr_a";
  event.outcome = outcome;
  return core::canonical(event);
}

const std::string first_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                  second_secret = "thirty-two bytes are long enough";

class Webhooks : public testing::Test {
 protected:
  Clock clock;
  Wire wire;
  core::ForwardSpec spec{.name = "siem",
                         .url = "https://siem.example/hook?k=1",
                         .secrets = {"tenant:first", "tenant:second"},
                         .authorization = {},
                         .ca_file = "/ca.pem",
                         .allowed_hosts = {"siem.corp.internal"}};
  std::map<std::string, std::string> secrets{
      {"tenant:first", first_secret + "\n"}, {"tenant:second", second_secret}, {"tenant:token", "t0k3n\n"}};
  std::unique_ptr<Driver> driver = make_webhook_driver(
      clock, wire, [this](const core::TenantId& t, const core::SecretRef& r) -> base::Result<Secret> {
        EXPECT_EQ(t.str(), "north");
        const auto it = secrets.find(r.ref);
        if (it == secrets.end()) return base::Error{base::Code::not_found, "secret.unknown", "there is none"};
        return Secret(it->second);
      });
  base::Status deliver(const std::vector<std::string>& records, std::uint64_t first = 7) {
    auto receiver = driver->make(core::TenantId("north"), spec);
    if (!receiver.ok()) return receiver.error();
    return (*receiver)->deliver({core::TenantId("north"), first, records}, std::chrono::seconds(10));
  }
};

// The example of the specification's own libraries.
TEST_F(Webhooks, SignsAsStandardWebhooksDoes) {
  EXPECT_EQ(*signature(Secret(first_secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", R"({"test": 2432232314})"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  EXPECT_EQ(signature(Secret("short"), "a", "1", "").error().check, "forward.secret");
  EXPECT_EQ(signature(Secret("whsec_not base64 at all, is it?"), "a", "1", "").error().check, "forward.secret");
  EXPECT_EQ(signature(Secret("whsec_AAAA"), "a", "1", "").error().check, "forward.secret");
}

TEST_F(Webhooks, SendsLinesThatTheReceiverCanVerify) {
  ASSERT_TRUE(deliver({record(7), record(8)}).ok());
  EXPECT_EQ(wire.method, "POST");
  EXPECT_EQ(wire.url, spec.url);
  EXPECT_EQ(wire.body, record(7) + "\n" + record(8) + "\n");
  EXPECT_EQ(wire.headers["content-type"], "application/x-ndjson");
  EXPECT_EQ(wire.headers["webhook-timestamp"], "1700000000");
  const std::string id = wire.headers["webhook-id"];
  EXPECT_EQ(wire.headers["webhook-signature"], *signature(Secret(first_secret), id, "1700000000", wire.body) + " " +
                                                   *signature(Secret(second_secret), id, "1700000000", wire.body));
  EXPECT_EQ(wire.ca_file, "/ca.pem");
  EXPECT_EQ(wire.timeout, std::chrono::seconds(10));
  EXPECT_EQ(wire.egress.private_hosts, spec.allowed_hosts);
  EXPECT_FALSE(wire.egress.allow_loopback || wire.egress.allow_loopback_http);
  EXPECT_TRUE(wire.authorization.empty());
  // The same records have the same id, whenever they are sent again, others another.
  clock.now += std::chrono::hours(1);
  ASSERT_TRUE(deliver({record(7), record(8)}).ok());
  EXPECT_EQ(wire.headers["webhook-id"], id);
  ASSERT_TRUE(deliver({record(7), record(8), record(9)}).ok());
  EXPECT_NE(wire.headers["webhook-id"], id);
  EXPECT_EQ(id.find('.'), std::string::npos) << "a dot would be read as the end of the id";
}

TEST_F(Webhooks, WritesOcsfWhereItIsAskedFor) {
  spec.format = core::ForwardFormat::ocsf;
  ASSERT_TRUE(deliver({record(7)}).ok());
  const auto event = json::parse(std::string_view(wire.body).substr(0, wire.body.size() - 1));
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->int_or("type_uid", 0), 300501);
  EXPECT_EQ(event->string_or("raw_data"), record(7));
}

TEST_F(Webhooks, ReachesLoopbackOnlyWhereItsOwnAddressIsThere) {
  spec.url = "http://127.0.0.1:9999/";
  ASSERT_TRUE(deliver({record(7)}).ok());
  EXPECT_TRUE(wire.egress.allow_loopback_http);
  spec.url = "https://[::1]:9999/";
  ASSERT_TRUE(deliver({record(7)}).ok());
  EXPECT_TRUE(wire.egress.allow_loopback);
  EXPECT_FALSE(wire.egress.allow_loopback_http);
  for (const char* url : {"https://127.0.0.1.example/", "https://example/127.0.0.1", "https://1.127.0.0/"}) {
    spec.url = url;
    ASSERT_TRUE(deliver({record(7)}).ok());
    EXPECT_FALSE(wire.egress.allow_loopback || wire.egress.allow_loopback_http) << url;
  }
}

TEST_F(Webhooks, SaysWhoItIs) {
  spec.authorization.ref = "tenant:token";
  ASSERT_TRUE(deliver({record(7)}).ok());
  EXPECT_EQ(wire.authorization, "Bearer t0k3n");
  secrets["tenant:token"] = "Splunk t0k3n";
  ASSERT_TRUE(deliver({record(7)}).ok());
  EXPECT_EQ(wire.authorization, "Splunk t0k3n");
}

TEST_F(Webhooks, AnythingButSuccessIsNotTaken) {
  for (const int status : {301, 400, 401, 410, 429, 500, 503}) {
    wire.reply = net::HttpReply{status, {}, "their words"};
    const auto refused = deliver({record(7)});
    ASSERT_FALSE(refused.ok()) << status;
    EXPECT_EQ(refused.error().check, "forward.refused");
    EXPECT_THAT(refused.error().message, HasSubstr(std::to_string(status)));
    EXPECT_THAT(refused.error().message, Not(HasSubstr("their words")));
  }
  wire.reply = base::Error{base::Code::timeout, "http.timeout", "no answer"};
  EXPECT_EQ(deliver({record(7)}).error().check, "forward.unreachable");
  EXPECT_EQ(deliver({record(7)}).error().code, base::Code::timeout);
  wire.reply = net::HttpReply{200, {}, ""};
  secrets.erase("tenant:second");
  wire.url.clear();
  EXPECT_EQ(deliver({record(7)}).error().check, "forward.secret");
  EXPECT_TRUE(wire.url.empty()) << "nothing leaves unsigned";
  spec.format = core::ForwardFormat::ocsf;
  EXPECT_EQ(deliver({"no record"}).error().check, "forward.record");
  spec.secrets.clear();
  EXPECT_EQ(driver->validate(spec).error().check, "forward.secret");
}

}  // namespace
}  // namespace daypass::forward::webhook

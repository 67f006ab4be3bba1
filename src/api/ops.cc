// Health, metrics, version: for machines that watch.
#include "api/api.h"

namespace daypass::api {

namespace json = base::json;

awaitable<HttpResponse> Api::livez(Call) {
  co_return HttpResponse::text(200, "ok\n");
}

awaitable<HttpResponse> Api::readyz(Call call) {
  const engine::Health h = engine_.health();
  if (!call.request.query_one("verbose").ok() || call.request.query.empty())
    co_return HttpResponse::text(h.ready ? 200 : 503, h.ready ? "ok\n" : h.why + "\n");
  co_return HttpResponse::json(h.ready ? 200 : 503, json::Object{{"ready", h.ready},
                                                                 {"why", h.why},
                                                                 {"store", h.store_ok && !h.store.lost},
                                                                 {"clock", h.clock_ok},
                                                                 {"space", !h.store.low},
                                                                 {"free_bytes", h.store.free},
                                                                 {"reserved_bytes", h.store.reserved}});
}

awaitable<HttpResponse> Api::version(Call) {
  co_return HttpResponse::json(200, json::Object{{"version", DAYPASS_VERSION}});
}

namespace {

void metric(std::string& out, std::string_view name, std::string_view type, std::string_view help,
            std::string_view labels, double value) {
  if (!help.empty()) {
    out += "# HELP " + std::string(name) + " " + std::string(help) + "\n# TYPE " + std::string(name) + " " +
           std::string(type) + "\n";
  }
  out += std::string(name) + std::string(labels) + " " + json::dump(json::Value(value)) + "\n";
}

}  // namespace

awaitable<HttpResponse> Api::metrics(Call) {
  const engine::Metrics& m = engine_.metrics();
  const auto d = [](const auto& atomic) { return static_cast<double>(atomic.load(std::memory_order_relaxed)); };
  std::string out;
  metric(out, "daypass_build_info", "gauge", "Constant 1, labelled with the version.",
         "{version=\"" DAYPASS_VERSION "\"}", 1);
  metric(out, "daypass_grants_active", "gauge", "Grants that give access now.", "", d(m.grants_active));
  metric(out, "daypass_grants_in_memory", "gauge",
         "Grants that are not closed and in memory; the others lie in the store since the start.", "",
         d(m.grants_in_memory));
  metric(out, "daypass_grants_revoking", "gauge", "Ended grants whose account is not yet proven gone.", "",
         d(m.grants_revoking));
  metric(out, "daypass_revocations_overdue", "gauge", "Revocations not proven for 30 seconds. Alert when above 0.", "",
         d(m.revocations_overdue));
  metric(out, "daypass_orphans_detected_total", "counter",
         "Accounts found on targets that the store never heard of. Alert when it grows.", "", d(m.orphans_detected));
  metric(out, "daypass_frozen", "gauge", "1 while access is frozen for all tenants.", "", engine_.frozen() ? 1 : 0);
  metric(out, "daypass_tenants_frozen", "gauge", "Tenants whose access is frozen by itself.", "",
         static_cast<double>(engine_.tenants_frozen()));
  const store::Condition room = engine_.health().store;
  metric(out, "daypass_store_lost", "gauge",
         "1 when a file of the store was removed, replaced or cut short under the server. Alert when above 0.", "",
         room.lost ? 1 : 0);
  metric(out, "daypass_store_low", "gauge",
         "1 while there is too little room for the store: nothing new is given. Alert when above 0.", "",
         room.low ? 1 : 0);
  metric(out, "daypass_store_free_bytes", "gauge", "Bytes left on the store's file system.", "",
         static_cast<double>(room.free));
  metric(out, "daypass_store_reserved_bytes", "gauge", "Bytes kept there for the end of access.", "",
         static_cast<double>(room.reserved));
  metric(out, "daypass_connections", "gauge", "Client connections at the gates.", "", d(m.connections));
  metric(out, "daypass_login_sessions", "gauge", "Live login sessions.", "", d(m.sessions));
  metric(out, "daypass_idp_login_total", "counter", "Sign-ins at identity providers.", "{result=\"ok\"}",
         d(m.logins_ok));
  metric(out, "daypass_idp_login_total", "counter", "", "{result=\"failed\"}", d(m.logins_failed));
  metric(out, "daypass_login_sessions_stale", "gauge",
         "Login sessions whose identity provider can't be asked: they get nothing new.", "", d(m.sessions_stale));
  metric(out, "daypass_idp_revalidation_total", "counter", "Identity providers asked after a login session.",
         "{result=\"ok\"}", d(m.revalidations_ok));
  metric(out, "daypass_idp_revalidation_total", "counter", "", "{result=\"over\"}", d(m.revalidations_over));
  metric(out, "daypass_idp_revalidation_total", "counter", "", "{result=\"failed\"}", d(m.revalidations_failed));
  metric(out, "daypass_scim_changes_total", "counter", "Users and groups that providers made, changed or deleted.", "",
         d(m.scim_changes));
  metric(out, "daypass_scim_users_ended_total", "counter", "Users that providers deactivated or deleted.", "",
         d(m.scim_users_ended));
  metric(out, "daypass_grants_opened_total", "counter", "Grants opened.", "", d(m.grants_opened));
  metric(out, "daypass_denials_total", "counter", "Requests that policy refused.", "", d(m.denials));
  metric(out, "daypass_revocations_total", "counter", "Grants ended.", "", d(m.revocations));
  out +=
      "# HELP daypass_revocation_latency_seconds From the end of a grant to the proof that its account is gone.\n# "
      "TYPE daypass_revocation_latency_seconds histogram\n";
  constexpr std::string_view bounds[] = {"0.01", "0.05", "0.1", "0.5", "1", "5", "30", "+Inf"};
  double sum = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    sum += d(m.revocation_buckets[i]);
    metric(out, "daypass_revocation_latency_seconds_bucket", "", "", "{le=\"" + std::string(bounds[i]) + "\"}", sum);
  }
  metric(out, "daypass_revocation_latency_seconds_sum", "", "", "", d(m.revocation_us_sum) / 1e6);
  metric(out, "daypass_revocation_latency_seconds_count", "", "", "", sum);
  out +=
      "# HELP daypass_audit_append_seconds Time of the transactions that hold audit records.\n# TYPE "
      "daypass_audit_append_seconds summary\n";
  metric(out, "daypass_audit_append_seconds_sum", "", "", "", d(m.audit_us_sum) / 1e6);
  metric(out, "daypass_audit_append_seconds_count", "", "", "", d(m.turns));
  metric(out, "daypass_audit_checkpoints_total", "counter", "Checkpoints of audit logs signed.", "", d(m.checkpoints));
  metric(out, "daypass_audit_checkpoint_failures_total", "counter",
         "Audit logs that could not be read back and signed. Alert when it grows.", "", d(m.checkpoint_failures));
  metric(out, "daypass_audit_forwarded_total", "counter", "Audit records that receivers have taken.", "",
         d(m.forwarded));
  metric(out, "daypass_audit_forward_failures_total", "counter",
         "Attempts that a receiver of audit records did not take.", "", d(m.forward_failures));
  metric(out, "daypass_audit_forwards_failing", "gauge",
         "Receivers of audit records that took none the last time. Alert when it stays above 0.", "",
         d(m.forwards_failing));
  metric(out, "daypass_audit_forward_lag_records", "gauge", "The most audit records that one receiver lacks.", "",
         d(m.forward_lag));
  const double behind = d(m.forward_behind_since);
  const double now = static_cast<double>(clock_.wall().time_since_epoch().count());
  metric(out, "daypass_audit_forward_lag_seconds", "gauge",
         "Age of the oldest audit record that a receiver lacks. Alert when above 15 minutes.", "",
         behind == 0 ? 0 : std::max(0.0, now - behind) / 1000);
  auto response = HttpResponse::text(200, std::move(out));
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  co_return response;
}

awaitable<HttpResponse> Api::openapi_document(Call) {
  co_return HttpResponse::json(200, openapi());
}

}  // namespace daypass::api

// The few pages that people see while they sign in: plain HTML, no script, one style sheet in a hash-allowed block.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/engine.h"
#include "net/http.h"

namespace daypass::api {

net::HttpResponse page(int status, std::string_view title, std::string_view body);
/// A page whose form goes on to `url` by itself, with a button for browsers without scripts.
net::HttpResponse posting_page(std::string_view title, std::string_view sentence, const std::string& url,
                               const std::vector<std::pair<std::string, std::string>>& fields);
/// One link per identity provider; keeps the request's other parameters. What is typed there suggests a provider, when
/// it is a domain that the tenant has proven to be its own, and nothing else changes anything.
std::string chooser_body(const engine::Tenant& tenant, const net::HttpRequest& request,
                         const std::optional<std::string>& suggested);
std::string device_body(const engine::Tenant* tenant, std::string_view user_code);
/// Whether a sign-in that began at the provider is wanted; the form holds the code of the device to be signed in.
std::string confirm_body(const engine::LoginFinished& who, std::string_view provider, std::string_view tenant,
                         const std::string& action);
/// The check that failed, in words an administrator can act on, and the request id.
std::string failure_body(const base::Error& error, std::string_view request_id);

}  // namespace daypass::api

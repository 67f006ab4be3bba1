// The few pages that people see while they sign in: plain HTML, no script, one style sheet in a hash-allowed block.
#pragma once

#include <string>
#include <string_view>

#include "engine/world.h"
#include "net/http.h"

namespace daypass::api {

net::HttpResponse page(int status, std::string_view title, std::string_view body);
/// One link per identity provider; keeps the request's other parameters.
/// A page whose form goes on to `url` by itself, with a button for browsers without scripts.
net::HttpResponse posting_page(std::string_view title, std::string_view sentence, const std::string& url,
                               const std::vector<std::pair<std::string, std::string>>& fields);
std::string chooser_body(const engine::Tenant& tenant, const net::HttpRequest& request);
std::string device_body(const engine::Tenant* tenant, std::string_view user_code);
/// The check that failed, in words an administrator can act on, and the request id.
std::string failure_body(const base::Error& error, std::string_view request_id);

}  // namespace daypass::api

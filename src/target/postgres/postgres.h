// The PostgreSQL driver's front door: makes, looks at and removes login roles that live as long as one grant.
// What it sends, in which order and why is in this folder's README.
#pragma once

#include <memory>
#include <string>

#include "base/entropy.h"
#include "base/log.h"
#include "base/time.h"
#include "target/target.h"

namespace daypass::target::postgres {

/// A driver of kind "pg". Keeps the references; they must outlive it and every Target that it makes. Targets may be
/// used from many threads at once, so `entropy` must be safe from any thread. `instance`: short id of this Daypass
/// installation, [a-z0-9]{6}; part of every account's name and mark. Requires that no other live process works with the
/// same `instance`: connections that an earlier process left behind are ended when a Target first connects.
///
/// Target settings (unknown keys are errors, check "target.setting"):
///   host                  name, address, or the folder of a unix socket
///   port                  1 … 65535, default 5432
///   database              where sessions work
///   maintenance_database  where the admin login works; default `database`
///   admin_user            needs CREATEROLE and pg_signal_backend (`daypass target check` says what is missing)
///   broker                "login" (default: the admin login's own rights) or "functions": it has none, and calls what
///                         `daypass target installer` wrote and a DBA installed
///   admin_password        "file:…" or "env:…"; may be left out with admin_cert or a unix socket
///   admin_cert, admin_key PEM files of the admin login's client certificate
///   ca_file               PEM trust anchors; default the system's
///   tls                   "verify" (default: certificate and name are checked) or "loopback" (no TLS; host must be a
///   unix
///                         socket or a loopback address). Nothing turns the check off on a network.
///   gate_cert, gate_key   PEM files of the client certificate that the gate shows the server
/// Role settings:
///   group    the NOLOGIN role whose member the account becomes
///   creates  a NOLOGIN role that inherits tables made by the session; without it whatever a session made is dropped
std::unique_ptr<Driver> make_postgres_driver(const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
                                             SecretSource secrets, std::string instance);

}  // namespace daypass::target::postgres

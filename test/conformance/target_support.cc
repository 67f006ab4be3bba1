// The suite's sources are this folder's files, so the helper that starts PostgreSQL is drawn in here.
#include "support/pg_server.cc"   // NOLINT(bugprone-suspicious-include)
#include "support/tcp_cutter.cc"  // NOLINT(bugprone-suspicious-include)

// The private PostgreSQL that this room's tests connect through the gate to.
#include "test/support/pg_server.cc"

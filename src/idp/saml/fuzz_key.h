// For fuzzers alone: one key for ever, so that a corpus of signed messages stays worth something. It protects nothing.
#pragma once

namespace daypass::idp::saml::testing {

inline constexpr char fuzz_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgK99w+H6OtBr5ds9/\n"
    "OJkSkr60pCHy5uYTzHxqjQdycuihRANCAATd4nYj4tVR+lJ/SsoucR4SZohqTgsz\n"
    "PG1M9JQdHKdo78GHI1ZhtRntO2qvWKlKBk4TyX3tY9XkudtJYdUwqCP2\n"
    "-----END PRIVATE KEY-----\n"
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBczCCARmgAwIBAgIUV9fCArCvEiBm+CDHOPg6wodg/4EwCgYIKoZIzj0EAwIw\n"
    "DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjkwOTMyNDRaFw0zNjExMjYwOTMyNDRa\n"
    "MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATd4nYj\n"
    "4tVR+lJ/SsoucR4SZohqTgszPG1M9JQdHKdo78GHI1ZhtRntO2qvWKlKBk4TyX3t\n"
    "Y9XkudtJYdUwqCP2o1MwUTAdBgNVHQ4EFgQUkptqCDI5JFf7uSx3uWS/LQthjvsw\n"
    "HwYDVR0jBBgwFoAUkptqCDI5JFf7uSx3uWS/LQthjvswDwYDVR0TAQH/BAUwAwEB\n"
    "/zAKBggqhkjOPQQDAgNIADBFAiBr4RanKYfWXcMAiWaYfUH7et3OWLUGfvDOcEDR\n"
    "eBMj1wIhAK4xYICB6+mvzg7BI20efnzuCNseN55Hro1TxagV/qad\n"
    "-----END CERTIFICATE-----\n";

}  // namespace daypass::idp::saml::testing

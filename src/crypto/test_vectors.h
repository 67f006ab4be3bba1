// Tokens and keys that others made: the examples of RFCs, and signatures by another implementation (pyca/cryptography).
// Data for tests only.
#pragma once

#include <string_view>

namespace daypass::crypto::testing {

/// RFC 7515 appendix A.1.1, decoded.
constexpr std::string_view rfc7515_payload =
    "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

/// RFC 7515 appendix A.1: HS256.
constexpr std::string_view rfc7515_a1_hs256 =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9"
    "leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// RFC 7515 appendix A.2: the modulus; e is AQAB.
constexpr std::string_view rfc7515_a2_n =
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
    "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
    "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
    "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

/// RFC 7515 appendix A.2: RS256.
constexpr std::string_view rfc7515_a2_rs256 =
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19"
    "yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt"
    "_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
    "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI"
    "8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/// RFC 7515 appendix A.3: the key.
constexpr std::string_view rfc7515_a3_x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
constexpr std::string_view rfc7515_a3_y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

/// RFC 7515 appendix A.3: ES256.
constexpr std::string_view rfc7515_a3_es256 =
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19"
    "yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU"
    "1Q";

/// RFC 7515 appendix A.5: no signature at all.
constexpr std::string_view rfc7515_a5_none =
    "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19y"
    "b290Ijp0cnVlfQ.";

/// RFC 8037 appendix A.4: EdDSA.
constexpr std::string_view rfc8037_a4_eddsa =
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6"
    "dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
constexpr std::string_view rfc8037_x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
constexpr std::string_view rfc8037_d = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

/// An RSA-2048 key of another implementation, kid r, e AQAB; the tokens below were made with it.
constexpr std::string_view other_rsa_n =
    "roSUTY2qcg5zNynNemKKSNqnZQtJehzqP5TswtHdRgeirbgjGVNKhn6_0Hyd9JOcgSi6z81yKYA-PZFj_aW5g22top2xlFDcMbqz"
    "mR7WCSxFZTW49PknE88a_MbhCROXwsydW-f6eaHnvb9WH9t5FXOeIeh78ommldqqA9DPQyk1o1adFOA3UlMsMNzgH4LtA0ofSqz2"
    "R-_YyCldaZr0SZ7Si5g_nrnW2b6P9oCgxtJ1MGSvM4lxwzlfu8LoWjdmxaWJXkpFJc-zy2vXOHKmYZIveIbHbR4fMIu0SObEXkn3"
    "lC5jSbbtxSupvv9WNZc6kzgeNTWeGzfPxKMfTT4K7w";

/// PS256 as RFC 7518 has it.
constexpr std::string_view other_ps256 =
    "eyJhbGciOiJQUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhIn0.TOjcTcR99pDCFVKgdtcRXBvPuSlm9H9uzWyHNFgJ9x7_H6kv2"
    "54SqqFMPvCrTQbEhrkjWOnNs8Br0FZ4hvah1aYyraBCuPyj83YHZaYaqq3V4wNCf1cTXKCXE9t-vvFMvUyRvaTabg6vaqlcttUiU"
    "lXJyt_m1sFqDcS3HKZgRYe6lRdb5yJSPu7_PxSJYFsNIUdzGNGIowLAU1M5JJJCsZyh9Dl9FvQ0vyAaw1pssZIGV6kf1J1Uxi0Wl"
    "S0tXd6BLZtXn4srkDbbVAGsl9Mhev1wBPqYzOKaZWX_um_3WymrocSKPJUjxDpaUBm9o7eOSF8JNd7PPRMUBOUcB7XJVQ";

/// As PS256, but with a salt of 20 octets.
constexpr std::string_view other_ps256_salt20 =
    "eyJhbGciOiJQUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhIn0.SJArd5zK1MpTSdvRaXzeIzXlEpbk4ic54xDNKdTexD3_L_lHe"
    "PaRNycdbcwqC-eQenfPPz4Z6XLQYQJ8XfUgRVwLOyNznQk9VHMRpOcNnDwsbO7_wwKJUY-PT4L8Nq0j39RViCI9akc1ll9QyTOpL"
    "tO2FWaRhCQpJHIRJVPPlC_OBq8C_mA6P0Z0wxo54AJQ_WBByR-iwx-tBxdfmLqiRor5gysA-dZZIiztlbJOT0EFSf_EwwgZshsuK"
    "DMKc1QuxI8AMETvX8P9HGr8Pd72-Y4UtULOy1dqiFVOxK-DRzu5cOp1b2PcpwnTpKeDYCwMtTb4x0WLgemtYzdIHI2bag";

/// As PS256, but with the longest salt that fits.
constexpr std::string_view other_ps256_salt_max =
    "eyJhbGciOiJQUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhIn0.eKX5_kUHL0TJShkYnxl_bkSd30_UCtHTYHG6jCz37--V0B06w"
    "qPyUzwy3mPqZJgTBW-DkvD5MAl4ZWlT9mhjrhbTEANgP9lcIp74l78V1XPKpFgytOUPbMm1geSQLrJmrpucMyb1Tu91eFV3L1oH9"
    "jZOOF6I5KPixCy55w1Nrx7xdZfoRbF6ly8lohh5rFBLtJnoosn0uRwwVSgMbASZx3AXhMdE7RcOz-ZHx0gkP9fp-mcY09rsTCT3k"
    "CHwzGeiE9ptE-VAjuJOwMQbpHKRLKU4t758-TmvKap18q3dGNaVPm6sb8PdU_cFxHQYviWrCwyFUgHvGIfguhJDD0aTXg";

/// As PS256, but with SHA-1 in the mask generation function.
constexpr std::string_view other_ps256_mgf1_sha1 =
    "eyJhbGciOiJQUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhIn0.STG6SvE0B5Ik5QoKKY_qFXNkoYsBNfwqVTBZAV0DQrw6Gpfpv"
    "dfor5VE0THmfLFoqVw016DTUJIO47TkIS5T8-VRKJ7Kq-wmbOFYZNo19RNKikZTIYYcllUoOcdBrdX8xR3SrhWeVgixaEXswXev6"
    "S0quTCN6kZYRWwV1gr6zs_LqRituABEghkvwMVlDzr9NQoT0XjwWe2xvGJ_pWT0cI1iEMIyejh65F9RCskuQHcvVasNvQ1g91eeO"
    "I-yYN6ZfPxZQef0B5PiBsP2V9L_-AO1iW50CHOiVA0iLXpXYztY87qrY6O7Y1Ek1A92wTpucTO8Y3GZTpMha8i-0nn1-g";

/// Says RS256, but the hash that was signed is SHA-384.
constexpr std::string_view other_rs256_sha384 =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhIn0.q0lBHteQBvHaBF4pvd_mj0mOWhrOJcWo6nNoGD2IwHyVnIU55"
    "IC-g6pwaW-1YTNy97MPQrWSFPRuNPUTC-giu8hqvRpprOg1ra-TtcH3KxlBgxY2Fq00JTiahZmdpemlGCfITFWlxin__kDLJfUkA"
    "3_BRoev5BaWxMXTJZPEotbVVmPDyEVLCH3JKH6WTnnRbUkja132UCyy8SsgviRLlyV8rrqmoyyAyXgU3A5oa1Z1x_ddqWCVZ26x3"
    "jcfYfvN-53TlPUxPD8d0tCg0BJUxn_Oab_uHj4n14JEqyp1qYUJ3AXPUMMDNrZlyNIIgArgyhpSb4k1TIew3jMcVMdkCQ";

/// A P-384 key of another implementation, kid e, and its ES384.
constexpr std::string_view other_p384_x = "keo70UVXMbJEHa9L9zkusfXPRrFMI6OYd0ViZY0hj7p8Bgiv_RQAcPgQKAidO3K6";
constexpr std::string_view other_p384_y = "1KNUZgK2q0UUjotwkoCnk-yOoFnMpZrH-W7IeuklNioQ3l9OMPKpMS5kOgNpcPwe";
constexpr std::string_view other_es384 =
    "eyJhbGciOiJFUzM4NCIsImtpZCI6ImUifQ.eyJzdWIiOiJhIn0.bPmXa_UZ-I_zLqAx7cK_99coAYFYxOj2T9_ZG5qLOFDb74rN4"
    "GJMbfK3l9A9OqdI-SFiPwlHbotqxx_ixmAIzJSP1Qd_N6c1DFeUA8h5AyDdXNMg_qHDhcDJGUTYvlQG";

}  // namespace daypass::crypto::testing

/*
** sign.h: signatures of JSON Web Tokens (RFC 7518 §3), as a prototype: tls/sign.c answers with OpenSSL.
*/
#ifndef LM_BASE_SIGN_H
#define LM_BASE_SIGN_H

#include "base/buf.h"

enum lm_signature {
  LM_RS256, /* RSASSA-PKCS1-v1_5 with SHA-256 */
  LM_ES256  /* ECDSA on P-256 with SHA-256: R and S, 32 octets each */
};

/* Signs `text` with the private key in `pem` (no password); the signature is appended to `out`. Returns
** NULL, or why not, in words that hold nothing of the key. */
const char *lm_sign(enum lm_signature kind, struct lm_str pem, struct lm_str text,
                    struct lm_buf *out);

#endif

/*
** engine.h: what the files of this folder share; nobody outside includes it.
**
** The filter copies the context's policy (some 350 bytes), so that it needs nothing of the context
** but OpenSSL's own SSL_CTX, which counts its users by itself.
*/
#ifndef LM_TLS_ENGINE_H
#define LM_TLS_ENGINE_H

#include "tls/tls.h"

#include <openssl/ssl.h>

enum { LM_TLS_DIGEST = 32 };

/* What a filter must know of its context. */
struct lm_tls_policy {
  bool server;
  bool verify;
  uint8_t pins_n;
  uint8_t alpn_n;
  unsigned char alpn[LM_TLS_ALPN_MAX]; /* as on the wire: length, name, length, name … */
  unsigned char pins[LM_TLS_PINS][LM_TLS_DIGEST];
  unsigned char mark[LM_TLS_DIGEST]; /* digest of all options: sessions do not cross contexts */
};

struct lm_tls_context {
  SSL_CTX *ctx;
  BIO *trust;               /* trusted certificates that are still to be read, or NULL */
  struct lm_buf trust_name; /* their file, for the words of a refusal; empty: text */
  size_t trusted;           /* how many were read */
  bool trust_default;       /* they are the system's */
  bool refused;
  struct lm_tls_policy policy;
};

enum lm_tls_stage {
  LM_TLS_HANDSHAKE,
  LM_TLS_OPEN,
  LM_TLS_ENDED,  /* the peer has said close_notify, or the transport ended; we may still write */
  LM_TLS_BROKEN, /* a fatal error behind input that the session has not seen yet */
  LM_TLS_FAILED
};

struct lm_tls {
  struct lm_filter filter; /* first: the filter is the handle */
  SSL *ssl;
  BIO_METHOD *method; /* must outlive the SSL */
  enum lm_tls_stage stage;
  enum lm_code code; /* of the failure */
  bool closing;      /* close_notify is due once the inner output is empty */
  bool closed;       /* ... and was written */
  bool named;        /* `why` has been written by the verification already */
  struct lm_buf why;
  struct lm_tls_policy policy;
};

static inline struct lm_tls *lm_tls_of(struct lm_filter *f) {
  return (struct lm_tls *)f;
}

static inline const struct lm_tls *lm_tls_peek(const struct lm_filter *f) {
  return (const struct lm_tls *)f;
}

/* bio.c: a BIO that reads from the filter's outer input and appends to its outer output; owned by
** the SSL afterwards. False: memory. */
bool lm_tls_attach(struct lm_tls *t);

enum {
  /* ciphertext made ahead of the transport: each write wakes the peer, so few large ones are better */
  LM_TLS_OUTPUT_MAX = 262144,
  /* beyond this much of it nothing more is read: a peer that asks for answers and reads none (KeyUpdate
  ** floods) cannot grow our memory */
  LM_TLS_OUTPUT_STOP = LM_TLS_OUTPUT_MAX + 65536
};

/* verify.c */

/* For SSL_CTX_set_cert_verify_callback: chain and host by OpenSSL, then the pins. */
int lm_tls_verify(X509_STORE_CTX *store, void *unused);

/* Sets the name that the certificate must have, and SNI. False: memory, or no name. */
bool lm_tls_expect(SSL *ssl, const struct lm_tls_policy *p, struct lm_str name);

/* What has to hold once the handshake is done, resumed ones included. */
bool lm_tls_accept(struct lm_tls *t);

/* words.c */

/* Appends text that may come from the peer: what is not printable ASCII becomes '?'. */
void lm_tls_say(struct lm_buf *b, const char *text, size_t n);
void lm_tls_says(struct lm_buf *b, const char *text);

/* True where a key or a certificate is in PEM (RFC 7468), not in DER. */
bool lm_tls_is_pem(struct lm_str text);

/* Appends the reason of OpenSSL's oldest error and empties its queue; LM_E_MEMORY if that was it,
** else LM_E_TLS. */
enum lm_code lm_tls_say_error(struct lm_buf *b);

#endif

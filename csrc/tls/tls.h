/*
** tls.h: TLS between a session's wire and the transport, as a filter (base/link.h).
**
** No I/O happens here: ciphertext comes from the filter's outer wire and goes there. A context
** (certificates, trust, policy) is made once and serves any number of filters, client or server.
** The invariant: nothing of the inner wire's output is encrypted, and nothing is handed inward,
** before the handshake is done and chain, host name, pins and ALPN have all been accepted
** (RFC 8446, RFC 5246; RFC 9525 for names; RFC 7817 for mail).
** Not here: IDN to A-label (the caller's), the cache of sessions (the caller's).
*/
#ifndef LM_TLS_TLS_H
#define LM_TLS_TLS_H

#include "base/link.h"

enum {
  LM_TLS_PINS = 8,     /* pins of one context */
  LM_TLS_ALPN_MAX = 64 /* bytes of an ALPN list on the wire */
};

/* Where a value is "a file or PEM", text that holds "-----BEGIN " is taken for PEM. */
struct lm_tls_options {
  bool server;               /* the role; a client otherwise */
  bool verify;               /* client: check chain and host name. Server: demand a certificate */
  struct lm_str ca_file;     /* trusted certificates, a file or PEM */
  struct lm_str ca_path;     /* a folder of them, hashed; neither: the system's own */
  struct lm_str cert;        /* own certificate and the chain behind it, a file or PEM */
  struct lm_str key;         /* its private key, a file or PEM; empty: it stands in `cert` */
  struct lm_str min_version; /* "1.0" to "1.3"; empty: "1.2", or the system's policy if higher */
  struct lm_str ciphers;     /* OpenSSL's names; those that begin with TLS_ are for TLS 1.3 */
  struct lm_str alpn;        /* protocol names parted by a space; a server refuses all others */
  const struct lm_str *pins; /* base64 of SHA-256 over the leaf, or its SubjectPublicKeyInfo */
  size_t pins_n;
  bool in_steps; /* trusted certificates are read by lm_tls_context_step */
};

struct lm_tls_context;

/* A context, or NULL with the reason appended to `why` (empty: memory). Files are read now; an
** encrypted key is refused, nobody is asked for a password. Below 1.2 OpenSSL's security level
** falls to 0, as it must. */
struct lm_tls_context *lm_tls_context_new(const struct lm_tls_options *o, struct lm_buf *why);

enum lm_tls_step {
  LM_TLS_MORE,   /* step again */
  LM_TLS_READY,  /* the context can be used */
  LM_TLS_REFUSED /* it never can: the reason was appended to `why` */
};

/* Reads one trusted certificate of a context made with `in_steps`: a system has some 150 of them, at a
** quarter of a millisecond each. */
enum lm_tls_step lm_tls_context_step(struct lm_tls_context *c, struct lm_buf *why);

/* Filters made from it live on. NULL is fine. */
void lm_tls_context_free(struct lm_tls_context *c);

/* What a connection can be resumed with (RFC 5077, RFC 8446 §2.2): holds key material. */
struct lm_tls_session;

/* NULL is fine. */
void lm_tls_session_free(struct lm_tls_session *s);

/* True for what can be a server's name: a host name in ASCII, or an IP address. */
bool lm_tls_name_ok(struct lm_str name);

/* A filter, or NULL with static words in *refusal_out. The caller's, until lm_link_insert takes it.
** `name`: whom a client expects at the other end (SNI, and the certificate's name or address);
** may be empty for a server or where nothing is verified. `resume`: offered to the server if it
** comes from a connection under the same context options and name, else ignored; stays the
** caller's; may be NULL. */
struct lm_filter *lm_tls_new(const struct lm_tls_context *c, struct lm_str name,
                             struct lm_tls_session *resume, const char **refusal_out);

/* The TLS filter of a link, the outermost if there are two; NULL where there is none. */
struct lm_filter *lm_tls_find(const struct lm_link *l);

/* True once the handshake is done and everything has been accepted. */
bool lm_tls_is_open(const struct lm_filter *f);

/* Why it failed, in readable words; empty while it has not. Valid as long as the filter. A fatal
** alert for the peer may still wait in the outer wire. */
struct lm_str lm_tls_why(const struct lm_filter *f);

/* Queues close_notify behind what the inner wire has to send; nothing is encrypted after it. */
void lm_tls_close(struct lm_filter *f);

struct lm_tls_info {
  const char *version; /* "TLSv1.3" */
  const char *cipher;  /* OpenSSL's name */
  struct lm_str alpn;  /* what was agreed on, or empty */
  bool resumed;
};

/* Facts of an open connection; false before. Valid as long as the filter. */
bool lm_tls_info(const struct lm_filter *f, struct lm_tls_info *info_out);

/* Appends the peer's certificate in PEM; nothing where it showed none. False: memory. */
bool lm_tls_peer_pem(const struct lm_filter *f, struct lm_buf *out);

/* The newest session of an open client connection that can be resumed, or NULL; the caller's. In
** TLS 1.3 tickets come after the handshake: ask late, at the latest before the close. */
struct lm_tls_session *lm_tls_session(const struct lm_filter *f);

enum { LM_TLS_BINDING_MAX = 64 };

/* Channel bindings for SASL: tls-exporter (RFC 9266; TLS 1.2 needs the extended master secret) and
** tls-server-end-point (RFC 5929 §4). Bytes are written to `out` (LM_TLS_BINDING_MAX); the number
** of them, or 0 where the connection has no such binding. */
size_t lm_tls_exporter(const struct lm_filter *f, unsigned char *out);
size_t lm_tls_server_end_point(const struct lm_filter *f, unsigned char *out);

#endif

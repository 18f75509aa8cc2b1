/*
** gss.h: a security context of the GSS-API (RFC 2743) as a table of functions: csrc/gss answers with
** Kerberos, a test with what it wants to see.
**
** So SASL's GSSAPI knows tokens without knowing who makes them. Only who initiates is here: a server
** of ours accepts no tickets.
** Invariant: nothing that a peer says makes these functions do more than fail.
*/
#ifndef LM_BASE_GSS_H
#define LM_BASE_GSS_H

#include "base/buf.h"

struct lm_gss;

/* Whose ticket, and for whom; no text holds NUL. */
struct lm_gss_wish {
  struct lm_str service; /* "imap" */
  struct lm_str host;    /* as the user named it: DNS has no say in whom we trust */
  struct lm_str ccache;  /* where the tickets are ("FILE:/run/tickets"); empty: the default */
};

enum lm_gss_answer {
  LM_GSS_MORE,  /* send what was put, which may be nothing, and wait for the peer's token */
  LM_GSS_READY, /* the same, and the peer has proved itself: wrap and unwrap work */
  LM_GSS_FAILED /* `why` says why */
};

struct lm_gss_calls {
  /* A context that has said nothing yet; NULL when memory is short. */
  struct lm_gss *(*open)(const struct lm_gss_wish *wish);
  /* Appends our next token to `out`. The first time `token` is empty, and without a ticket for the
  ** service at hand the call waits for the KDC, over the network. */
  enum lm_gss_answer (*step)(struct lm_gss *g, struct lm_str token, struct lm_buf *out);
  /* Appends what the peer's token says, once that has proved to be whole and the peer's. */
  bool (*unwrap)(struct lm_gss *g, struct lm_str token, struct lm_buf *out);
  /* Appends a token that says `text`, whole but not secret. */
  bool (*wrap)(struct lm_gss *g, struct lm_str text, struct lm_buf *out);
  /* Why the last call failed, in words; valid until the context is closed. */
  const char *(*why)(const struct lm_gss *g);
  /* Whether that may pass by itself: no KDC could be reached. */
  bool (*passes)(const struct lm_gss *g);
  /* NULL is fine. */
  void (*close)(struct lm_gss *g);
};

#endif

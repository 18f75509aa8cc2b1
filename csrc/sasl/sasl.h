/*
** sasl.h: one SASL exchange (RFC 4422), mechanism by mechanism, for the client and for the server.
**
** A mechanism is a record in a table with two functions, one for each side; an exchange turns what
** the peer said into what is said next, both as plain octets: base64, line limits and the words
** around them belong to the protocols. Nothing here decides whether a secret may be sent in clear
** (`plaintext` says what would happen), nor who may log in: the caller has the last word.
** Invariant: secrets live in blocks that are overwritten before they are freed.
*/
#ifndef LM_SASL_SASL_H
#define LM_SASL_SASL_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/gss.h"

struct lm_sasl;

/* What the user proves and to whom; empty where there is none. A server needs the last six only. */
struct lm_sasl_credentials {
  struct lm_str user;
  struct lm_str password;
  struct lm_str token;   /* OAuth: a bearer token (RFC 6750) */
  struct lm_str authzid; /* whom to act as; empty: the user */
  struct lm_str port;    /* OAUTHBEARER: of the server, in decimal */
  uint64_t now;          /* seconds since 1970: NTLM */
  struct lm_str service; /* "imap", "pop", "smtp", "lmtp": DIGEST-MD5, GSSAPI */
  struct lm_str host;
  struct lm_str ccache;           /* GSSAPI: where the tickets are; empty: the default */
  const struct lm_gss_calls *gss; /* GSSAPI: who makes its tokens; NULL: nobody */
  struct lm_str nonce;            /* in the place of random text; for tests */
  struct lm_str binding_name; /* "tls-exporter" or "tls-server-end-point" (RFC 9266, RFC 5929) */
  struct lm_str binding;      /* its octets */
  bool binding_offered;       /* the server has a -PLUS form of the mechanism */
};

enum lm_sasl_answer {
  LM_SASL_SEND,    /* send the response, which may be empty */
  LM_SASL_WORKING, /* not ready: lm_sasl_work does the next slice */
  LM_SASL_REFUSED, /* the challenge makes no sense: cancel; lm_sasl_why says why */
  LM_SASL_MEMORY
};

enum lm_sasl_turn {
  LM_SASL_CHALLENGE, /* send `text` */
  LM_SASL_CHECK,     /* are `user` and `password` right, may he act as `authzid`? lm_sasl_decide */
  LM_SASL_TOKEN,     /* the same for a bearer token, in `password` */
  LM_SASL_LOOKUP,    /* what is known of `user`? lm_sasl_secret */
  LM_SASL_MORE,      /* not ready: lm_sasl_continue does the next slice */
  LM_SASL_ACCEPT,    /* it is `user`, who wants to act as `authzid` (empty: as himself) */
  LM_SASL_DENY,      /* it is not; lm_sasl_why */
  LM_SASL_NO_MEMORY
};

/* Views are valid until the next call. */
struct lm_sasl_event {
  enum lm_sasl_turn turn;
  struct lm_str text, user, password, authzid;
};

/* What a server knows of a user: the password, or what SCRAM derives from it (RFC 5802 §3). Without
** either the user is unknown: the exchange goes on with `salt`, and fails at its end. */
struct lm_sasl_secret {
  struct lm_str password;
  struct lm_str salt; /* 16 octets or so; with a password: random where empty */
  uint32_t rounds;    /* 0: LM_SCRAM_ROUNDS_MIN */
  struct lm_str stored_key, server_key;
};

struct lm_sasl_mechanism {
  const char *name;
  bool plaintext;        /* sends the secret in clear: wants TLS or explicit permission */
  bool has_initial;      /* the client speaks first */
  bool wants_secret;     /* useless without user and password */
  bool wants_token;      /* useless without a token */
  bool wants_ticket;     /* useless without Kerberos, which this build may not have */
  bool binds;            /* -PLUS: useless without a channel binding */
  bool on_demand;        /* chosen only where it is asked for by name */
  uint8_t strength;      /* the higher, the sooner chosen */
  enum lm_digest digest; /* SCRAM */
  /* The client's move: appends the response to s->out. `challenge.p` is NULL for a challenge that
  ** could not be decoded. */
  enum lm_sasl_answer (*step)(struct lm_sasl *s, struct lm_str challenge);
  /* The server's move; NULL where we do not serve it. `response.p` is NULL where there is none. */
  enum lm_sasl_turn (*serve)(struct lm_sasl *s, struct lm_str response);
  /* Makes ready for the first move; NULL: nothing can fail before it. */
  bool (*prepare)(struct lm_sasl *s);
  void (*release)(struct lm_sasl *s); /* frees s->own; NULL: there is none */
};

/* The mechanisms, strongest first, ended by NULL. */
const struct lm_sasl_mechanism *const *lm_sasl_mechanisms(void);

/* The mechanism of that name, in any case; NULL where it is unknown. */
const struct lm_sasl_mechanism *lm_sasl_find(struct lm_str name);

/* --- the client --------------------------------------------------------------------------------- */

/* Begins an exchange; the credentials are copied. Returns NULL and sets *out, or the reason (static
** words) why these credentials cannot be sent by this mechanism, or memory was short. */
const char *lm_sasl_new(const struct lm_sasl_mechanism *mechanism,
                        const struct lm_sasl_credentials *credentials, struct lm_sasl **out);

/* Wipes the secrets; NULL is fine. Both sides. */
void lm_sasl_free(struct lm_sasl *s);

/* Does what may fail before anything is said: GSSAPI finds its ticket, and may wait for a KDC over it.
** False: lm_sasl_why says why, and where `passes_out` is true it may be otherwise later. Whoever does
** not call it meets the same at the first step. */
bool lm_sasl_prepare(struct lm_sasl *s, bool *passes_out);

/* The initial response (RFC 4422 §3.3), for protocols that send one with their command. False
** where the server speaks first, or memory is short; then nothing has happened. */
bool lm_sasl_initial(struct lm_sasl *s, struct lm_str *response_out);

/* Answers a challenge. The response is valid until the next call. A mechanism whose initial
** response was not asked for gives it as the answer to the first, empty challenge. */
enum lm_sasl_answer lm_sasl_step(struct lm_sasl *s, struct lm_str challenge,
                                 struct lm_str *response_out);

/* The next slice behind LM_SASL_WORKING, of at most `rounds` and LM_SCRAM_SLICE; the same answers. */
enum lm_sasl_answer lm_sasl_work(struct lm_sasl *s, uint32_t rounds, struct lm_str *response_out);

/* True where the mechanism has no more to say or to check: a success that the server reports sooner
** is not to be believed. */
bool lm_sasl_done(const struct lm_sasl *s);

/* Why the last challenge was refused, or the client denied, in words; valid as long as `s`. */
const char *lm_sasl_why(const struct lm_sasl *s);

/* What the server said of its refusal within the exchange: OAuth's JSON (RFC 7628 §3.2.2), SCRAM's
** e=; empty where it said nothing. */
struct lm_str lm_sasl_reason(const struct lm_sasl *s);

/* --- the server --------------------------------------------------------------------------------- */

/* Begins an exchange as the server; as lm_sasl_new. */
const char *lm_sasl_serve(const struct lm_sasl_mechanism *mechanism,
                          const struct lm_sasl_credentials *of_ours, struct lm_sasl **out);

/* The client's response; p is NULL at the start where there is no initial one. */
void lm_sasl_receive(struct lm_sasl *s, struct lm_str response, struct lm_sasl_event *ev);

/* The answer to LM_SASL_LOOKUP. */
void lm_sasl_secret(struct lm_sasl *s, const struct lm_sasl_secret *known,
                    struct lm_sasl_event *ev);

/* The answer to LM_SASL_CHECK and LM_SASL_TOKEN. */
void lm_sasl_decide(struct lm_sasl *s, bool is_right, struct lm_sasl_event *ev);

/* The next slice behind LM_SASL_MORE. */
void lm_sasl_continue(struct lm_sasl *s, struct lm_sasl_event *ev);

/* SASLprep (RFC 4013) of UTF-8 text, appended to `out`. False where the text may not be used, or
** memory is short. Text that is no UTF-8 stays as it is: an old password in another charset. */
bool lm_saslprep(struct lm_str text, struct lm_buf *out);

#endif

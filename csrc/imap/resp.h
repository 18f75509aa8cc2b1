/*
** resp.h: one whole response of a server, parsed (RFC 9051 §7).
**
** Status responses with their code, untagged data, continuation requests. No state: whether the
** response makes sense now is the session's question.
*/
#ifndef LM_IMAP_RESP_H
#define LM_IMAP_RESP_H

#include "imap/ext.h"

enum lm_imap_resp_kind { LM_IMAP_CONTINUE, LM_IMAP_UNTAGGED, LM_IMAP_TAGGED };

enum lm_imap_status {
  LM_IMAP_NO_STATUS, /* untagged data, or a continuation request */
  LM_IMAP_OK,
  LM_IMAP_NO,
  LM_IMAP_BAD,
  LM_IMAP_PREAUTH,
  LM_IMAP_BYE
};

struct lm_imap_resp {
  enum lm_imap_resp_kind kind;
  enum lm_imap_status status;
  enum lm_imap_group group; /* of untagged data */
  struct lm_str tag;        /* tagged */
  struct lm_str name;       /* upper case: "OK", "FETCH", "LIST" */
  bool has_number;
  uint32_t number;                 /* "* 3 EXISTS" */
  struct lm_str code;              /* upper case; n is 0 where there is none */
  struct lm_imap_value code_value; /* NIL where it has no arguments; one string where unknown */
  struct lm_str text;              /* resp-text, or what follows "+" */
  struct lm_imap_value value;      /* untagged data other than FETCH; NIL where there is none */
  struct lm_imap_fetch *fetch;     /* FETCH */
  bool cut;                        /* FETCH: ends in the announcement of a body (LM_FETCH_CUT) */
};

/* Parses a response, line end included. The cursor needs arena and limits. False: the cursor says
** why. Afterwards c->p stands behind what belongs to this response: at the end, or, where a server
** forgot the line end of a FETCH, at the next response. */
bool lm_imap_resp(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_imap_resp *out);

/* Goes on with a FETCH that was cut (`out` as lm_imap_resp left it), behind the octets handed out. */
bool lm_imap_resp_resume(struct lm_cursor *c, struct lm_imap_resp *out);

/* "OK", "NO" ...; static. */
struct lm_str lm_imap_status_name(enum lm_imap_status status);

#endif

/*
** ext_catenate.c: CATENATE (RFC 4469): which URL of an APPEND the server could not take.
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* "BADURL" SP url-resp-text */
static bool code_badurl(struct lm_cursor *c, struct lm_imap_value *out) {
  out->kind = LM_VALUE_STRING;
  if (lm_peek(c) == '"' || lm_peek(c) == '{') return lm_imap_string(c, &out->u.text);
  out->u.text = lm_until(c, ']');
  return out->u.text.n > 0 || lm_cursor_fail(c, LM_E_PROTOCOL, "URL");
}

static const struct lm_imap_code codes[] = {
    {LM_NAME("BADURL"), code_badurl},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_catenate = {"CATENATE", NULL, NULL, codes};
